public import RepoBase

/// What a walk tells of a tree, in depth-first order, the entries of each directory sorted bytewise.
public protocol TreeVisitor {
    /// What ends the walk when thrown.
    associatedtype Failure: Error

    /// A directory, before its entries. Each is left exactly once, also when it could not be read.
    mutating func enterDirectory(_ entry: WalkedEntry) throws(Failure)

    /// Any other entry. A regular file may be opened with
    /// `OpenedFile(entry.nameInDirectory, in: entry.directory, …)`.
    mutating func visit(_ entry: WalkedEntry) throws(Failure)

    /// The end of the directory entered last and not left yet.
    ///
    /// - Parameter isComplete: false where entries are missing because the directory could not be opened,
    ///   listed to its end, or found again; problems have told why.
    mutating func leaveDirectory(path: [UInt8], isComplete: Bool) throws(Failure)

    /// Something could not be read; the walk goes on with the next entry.
    mutating func problem(_ error: FileSystemError) throws(Failure)
}

/// An entry of a tree as a walk comes by it.
public struct WalkedEntry: Sendable {
    /// The last component; for a root what its path ends in, which may be `.`, `..` or nothing.
    public let name: [UInt8]
    /// The root as it was given, then the components below it.
    public let path: [UInt8]
    /// Without extended attributes; `loadExtendedAttributes(of:in:path:calls:)` adds them.
    public let metadata: FileMetadata
    /// Descriptor of the directory that holds the entry. Valid during the visitor's call only.
    public let directory: CInt
    /// The entry's name in `directory`. The same as `name`, except for a root.
    public let nameInDirectory: [UInt8]
    /// 0 for a root.
    public let depth: Int
    /// Where in `path` the part begins that is relative to the PostgreSQL data directory around the entry;
    /// nothing outside of one.
    public let clusterOffset: Int?
}

/// What a walk met, apart from what its visitor can count.
public struct WalkStatistics: Hashable, Sendable {
    /// Entries given to the visitor that are not directories.
    public var entries = 0
    public var directories = 0
    /// Entries left out by patterns; what is below an excluded directory is not counted.
    public var excluded = 0
    /// Sockets are left out: who listens on one makes it anew.
    public var sockets = 0
    /// Entries left out, and directories left empty, because they are on another file system.
    public var otherFileSystems = 0
    /// Directories of which only the tag was taken.
    public var cacheDirectories = 0
    public var problems = 0

    public init() {}
}

/// What a walk takes.
public struct WalkOptions: Sendable {
    /// Relative to each root; the last that matches decides. Roots themselves are always taken.
    public var excludes: [ExcludePattern] = []
    /// Stay on the file system of each root (by `st_dev`). Mount points are taken as empty directories, so
    /// that they are there after a restore.
    public var staysOnFileSystem = false
    /// Of a directory below a root that has a valid `CACHEDIR.TAG`, take only that file.
    public var skipsTaggedCaches = false
    /// Take what a root that is a symbolic link points to, and not the link: who names a path wants what is
    /// there. Links below roots are never followed.
    public var followsRoots = true
    /// Directories kept open, at least 2. Beyond that the walk returns to parents through `..`.
    public var maximumOpenDirectories = 32

    public init() {}
}
