/// Values of format version 1: for the secret 0, 1, … 31 and 6 MiB of `GeneratedBytes(seed: 2026).noise`.
enum Golden {
    /// Of the bytes 0, 1, 97 and 255.
    static let gearWords: [UInt64] = [
        0x1A402D6114DC3CED, 0x01F7E8C0D0090167,
        0x37B4C408BDD03797, 0xE26805B7F3320F01,
    ]
    static let streamLengths = [
        87606, 396710, 81898, 172684, 98629, 262634, 68906, 194793, 264762, 306431, 250893, 137429,
        107718, 179876, 347023, 97260, 312542, 221415, 295474, 129755, 513582, 93912, 112098,
        131665, 399131, 289380, 77831, 213980, 364353, 81086,
    ]
    static let firstSketch: [UInt32] = [0x00FF93E5, 0x01211048, 0x0137EB6E, 0x01D72F2B]
}
