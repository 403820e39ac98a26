/// What a running snapshot has done so far: for progress displays and, in the end, its statistics.
public struct SnapshotProgress: Hashable, Sendable {
    /// Content bytes taken from the source.
    public var bytesRead: UInt64 = 0
    /// Content bytes of everything in the snapshot, unchanged files included.
    public var logicalBytes: UInt64 = 0
    public var filesNew: UInt64 = 0
    public var filesChanged: UInt64 = 0
    public var filesUnmodified: UInt64 = 0
    public var directories: UInt64 = 0
    public var otherEntries: UInt64 = 0
    public var errors: UInt64 = 0
    /// Content bytes that the source expects to give, where it knows.
    public var expectedBytes: UInt64?
    /// What is being read, for people.
    public var current: [UInt8] = []

    public init() {}
}
