/// Unaligned little-endian numbers: PostgreSQL writes its files in the byte order of its machine, and every machine that this program runs
/// on is little-endian. Callers have checked that the bytes are there.
extension UnsafeRawBufferPointer {
    @inline(__always) func u8(_ offset: Int) -> UInt8 { self[offset] }
    @inline(__always) func u16(_ offset: Int) -> UInt16 { UInt16(littleEndian: loadUnaligned(fromByteOffset: offset, as: UInt16.self)) }
    @inline(__always) func u32(_ offset: Int) -> UInt32 { UInt32(littleEndian: loadUnaligned(fromByteOffset: offset, as: UInt32.self)) }
    @inline(__always) func u64(_ offset: Int) -> UInt64 { UInt64(littleEndian: loadUnaligned(fromByteOffset: offset, as: UInt64.self)) }
    @inline(__always) func i64(_ offset: Int) -> Int64 { Int64(bitPattern: u64(offset)) }

    /// Whether all bytes of the range are zero.
    func isZero(_ range: Range<Int>) -> Bool {
        var offset = range.lowerBound
        while offset + 64 <= range.upperBound {
            if loadUnaligned(fromByteOffset: offset, as: SIMD8<UInt64>.self) != .zero { return false }
            offset += 64
        }
        while offset < range.upperBound {
            if self[offset] != 0 { return false }
            offset += 1
        }
        return true
    }
}
