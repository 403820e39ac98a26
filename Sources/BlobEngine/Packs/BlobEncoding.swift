/// How a blob's bytes are stored (format.md, 5.3).
public enum BlobEncoding: UInt8, Hashable, Sendable {
    /// As they are.
    case plain = 0
    /// One zstd frame.
    case zstd = 1
    /// One zstd frame whose prefix is other blobs' plaintext.
    case delta = 2
}
