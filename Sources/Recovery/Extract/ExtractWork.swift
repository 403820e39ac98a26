import Ingest
import PostgresClient
public import RepoBase

/// Work under way that a signal may end: connections feel it inside their waiting, and programs that run are ended.
///
/// pg_restore and psql that are ended leave a transaction that the server takes back.
public final class ExtractWork: Sendable {
    let cancellation: CancellationFlag
    private let actions = Monitor<[Int: @Sendable () -> Void]>([:])
    private let amount = Monitor<(done: UInt64, total: UInt64?)>((0, nil))

    /// Throws `.failed` when the process has no descriptors left.
    public init() throws(RepoError) { cancellation = try CancellationFlag() }

    /// Ends what runs; from then on nothing begins. Harmless when repeated.
    public func cancel() {
        cancellation.cancel()
        for action in actions.withLock({ $0.values }) { action() }
    }

    public func check() throws(RepoError) { try cancellation.check() }

    /// `action` is called by `cancel` while `body` runs; once before it where it was cancelled already.
    public func during<R>(_ action: @escaping @Sendable () -> Void, _ body: () throws -> R) throws -> R {
        let key = actions.withLock { actions in
            let key = (actions.keys.max() ?? 0) + 1
            actions[key] = action
            return key
        }
        defer { actions.withLock { $0[key] = nil } }
        try check()
        return try body()
    }

    /// Bytes of the phase under way; any thread may ask.
    public var progress: (done: UInt64, total: UInt64?) { amount.withLock { $0 } }

    func begin(total: UInt64?) { amount.withLock { $0 = (0, total) } }
    func advance(_ bytes: Int) { amount.withLock { $0.done += UInt64(bytes) } }
}
