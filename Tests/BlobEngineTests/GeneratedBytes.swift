/// Reproducible content for tests: SplitMix64 (Steele, Lea, Flood 2014).
struct GeneratedBytes: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }

    /// Incompressible bytes: each word little-endian.
    mutating func noise(_ count: Int) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(count + 8)
        while bytes.count < count {
            withUnsafeBytes(of: next().littleEndian) { bytes.append(contentsOf: $0) }
        }
        bytes.removeLast(bytes.count - count)
        return bytes
    }

    /// Lines as a dump of a table has them: compressible to about a third.
    mutating func rows(_ count: Int) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(count + 64)
        var line = 0
        while bytes.count < count {
            line += 1
            bytes += Array("\(line)\tdelivered\t\(next() % 500_000)\tno remarks\t\(next() % 997)\n".utf8)
        }
        bytes.removeLast(bytes.count - count)
        return bytes
    }
}
