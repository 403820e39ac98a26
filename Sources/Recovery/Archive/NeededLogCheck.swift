import PostgresFormats
import RepoBase
import WALArchive

/// Reads every segment that a recovery will read, and recomputes its identity, so that a damaged one is found before anything is touched.
struct NeededLogCheck {
    private let log: ArchiveLog

    init(_ log: ArchiveLog) { self.log = log }

    private struct State {
        var next = 0
        var done = 0
        var failure: (any Error)?
    }

    /// Cost: all of the segments once, on as many threads as there are processors; memory of a segment for each.
    ///
    /// - Parameter onProgress: called by any thread; what it throws ends the check.
    /// Throws `.damaged`, naming the segment.
    func run(_ segments: [WALSegment], onProgress: @escaping @Sendable (Int, Int) throws -> Void) throws {
        guard !segments.isEmpty else { return }
        let names = try segments.map { (segment: $0.name(log.segmentSize), objects: try log.objectNames($0)) }
        let (archive, system) = (log.archive, log.systemIdentifier)
        let state = Monitor(State())
        let work: @Sendable () -> Void = {
            while true {
                let number: Int? = state.withLock { state in
                    guard state.failure == nil, state.next < names.count else { return nil }
                    state.next += 1
                    return state.next - 1
                }
                guard let number else { return }
                do {
                    _ = try ArchiveLog.content(names[number].segment, names[number].objects, archive, system, threads: 1)
                    let done = state.withLock { state in
                        state.done += 1
                        return state.done
                    }
                    try onProgress(done, names.count)
                } catch {
                    state.withLock { $0.failure = $0.failure ?? Self.naming(names[number].segment, error) }
                    return
                }
            }
        }
        let threads = (1..<max(1, min(availableProcessors(), names.count))).map { _ in WorkerThread(work) }
        work()
        for thread in threads { thread.join() }
        if let failure = state.withLock({ $0.failure }) { throw failure }
    }

    private static func naming(_ segment: String, _ error: any Error) -> any Error {
        guard let error = error as? RepoError, error.code == .damaged else { return error }
        return RepoError(
            .damaged, "segment \(segment) of the log, which this recovery needs, cannot be used: \(error.message)",
            advice: "Nothing was touched. If the server still has the segment, remove the damaged object and push it again; "
                + "or recover to a moment before it.")
    }
}
