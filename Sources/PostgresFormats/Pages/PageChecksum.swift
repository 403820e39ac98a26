/// The checksum of a data page: 32 FNV-1a hashes side by side, folded (`pg_checksum_page`, storage/checksum_impl.h).
enum PageChecksum {
    /// `checksumBaseOffsets`.
    private static let bases = SIMD32<UInt32>(
        0x5B1F_36E9, 0xB852_5960, 0x02AB_50AA, 0x1DE6_6D2A, 0x79FF_467A, 0x9BB9_F8A3, 0x217E_7CD2, 0x83E1_3D2C,
        0xF8D4_474F, 0xE39E_B970, 0x42C6_AE16, 0x9932_16FA, 0x7B09_3B5D, 0x98DA_FF3C, 0xF718_902A, 0x0B1C_9CDB,
        0xE58F_764B, 0x1876_36BC, 0x5D7B_3BB1, 0xE73D_E7DE, 0x92BE_C979, 0xCCA6_C0B2, 0x304A_0979, 0x85AA_43D4,
        0x7831_25BB, 0x6CA8_EAA2, 0xE407_EAC6, 0x4B5C_FC3E, 0x9FBF_8C76, 0x15CA_20BE, 0xF2CA_9FD3, 0x959B_D756)

    @inline(__always)
    private static func round(_ sums: inout SIMD32<UInt32>, _ values: SIMD32<UInt32>) {
        let mixed = sums ^ values
        sums = mixed &* SIMD32(repeating: 16_777_619) ^ mixed &>> SIMD32(repeating: 17)
    }

    /// - Parameter page: whole, a multiple of 128 bytes.
    static func of(_ page: UnsafeRawBufferPointer, block: UInt32) -> UInt16 {
        let start = page.baseAddress.unsafelyUnwrapped
        var sums = bases
        // pd_checksum, the low half of the third word, counts as 0.
        var first = start.loadUnaligned(as: SIMD32<UInt32>.self)
        first[2] &= 0xFFFF_0000
        round(&sums, first)
        var offset = 128
        while offset < page.count {
            round(&sums, start.loadUnaligned(fromByteOffset: offset, as: SIMD32<UInt32>.self))
            offset += 128
        }
        round(&sums, .zero)
        round(&sums, .zero)
        let sixteen = sums.lowHalf ^ sums.highHalf
        let eight = sixteen.lowHalf ^ sixteen.highHalf
        let four = eight.lowHalf ^ eight.highHalf
        let folded = four[0] ^ four[1] ^ four[2] ^ four[3] ^ block
        return UInt16(folded % 65_535 + 1)
    }
}
