import BlobEngine
public import RepoBase

/// Where a file's bytes are (format.md, 8.1).
public enum Content: Hashable, Sendable {
    case empty
    /// One chunk holds them all.
    case chunk(BlobID)
    /// A list of chunks, or a list of lists.
    case list(BlobID)
}

/// One name in a directory of a snapshot.
public struct TreeEntry: Hashable, Sendable {
    /// Any bytes but `/` and NUL; not `.` and not `..`.
    public var name: [UInt8]
    public var metadata: FileMetadata
    public var payload: Payload
    /// The file could not be read whole; what is here is what could.
    public var isIncomplete: Bool
    /// Changed in place and therefore cut at fixed places (format.md, 11.3).
    public var isPageAligned: Bool

    public enum Payload: Hashable, Sendable {
        case file(Content)
        case directory(BlobID)
        case symbolicLink(target: [UInt8])
        /// Device, fifo: nothing but its metadata.
        case special
    }

    public init(
        name: [UInt8], metadata: FileMetadata, payload: Payload, isIncomplete: Bool = false,
        isPageAligned: Bool = false
    ) {
        self.name = name
        self.metadata = metadata
        self.payload = payload
        self.isIncomplete = isIncomplete
        self.isPageAligned = isPageAligned
    }

    /// Nil for anything but a file.
    public var content: Content? {
        if case .file(let content) = payload { content } else { nil }
    }

    /// Nil for anything but a directory.
    public var subtree: BlobID? {
        if case .directory(let id) = payload { id } else { nil }
    }
}

/// Names sort bytewise, everywhere.
public func isBefore(_ a: [UInt8], _ b: [UInt8]) -> Bool { a.lexicographicallyPrecedes(b) }
