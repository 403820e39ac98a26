import PostgresFormats
import RepoBase

/// How much of a journal is sound (format.md, appendix C): written behind the segment before each fdatasync, in two places in turn, so that one of
/// them always tells of what was synchronised before.
struct JournalMark: Hashable {
    var systemIdentifier: UInt64
    var segment: String
    /// Ascends by one with each mark of a journal.
    var sequence: UInt64
    /// Bytes from the segment's beginning.
    var length: Int
    /// Of these bytes.
    var checksum: UInt32

    /// Bytes between the two places, and behind the second one: two blocks that a torn write cannot both hit.
    static let spacing = 4096
    static let byteCount = 64
    private static let magic = Array("repojrnl".utf8)
    private static let version: UInt32 = 1

    func encoded() -> [UInt8] {
        var writer = ByteWriter(capacity: Self.byteCount)
        writer.raw(Self.magic)
        writer.u32(Self.version)
        writer.u32(checksum)
        writer.u64(systemIdentifier)
        writer.raw(segment.utf8)
        writer.u64(sequence)
        writer.u32(UInt32(length))
        let own = writer.bytes.withUnsafeBytes { CRC32C.of($0) }
        writer.u32(own)
        return writer.bytes
    }

    /// Nil for bytes that are no mark, or a torn one.
    init?(_ bytes: [UInt8]) {
        guard bytes.count == Self.byteCount, bytes.starts(with: Self.magic) else { return nil }
        var reader = ByteReader(bytes[8...], object: "a journal's mark")
        guard let version = try? reader.u32(), version == Self.version, let checksum = try? reader.u32(), let system = try? reader.u64(),
            let name = try? reader.raw(24), let sequence = try? reader.u64(), let length = try? reader.u32(), let own = try? reader.u32(),
            own == bytes[..<(Self.byteCount - 4)].withUnsafeBytes({ CRC32C.of($0) })
        else { return nil }
        self.init(
            systemIdentifier: system, segment: String(decoding: name, as: UTF8.self), sequence: sequence, length: Int(length), checksum: checksum)
    }

    init(systemIdentifier: UInt64, segment: String, sequence: UInt64, length: Int, checksum: UInt32) {
        (self.systemIdentifier, self.segment, self.sequence) = (systemIdentifier, segment, sequence)
        (self.length, self.checksum) = (length, checksum)
    }
}
