public import RepoBase
public import Repository

/// What is common to all sources: how the snapshot is called and what it follows.
public struct SourceDescription: Sendable {
    /// The source's name, by which retention groups and later snapshots find this one.
    public var name: String
    public var host: String
    public var user: String
    /// `K=V`.
    public var tags: [String]
    /// The snapshot's time; the clock's when nil.
    public var time: FileTime?
    public var options: SnapshotOptions

    public init(
        name: String, host: String, user: String, tags: [String] = [], time: FileTime? = nil,
        options: SnapshotOptions = SnapshotOptions()
    ) {
        self.name = name
        self.host = host
        self.user = user
        self.tags = tags
        self.time = time
        self.options = options
    }
}

/// Something of a source that could not be read; the snapshot exists and says so (exit 3).
public struct SourceProblem: Hashable, Sendable {
    public let path: [UInt8]
    public let message: String

    public init(path: [UInt8], message: String) {
        self.path = path
        self.message = message
    }
}

/// What a source gave.
public struct SourceOutcome: Sendable {
    public let id: ObjectID
    public let snapshot: Snapshot
    public let problems: [SourceProblem]
}
