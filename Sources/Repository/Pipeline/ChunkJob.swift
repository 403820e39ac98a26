import BlobEngine
import RepoBase

/// A chunk in the ring that waits to be hashed and stored.
struct ChunkJob: Sendable {
    let content: PendingContent
    let place: Int
    let position: UInt64
    let length: Int
    /// Where it is in its content, in bytes.
    let offset: UInt64
    let sketch: Sketch
    /// Nil where it is still to be computed.
    var id: BlobID? = nil
    /// What has cut it, where its content is content-defined.
    var cutting: ContentCutting? = nil
}

/// Work for the snapshot's threads.
enum PipelineJob: Sendable {
    case scan(ScanJob)
    case chunks([ChunkJob])
}

/// A stretch of a content-defined content, to be scanned for candidates.
struct ScanJob: Sendable {
    let cutting: ContentCutting
    let ordinal: Int
    let position: UInt64
    let length: Int
    /// Bytes of the same content that precede it in the ring, at most 63.
    let before: Int
    let isLast: Bool
    /// Chunks that may stand here, from the first byte on, because they did in the earlier version.
    var expected: [ExpectedChunk] = []
    /// By which version of the cutting's expectation.
    var version = 0

    var withoutExpectations: ScanJob {
        var job = self
        job.expected = []
        return job
    }
}

/// Collects chunks until they make a batch worth a worker's turn: hashing runs over many chunks side by side.
final class ChunkBatcher: Sendable {
    /// Small files fill the lanes of the hash only when there are many of them.
    static let maximumCount = 256
    static let maximumBytes = 4 << 20

    private struct State {
        var jobs: [ChunkJob] = []
        var bytes = 0
    }
    private let state = Monitor(State())
    private let queue: JobQueue

    init(_ queue: JobQueue) { self.queue = queue }

    func add(_ job: ChunkJob) {
        let full: [ChunkJob]? = state.withLock { state in
            state.jobs.append(job)
            state.bytes += job.length
            guard state.jobs.count >= Self.maximumCount || state.bytes >= Self.maximumBytes else { return nil }
            return Self.take(&state)
        }
        if let full { queue.push(.chunks(full)) }
    }

    /// Hands over what there is. Called before anything waits for it.
    func flush() {
        let jobs = state.withLock { Self.take(&$0) }
        if !jobs.isEmpty { queue.push(.chunks(jobs)) }
    }

    private static func take(_ state: inout State) -> [ChunkJob] {
        defer { state = State() }
        return state.jobs
    }
}

/// The workers' queue: chunks before scans, so that the ring drains. Its bound is the ring: a job holds bytes of it.
final class JobQueue: Sendable {
    private struct State {
        var chunks: [[ChunkJob]] = []
        var scans: [ScanJob] = []
        var isClosed = false
    }
    private let state = Monitor(State())

    func push(_ job: PipelineJob) {
        state.update { state in
            switch job {
            case .scan(let scan): state.scans.append(scan)
            case .chunks(let jobs): state.chunks.append(jobs)
            }
        }
    }

    /// Waits for work; nil when there will be none. `willWait` runs unlocked before the wait: a worker that has cut chunks hands over the
    /// batch they are in, for nobody else may, and whoever waits for their content or their space would wait for ever.
    func pop(willWait: () -> Void) -> PipelineJob? {
        if let job = state.withLock({ Self.next(&$0) }) { return job }
        willWait()
        let job: PipelineJob?? = state.wait { state -> PipelineJob?? in
            if let job = Self.next(&state) { return .some(job) }
            return state.isClosed ? .some(nil) : nil
        }
        return job ?? nil
    }

    private static func next(_ state: inout State) -> PipelineJob? {
        if !state.chunks.isEmpty { return .chunks(state.chunks.removeFirst()) }
        if !state.scans.isEmpty { return .scan(state.scans.removeFirst()) }
        return nil
    }

    func close() { state.update { $0.isClosed = true } }
}
