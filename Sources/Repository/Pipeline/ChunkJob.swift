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
    /// What a worker without work is given: a few lanes of the hash.
    private static let worthwhileCount = 32
    private static let worthwhileBytes = 1 << 20

    private struct State {
        var jobs: [ChunkJob] = []
        var bytes = 0
        /// Some were cut by workers, not given by the source.
        var hasCut = false
        /// The source waited for space or for somebody's content, which may be in this batch.
        var sourceWaits = false

        var isFull: Bool { jobs.count >= maximumCount || bytes >= maximumBytes }
        var isWorthwhile: Bool { jobs.count >= worthwhileCount || bytes >= worthwhileBytes }
    }
    private let state = Monitor(State())
    private let queue: JobQueue

    init(_ queue: JobQueue) { self.queue = queue }

    func add(_ job: ChunkJob) {
        let full: [ChunkJob]? = state.withLock { state in
            state.jobs.append(job)
            state.bytes += job.length
            if job.cutting != nil { state.hasCut = true }
            guard state.isFull || state.isWorthwhile && queue.hasIdleWorker else { return nil }
            return Self.take(&state)
        }
        if let full { queue.push(.chunks(full)) }
    }

    /// Hands over what there is to a worker that has nothing else to do, and is counted as idle already. A few chunks of the source wait for more,
    /// unless it waits itself; those that a worker has cut nobody else would hand over.
    func flushForWorker() {
        let jobs = state.withLock { $0.isWorthwhile || $0.hasCut || $0.sourceWaits ? Self.take(&$0) : [] }
        if !jobs.isEmpty { queue.push(.chunks(jobs)) }
    }

    /// Called before the source waits. While all workers have something to do the batch goes on waiting as well: the first that has nothing takes it. Were it
    /// handed over each time that the ring is full, it would be of one chunk, and hashed in one lane.
    func flushForSource() {
        state.withLock { $0.sourceWaits = true }
        if queue.hasIdleWorker { flush() }
    }

    /// Hands over what there is.
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
        var idleWorkers = 0
    }
    private let state = Monitor(State())

    /// Whether a worker waits, or is about to.
    var hasIdleWorker: Bool { state.withLock { $0.idleWorkers > 0 } }

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
        let job = state.withLock { state in
            let job = Self.next(&state)
            // Before `willWait`: a source that begins to wait now sees either this, or its batch taken.
            if job == nil { state.idleWorkers += 1 }
            return job
        }
        if let job { return job }
        willWait()
        let found: PipelineJob?? = state.wait { state -> PipelineJob?? in
            let job = Self.next(&state)
            guard job != nil || state.isClosed else { return nil }
            state.idleWorkers -= 1
            return .some(job)
        }
        return found ?? nil
    }

    private static func next(_ state: inout State) -> PipelineJob? {
        if !state.chunks.isEmpty { return .chunks(state.chunks.removeFirst()) }
        if !state.scans.isEmpty { return .scan(state.scans.removeFirst()) }
        return nil
    }

    func close() { state.update { $0.isClosed = true } }
}
