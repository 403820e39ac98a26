import RepoBase

/// How a file's content is best cut into chunks.
public enum ContentProfile: Hashable, Sendable {
    /// Content may be inserted and removed anywhere: cut where the content says.
    case contentDefined
    /// Content is changed in place, in pages that never shift: cut at fixed multiples of the page size.
    ///
    /// `pageSize` is a power of two from 512 to 65,536, in bytes.
    case pageAligned(pageSize: Int)
}

extension ContentProfile {
    /// How many bytes of a file's beginning `init(recognising:…)` looks at.
    public static let headerSize = 4096

    /// Recognises by what it is a file that programs change in place: relation files of PostgreSQL, SQLite
    /// databases, InnoDB tablespaces, images of disks. Costs a few comparisons for any other.
    ///
    /// - Parameters:
    ///   - path: of the file; absolute or not.
    ///   - clusterOffset: where in `path` the part begins that is relative to the PostgreSQL data directory
    ///     around the file, as `WalkedEntry` tells; nothing outside of one.
    ///   - header: the first `headerSize` bytes, or all of a smaller file.
    ///   - size: of the file, in bytes.
    public init(
        recognising path: [UInt8], clusterOffset: Int?, header: UnsafeRawBufferPointer, size: UInt64
    ) {
        let header = FileHeader(header)
        let pageSize =
            SQLiteDatabase.pageSize(header, size: size)
            ?? PostgreSQLRelation.pageSize(path, clusterOffset: clusterOffset, header, size: size)
            ?? InnoDBTablespace.pageSize(header, size: size)
            ?? DiskImage.pageSize(header, size: size)
        self = pageSize.map { .pageAligned(pageSize: $0) } ?? .contentDefined
    }
}

/// The first bytes of a file. Beyond them everything reads as zero, so that a short file merely fails to
/// be recognised.
struct FileHeader {
    private let bytes: UnsafeRawBufferPointer

    init(_ bytes: UnsafeRawBufferPointer) {
        self.bytes = bytes
    }

    subscript(offset: Int) -> UInt8 { offset < bytes.count ? bytes[offset] : 0 }

    func littleEndian16(_ offset: Int) -> Int { Int(self[offset]) | Int(self[offset + 1]) << 8 }
    func littleEndian32(_ offset: Int) -> Int { littleEndian16(offset) | littleEndian16(offset + 2) << 16 }
    func bigEndian16(_ offset: Int) -> Int { Int(self[offset]) << 8 | Int(self[offset + 1]) }
    func bigEndian32(_ offset: Int) -> Int { bigEndian16(offset) << 16 | bigEndian16(offset + 2) }

    func has(_ text: StaticString, at offset: Int = 0) -> Bool {
        (0..<text.utf8CodeUnitCount).allSatisfy { self[offset + $0] == text.utf8Start[$0] }
    }

    func has(_ wanted: [UInt8], at offset: Int = 0) -> Bool {
        wanted.indices.allSatisfy { self[offset + $0] == wanted[$0] }
    }

    func isZero(_ range: Range<Int>) -> Bool { range.allSatisfy { self[$0] == 0 } }
}

extension Int {
    /// The number itself, where it is a power of two in the range.
    func ifPowerOfTwo(in range: ClosedRange<Int>) -> Int? {
        range.contains(self) && nonzeroBitCount == 1 ? self : nil
    }
}
