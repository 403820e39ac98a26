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
}

/// Collects chunks until they make a batch worth a worker's turn: hashing runs over many chunks side by side.
final class ChunkBatcher: Sendable {
    static let maximumCount = 32
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

    func pop() -> PipelineJob? {
        let job: PipelineJob?? = state.wait { state -> PipelineJob?? in
            if !state.chunks.isEmpty { return .some(.chunks(state.chunks.removeFirst())) }
            if !state.scans.isEmpty { return .some(.scan(state.scans.removeFirst())) }
            return state.isClosed ? .some(nil) : nil
        }
        return job ?? nil
    }

    func close() { state.update { $0.isClosed = true } }
}
