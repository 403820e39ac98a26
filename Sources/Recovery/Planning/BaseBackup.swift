public import PostgresFormats
public import RepoBase

/// A snapshot that recovery can begin from.
public struct BaseBackup: Hashable, Sendable {
    public var id: ObjectID
    /// The snapshot's time.
    public var time: FileTime
    public var facts: ClusterFacts
    /// Bytes of its files.
    public var bytes: UInt64

    public init(id: ObjectID, time: FileTime, facts: ClusterFacts, bytes: UInt64) {
        (self.id, self.time, self.facts, self.bytes) = (id, time, facts, bytes)
    }

    /// Where the archive's log has to begin: behind what the snapshot brings itself.
    var logStart: LogSequenceNumber { facts.includesLog ? facts.stop : facts.start }
}
