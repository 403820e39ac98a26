import NumbersTesting

/// Reproducible content for tests.
typealias GeneratedBytes = SeededNumbers

extension SeededNumbers {
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
