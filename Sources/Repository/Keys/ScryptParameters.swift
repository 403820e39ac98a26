/// How costly it is to try a password (RFC 7914): 128 × N × r bytes of memory, and time in proportion to N ×
/// r × p.
public struct ScryptParameters: Hashable, Sendable {
    public let log2N: UInt8
    public let r: UInt8
    public let p: UInt8

    /// Traps outside the limits of format.md, 4.
    public init(log2N: UInt8, r: UInt8, p: UInt8) {
        precondition((10...22).contains(log2N) && (1...32).contains(r) && (1...16).contains(p))
        (self.log2N, self.r, self.p) = (log2N, r, p)
    }

    /// 32 MiB and about a tenth of a second.
    public static let standard = ScryptParameters(log2N: 15, r: 8, p: 1)
}
