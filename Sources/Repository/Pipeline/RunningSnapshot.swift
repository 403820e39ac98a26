import RepoBase

/// A snapshot under way, as other threads see it: how far it is, and the way to end it.
public struct RunningSnapshot: Sendable {
    let pipeline: Pipeline
    let registration: WriterRegistration
    let phase: Monitor<SnapshotPhase>
    let cancellation: Monitor<[@Sendable () -> Void]>

    public var progress: SnapshotProgress { pipeline.progress.withLock { $0 } }

    /// What is to be done when it is cancelled, such as ending a process that feeds it; done at once where it has been.
    public func onCancel(_ action: @escaping @Sendable () -> Void) {
        let isLate = cancellation.withLock { actions in
            if phase.withLock({ $0 == .cancelled }) { return true }
            actions.append(action)
            return false
        }
        if isLate { action() }
    }

    /// Makes sure that no snapshot comes of it, and takes the writer's registration back, whatever its own thread is
    /// waiting for. False when it is too late: the snapshot is being stored.
    public func cancel() -> Bool {
        let isCancelled = phase.withLock { phase in
            if phase == .running { phase = .cancelled }
            return phase == .cancelled
        }
        guard isCancelled else { return false }
        pipeline.fail(RepoError(.interrupted, "interrupted; no snapshot was made"))
        registration.end()
        let actions = cancellation.withLock { actions in
            defer { actions = [] }
            return actions
        }
        for action in actions { action() }
        return true
    }
}

/// Whether a snapshot can still be ended without leaving anything.
enum SnapshotPhase {
    case running
    case committing
    case cancelled
}
