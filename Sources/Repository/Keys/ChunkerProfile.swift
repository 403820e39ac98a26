import RepoBase

/// How one kind of source is cut into chunks, as config records it (format.md, 3 and 11). Sizes in bytes.
public enum ChunkerProfile: Hashable, Sendable {
    /// For streams and files.
    case contentDefined(minimum: Int, normal: Int, maximum: Int, strictBits: Int, looseBits: Int)
    /// The same, with cuts that a keyed function decides.
    case keyedContentDefined(minimum: Int, normal: Int, maximum: Int, strictBits: Int, looseBits: Int)
    /// For files whose content never shifts, such as those of databases.
    case pageAligned(size: Int)

    private static let contentDefinedKind: UInt8 = 1
    private static let pageAlignedKind: UInt8 = 2
    private static let keyedContentDefinedKind: UInt8 = 3
    /// The raw length of the largest blob (format.md, 1).
    private static let maximumByteCount = 16 << 20

    func encode(into writer: inout ByteWriter) {
        switch self {
        case .contentDefined(let minimum, let normal, let maximum, let strictBits, let looseBits):
            writer.u8(ChunkerProfile.contentDefinedKind)
            for value in [minimum, normal, maximum, strictBits, looseBits] { writer.varint(value) }
        case .keyedContentDefined(let minimum, let normal, let maximum, let strictBits, let looseBits):
            writer.u8(ChunkerProfile.keyedContentDefinedKind)
            for value in [minimum, normal, maximum, strictBits, looseBits] { writer.varint(value) }
        case .pageAligned(let size):
            writer.u8(ChunkerProfile.pageAlignedKind)
            writer.varint(size)
        }
    }

    init(from reader: inout ByteReader) throws(RepoError) {
        let kind = try reader.u8()
        let limit = ChunkerProfile.maximumByteCount
        switch kind {
        case ChunkerProfile.contentDefinedKind:
            self = .contentDefined(
                minimum: try reader.varint(atMost: limit, "a chunk size"),
                normal: try reader.varint(atMost: limit, "a chunk size"),
                maximum: try reader.varint(atMost: limit, "a chunk size"),
                strictBits: try reader.varint(atMost: 63, "a mask"),
                looseBits: try reader.varint(atMost: 63, "a mask"))
        case ChunkerProfile.keyedContentDefinedKind:
            self = .keyedContentDefined(
                minimum: try reader.varint(atMost: limit, "a chunk size"),
                normal: try reader.varint(atMost: limit, "a chunk size"),
                maximum: try reader.varint(atMost: limit, "a chunk size"),
                strictBits: try reader.varint(atMost: 63, "a mask"),
                looseBits: try reader.varint(atMost: 63, "a mask"))
        case ChunkerProfile.pageAlignedKind:
            self = .pageAligned(size: try reader.varint(atMost: limit, "a chunk size"))
        default:
            throw RepoError(
                .failed, "\(reader.object) needs a newer version of repo (chunker \(kind))",
                advice: "Use the version of repo that wrote it, or a later one.")
        }
    }
}
