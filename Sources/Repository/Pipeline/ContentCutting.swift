import BlobEngine
import RepoBase

/// Cuts one content-defined content. Segments are scanned by any thread in any order; cutting takes their candidates
/// in the content's order, on whichever thread brings the missing one, so that cut points depend on the content alone.
///
/// Where a content goes on as its earlier version did, nothing is scanned: a segment then comes with the chunks that are expected in
/// it. A chunk that has the expected id ends where the earlier one did, because a cut depends on nothing but the bytes since the cut
/// before it. What has another id is scanned.
final class ContentCutting: Sendable {
    private struct Scanned {
        let job: ScanJob
        let matched: Int
        let candidates: CandidateBuffer
    }

    /// The next chunk of the earlier version, and where it would begin in this one.
    struct Place: Hashable {
        var number: Int
        var offset: UInt64
    }

    private struct State {
        var cutter: ChunkCutter
        var waiting: [Int: Scanned] = [:]
        var next = 0
        /// Where the next chunk begins in the content, but for what the cutter has of it.
        var offset: UInt64 = 0
        /// Nil while the content does not go on as the earlier version did.
        var place: Place?
        /// Counts the changes of `place`.
        var version = 0
        /// How often the place was lost of late, and from where on a new one is looked for: further away after each loss but the first.
        var losses: UInt64 = 0
        var resumesAt: UInt64 = 0
    }

    private let content: PendingContent
    private let start: UInt64
    private let batcher: ChunkBatcher
    private let state: Monitor<State>

    /// After this many bytes in step, losses are forgotten.
    private static let steadyLength: UInt64 = 16 << 20

    /// - Parameters:
    ///   - start: position in the ring of the content's first byte; the content is contiguous from there.
    ///   - isFollowing: whether chunks of an earlier version are expected from the beginning.
    init(content: PendingContent, profile: ChunkProfile, key: CutKey, start: UInt64, batcher: ChunkBatcher, isFollowing: Bool) {
        self.content = content
        self.start = start
        self.batcher = batcher
        state = Monitor(State(cutter: ChunkCutter(profile: profile, key: key), place: isFollowing ? Place(number: 0, offset: 0) : nil))
    }

    /// Where to expect the earlier version's chunks, and the version of this answer.
    var expectation: (place: Place?, version: Int) { state.withLock { ($0.place, $0.version) } }

    /// What a scan leads to.
    struct Outcome {
        /// Candidates that were cut by and are of no more use, for the next scans.
        var used: [CandidateBuffer] = []
        /// Its expected chunks were there, and begin where no cut is: to be scanned whole and deposited again.
        var rescan: ScanJob?
    }

    /// - Parameters:
    ///   - matched: how many of the job's expected chunks are there.
    ///   - candidates: of the rest of the segment, counted from where that begins.
    func deposit(_ job: ScanJob, matched: Int, _ candidates: CandidateBuffer) -> Outcome {
        var outcome = Outcome()
        let isEnded = state.withLock { state in
            state.waiting[job.ordinal] = Scanned(job: job, matched: matched, candidates: candidates)
            while let scanned = state.waiting.removeValue(forKey: state.next) {
                let job = scanned.job
                if scanned.matched > 0, !state.cutter.isAtCut {
                    lose(&state, job)
                    outcome.used.append(scanned.candidates)
                    outcome.rescan = job.withoutExpectations
                    return false
                }
                if scanned.matched == 0, !job.expected.isEmpty { lose(&state, job) }
                state.next += 1
                var length = job.length
                for chunk in job.expected.prefix(scanned.matched) {
                    add(CutChunk(length: chunk.length, sketch: chunk.sketch), id: chunk.id, &state.offset)
                    length -= chunk.length
                }
                var offset = state.offset
                state.cutter.feed(candidates: scanned.candidates, segmentLength: length, isLast: job.isLast) { chunk in
                    add(chunk, id: nil, &offset)
                }
                state.offset = offset
                outcome.used.append(scanned.candidates)
                if job.isLast { return true }
            }
            return false
        }
        if isEnded { content.end() }
        return outcome
    }

    private func add(_ chunk: CutChunk, id: BlobID?, _ offset: inout UInt64) {
        let place = content.addChunk(length: chunk.length, sketch: chunk.sketch)
        batcher.add(
            ChunkJob(
                content: content, place: place, position: start + offset, length: chunk.length, offset: offset,
                sketch: chunk.sketch, id: id, cutting: self))
        offset += UInt64(chunk.length)
    }

    // MARK: - Following the earlier version

    /// Only by what was expected of the present place: jobs under way are of the one before.
    private func lose(_ state: inout State, _ job: ScanJob) {
        guard let place = state.place, job.version == state.version else { return }
        if state.offset > place.offset + Self.steadyLength { state.losses = 0 }
        state.place = nil
        state.version += 1
        state.resumesAt = state.offset + (state.losses == 0 ? 0 : UInt64(ChunkBatcher.maximumBytes) << min(state.losses - 1, 20))
        state.losses += 1
    }

    /// Tells of the ids of two chunks that follow each other: where they do so in the earlier version, too, that is where the content goes on.
    /// - Parameter end: of the second one, in the content.
    func note(_ first: BlobID, _ second: BlobID, end: UInt64) {
        guard let previous = content.previous, state.withLock({ $0.place == nil && end >= $0.resumesAt }),
            let number = previous.places[second], number > 0, previous.chunks[number - 1].id == first
        else { return }
        state.withLock { state in
            guard state.place == nil, end >= state.resumesAt else { return }
            state.place = Place(number: number + 1, offset: end)
            state.version += 1
        }
    }
}
