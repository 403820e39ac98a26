import BlobEngine
import CChecksums

/// CRC-32C of blocks: tells which block of a damaged object is damaged. Whether a pack came back right is told by its name.
enum BlockChecksum {
    static func of(_ block: UnsafeRawBufferPointer) -> UInt32 {
        ~repo_crc32c(0xFFFF_FFFF, block.baseAddress, block.count)
    }

    /// Of each block of a buffer that holds whole ones.
    static func all(of blocks: UnsafeRawBufferPointer) -> [UInt32] {
        stride(from: 0, to: blocks.count, by: ErasureCode.blockSize).map {
            of(UnsafeRawBufferPointer(rebasing: blocks[$0..<$0 + ErasureCode.blockSize]))
        }
    }
}
