public import RepoBase

/// The root of one backup (format.md, 7).
public struct Snapshot: Hashable, Sendable {
    /// When the backup began.
    public var time: FileTime
    /// The name of the source.
    public var source: String
    /// What kind of source it is: `files`, `stdin`, `command`, …
    public var kind: String
    /// The tree of the whole.
    public var root: BlobID
    public var host: String = ""
    public var user: String = ""
    /// Each `K=V`.
    public var tags: [String] = []
    /// What was backed up, as bytes, since file names need not be text.
    public var paths: [[UInt8]] = []
    public var statistics = SnapshotStatistics()
    /// The snapshot that unchanged files were taken from.
    public var parent: ObjectID?
    /// The version of the program that made it.
    public var programVersion: String = ""
    /// What could not be read. At most `problemLimit` are kept; `statistics.errors` counts all.
    public var problems: [SnapshotProblem] = []
    /// The damaged snapshot that this one stands in for.
    public var repairs: ObjectID?
    /// When the backup began by the machine's clock, where `time` was given by hand; files whose times had not settled
    /// by then are read again next time.
    public var started: FileTime?
    /// The command whose output it holds.
    public var arguments: [[UInt8]] = []
    /// What a source of a database knows of it, in that source's own bytes (format.md, 7.2); empty for others.
    public var facts: [UInt8] = []
    /// What it was copied from, where it was sealed anew for this repository.
    public var origin: CopyOrigin?

    public static let problemLimit = 1000

    public init(time: FileTime, source: String, kind: String, root: BlobID) {
        self.time = time
        self.source = source
        self.kind = kind
        self.root = root
    }
}

/// One entry that could not be read, or not wholly.
public struct SnapshotProblem: Hashable, Sendable {
    public var path: [UInt8]
    public var message: String

    public init(path: [UInt8], message: String) {
        self.path = path
        self.message = message
    }
}

/// What a backup read and stored. Sizes in bytes.
public struct SnapshotStatistics: Hashable, Sendable {
    /// What was read from the source.
    public var bytesRead: UInt64 = 0
    /// Sealed blobs that were not there before.
    public var bytesAdded: UInt64 = 0
    /// What the repository grew by, all objects counted that precede the snapshot's own.
    public var bytesStored: UInt64 = 0
    public var filesNew: UInt64 = 0
    public var filesChanged: UInt64 = 0
    public var filesUnmodified: UInt64 = 0
    public var directories: UInt64 = 0
    /// Symbolic links, devices and the like.
    public var otherEntries: UInt64 = 0
    public var errors: UInt64 = 0
    /// Microseconds.
    public var duration: UInt64 = 0
    /// The content of all files of the snapshot.
    public var logicalBytes: UInt64 = 0

    public init() {}

    /// In the order in which they are stored.
    static var order: [WritableKeyPath<SnapshotStatistics, UInt64>] {
        [
            \.bytesRead, \.bytesAdded, \.bytesStored, \.filesNew, \.filesChanged, \.filesUnmodified,
            \.directories, \.otherEntries, \.errors, \.duration, \.logicalBytes,
        ]
    }
}
