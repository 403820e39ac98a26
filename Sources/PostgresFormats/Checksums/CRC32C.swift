import CChecksums

/// CRC-32C, as PostgreSQL uses it (port/pg_crc32c.h). About 8 GB/s on a processor with SSE4.2.
public struct CRC32C: Sendable {
    private var state: UInt32 = 0xFFFF_FFFF

    public init() {}

    public mutating func update(_ bytes: UnsafeRawBufferPointer) { state = repo_crc32c(state, bytes.baseAddress, bytes.count) }

    public var value: UInt32 { ~state }

    public static func of(_ bytes: UnsafeRawBufferPointer) -> UInt32 {
        var checksum = CRC32C()
        checksum.update(bytes)
        return checksum.value
    }
}
