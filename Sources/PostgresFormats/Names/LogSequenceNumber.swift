/// A position in the write-ahead log, in bytes from its beginning (`XLogRecPtr`, access/xlogdefs.h). 0 is no position.
public struct LogSequenceNumber: Hashable, Comparable, Sendable, CustomStringConvertible {
    public var value: UInt64

    public init(_ value: UInt64) { self.value = value }

    public static let invalid = LogSequenceNumber(0)

    /// As PostgreSQL prints it: both halves in hexadecimal, `16/B374D848`. Nil for anything else.
    public init?(_ text: some StringProtocol) {
        let halves = text.split(separator: "/", omittingEmptySubsequences: false)
        guard halves.count == 2, halves.allSatisfy({ (1...8).contains($0.utf8.count) && $0.allSatisfy(\.isHexDigit) }),
            let high = UInt32(halves[0], radix: 16), let low = UInt32(halves[1], radix: 16)
        else { return nil }
        self.init(UInt64(high) << 32 | UInt64(low))
    }

    public var description: String {
        String(value >> 32, radix: 16, uppercase: true) + "/" + String(value & 0xFFFF_FFFF, radix: 16, uppercase: true)
    }

    public static func < (a: LogSequenceNumber, b: LogSequenceNumber) -> Bool { a.value < b.value }
}
