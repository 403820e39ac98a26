public import PostgresFormats
public import RepoBase
public import Repository

/// A physical backup of a cluster: where the log is replayed from.
public struct BaseBackup: Hashable, Sendable {
    public let id: ObjectID
    public let source: String
    public let facts: ClusterFacts

    public init(id: ObjectID, source: String, facts: ClusterFacts) {
        (self.id, self.source, self.facts) = (id, source, facts)
    }

    /// Nil for a snapshot that is none. Throws `.damaged` for one whose facts do not read.
    public init?(_ entry: SnapshotCatalog.Entry) throws(RepoError) {
        guard entry.snapshot.kind == "postgres", !entry.snapshot.facts.isEmpty else { return nil }
        let facts = try ClusterFacts(entry.snapshot.facts, object: "snapshots/\(entry.id)")
        guard facts.method == .physical else { return nil }
        self.init(id: entry.id, source: entry.snapshot.source, facts: facts)
    }

    /// The segment that replay begins in.
    public var firstSegment: UInt64 { facts.start.value / UInt64(facts.segmentSize.bytes) }
    /// The segment that holds the last byte which makes it consistent.
    public var lastSegment: UInt64 { (max(facts.stop.value, facts.start.value + 1) - 1) / UInt64(facts.segmentSize.bytes) }

    /// All of them, oldest first.
    public static func all(_ entries: [SnapshotCatalog.Entry]) throws(RepoError) -> [BaseBackup] {
        var backups: [BaseBackup] = []
        for entry in entries { if let backup = try BaseBackup(entry) { backups.append(backup) } }
        return backups.sorted { ($0.facts.stopTime, $0.facts.stop, $0.id) < ($1.facts.stopTime, $1.facts.stop, $1.id) }
    }
}
