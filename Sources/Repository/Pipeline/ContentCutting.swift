import BlobEngine
import RepoBase

/// Cuts one content-defined content. Segments are scanned by any thread in any order; cutting takes their candidates
/// in the content's order, on whichever thread brings the missing one, so that cut points depend on the content alone.
final class ContentCutting: Sendable {
    private struct Scanned {
        let candidates: CandidateBuffer
        let length: Int
        let isLast: Bool
    }

    private struct State {
        var cutter: ChunkCutter
        var waiting: [Int: Scanned] = [:]
        var next = 0
        /// Where the next chunk begins in the content.
        var offset: UInt64 = 0
    }

    private let content: PendingContent
    private let start: UInt64
    private let batcher: ChunkBatcher
    private let state: Monitor<State>

    /// - Parameter start: position in the ring of the content's first byte; the content is contiguous from there.
    init(content: PendingContent, profile: ChunkProfile, start: UInt64, batcher: ChunkBatcher) {
        self.content = content
        self.start = start
        self.batcher = batcher
        state = Monitor(State(cutter: ChunkCutter(profile: profile)))
    }

    /// Returns the candidates that were cut by and are of no more use, for the next scans.
    func deposit(_ job: ScanJob, _ candidates: CandidateBuffer) -> [CandidateBuffer] {
        var used: [CandidateBuffer] = []
        let isEnded = state.withLock { state in
            state.waiting[job.ordinal] = Scanned(
                candidates: candidates, length: job.length, isLast: job.isLast)
            while let scanned = state.waiting.removeValue(forKey: state.next) {
                state.next += 1
                var offset = state.offset
                state.cutter.feed(
                    candidates: scanned.candidates, segmentLength: scanned.length, isLast: scanned.isLast
                ) { chunk in
                    let place = content.addChunk(length: chunk.length, sketch: chunk.sketch)
                    batcher.add(
                        ChunkJob(
                            content: content, place: place, position: start + offset, length: chunk.length,
                            offset: offset, sketch: chunk.sketch))
                    offset += UInt64(chunk.length)
                }
                state.offset = offset
                used.append(scanned.candidates)
                if scanned.isLast { return true }
            }
            return false
        }
        if isEnded { content.end() }
        return used
    }
}
