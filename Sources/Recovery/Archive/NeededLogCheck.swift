import PostgresFormats
import RepoBase
import WALArchive

/// Reads every segment that a recovery will read, so that one that is damaged, and what replay asks of this machine, is found before anything is touched.
struct NeededLogCheck {
    private let log: ArchiveLog

    init(_ log: ArchiveLog) { self.log = log }

    private struct State {
        var next = 0
        var done = 0
        var failure: (any Error)?
        var parts: [Int: WALHindrance.Part] = [:]
    }

    /// Cost: all of the segments once, on as many threads as there are processors; memory of a segment for each.
    ///
    /// - Parameter onProgress: called by any thread; what it throws ends the check.
    /// Returns what replay meets from the base backup's start to the plan's end. Throws `.damaged`, naming the segment, for one that does not open,
    /// and for one that was archived although it is damaged, where the damage lies on the way.
    func run(_ plan: RecoveryPlan, onProgress: @escaping @Sendable (Int, Int) throws -> Void) throws -> [WALHindrance] {
        let segments = plan.segments
        guard !segments.isEmpty else { return [] }
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
                    let (content, object) = try ArchiveLog.content(names[number].segment, names[number].objects, archive, system, threads: 1)
                    let part = try withExtendedLifetime(content) { try WALHindrance.Part(content.bytes, object: object) }
                    let done = state.withLock { state in
                        state.parts[number] = part
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
        let parts = state.withLock { state in names.indices.compactMap { state.parts[$0] } }
        let limit = plan.stopPosition ?? plan.backup.facts.stop
        for (part, name) in zip(parts, names) {
            guard let fault = part.fault, fault.position <= limit else { continue }
            throw Self.naming(name.segment, RepoError.damaged(name.segment, "\(fault)"))
        }
        return WALHindrance.all(in: parts).filter { $0.position >= plan.backup.facts.start && $0.position < limit }
    }

    private static func naming(_ segment: String, _ error: any Error) -> any Error {
        guard let error = error as? RepoError, error.code == .damaged else { return error }
        return RepoError(
            .damaged, "segment \(segment) of the log, which this recovery needs, cannot be used: \(error.message)",
            advice: "Nothing was touched. If the server still has the segment, 'repo repair wal \(segment)' moves the damaged object aside, and 'repo wal push' archives it again; "
                + "or recover to a moment before it.")
    }
}
