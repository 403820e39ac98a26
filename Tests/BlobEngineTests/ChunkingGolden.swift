import BlobEngine

/// Values of format version 1: for the secret 0, 1, … 31 and 6 MiB of `GeneratedBytes(seed: 2026).noise`.
enum Golden {
    /// Of the bytes 0, 1, 97 and 255.
    static let gearWords: [UInt64] = [
        0x1A40_2D61_14DC_3CED, 0x01F7_E8C0_D009_0167,
        0x37B4_C408_BDD0_3797, 0xE268_05B7_F332_0F01,
    ]
    /// Decided by the rolling hash, as in repositories of the first programs.
    static let profile = try! ChunkProfile(minimum: 64 << 10, normal: 256 << 10, maximum: 512 << 10, strictBits: 18, looseBits: 16)
    static let streamLengths = [
        87606, 396710, 81898, 172684, 98629, 262634, 68906, 194793, 264762, 306431, 250893, 137429,
        107718, 179876, 347023, 97260, 312542, 221415, 295474, 129755, 513582, 93912, 112098,
        131665, 399131, 289380, 77831, 213980, 364353, 81086,
    ]
    static let firstSketch: [UInt32] = [0x0093_3A36, 0x012B_1342, 0x0172_06B2, 0x022D_BBDE]
}
