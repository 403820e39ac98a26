/// What a blob holds (format.md, 5.3).
public enum BlobType: UInt8, Hashable, Sendable, CaseIterable, BitwiseCopyable {
    /// File or stream data.
    case chunk = 0
    /// The ids of a long content.
    case list = 1
    /// A directory.
    case tree = 2
}
