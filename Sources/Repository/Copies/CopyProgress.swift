public import RepoBase

/// What a copy did, for its report.
public struct CopyOutcome: Sendable {
    /// Snapshots that were chosen, and of these the ones that the other repository had before.
    public var snapshots = 0
    public var snapshotsPresent = 0
    /// Snapshots that were copied: as they are named here, and there.
    public var copied: [(source: ObjectID, destination: ObjectID)] = []
    /// Snapshots that could not be copied, and why.
    public var failures: [(snapshot: ObjectID, error: RepoError)] = []
    /// Bytes of the objects that were put there: packs, index segments, snapshots.
    public var bytesSent: UInt64 = 0
    /// Packs that went as they are.
    public var packsSent: UInt64 = 0
    /// Packs that an earlier run had sent, and that no index named yet.
    public var packsTakenUp: UInt64 = 0
    /// Blobs that were sealed anew.
    public var blobsSealed: UInt64 = 0
    /// What the copied snapshots need, counted in both repositories after the copy, each tree and list once.
    public var blobsCompared: UInt64 = 0

    public init() {}
}

/// How far a copy has come; read by displays while it runs.
public final class CopyProgress: Sendable {
    public struct Values: Hashable, Sendable {
        public var snapshots: UInt64 = 0
        public var bytes: UInt64 = 0
        /// Known where packs go as they are.
        public var bytesToSend: UInt64?
    }

    private let state = Monitor(Values())

    public init() {}

    public var values: Values { state.withLock { $0 } }

    func update(_ change: (inout Values) -> Void) { state.withLock { change(&$0) } }
}
