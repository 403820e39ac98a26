internal import CB2

/// Decides among candidates which are cuts, by a pseudo-random function that nobody without the chunker secret can compute: SipHash-2-4 of the rolling
/// hash (Aumasson and Bernstein, INDOCRYPT 2012; format.md, 11.1).
///
/// The rolling hash is linear: cuts that are decided by its bits give equations about the table, and a few dozen of them the table (docs/adr/0039-sizes.md).
/// Decided by this, where a chunk ends says nothing about where others do. Costs about 10 ns a candidate, which 1 byte in 128 is.
public struct CutKey: Hashable, Sendable {
    private let k0: UInt64
    private let k1: UInt64

    /// The first 16 bytes of `keyed(chunker secret, "repo cut v1")`.
    /// - Parameter chunkerSecret: 32 bytes; more than 64 trap, as BLAKE2b takes no longer key.
    public init(chunkerSecret: SecretBytes) {
        let message = Array("repo cut v1".utf8)
        var digest = [UInt8](repeating: 0, count: 32)
        let status = chunkerSecret.withUnsafeBytes { blake2b(&digest, message, $0.baseAddress, digest.count, message.count, $0.count) }
        precondition(status == 0, "BLAKE2b refused a chunker secret of \(chunkerSecret.count) bytes")
        self.init(sipHash: digest)
    }

    /// - Parameter key: 16 bytes or more.
    init(sipHash key: [UInt8]) {
        (k0, k1) = key.withUnsafeBytes {
            (UInt64(littleEndian: $0.loadUnaligned(as: UInt64.self)), UInt64(littleEndian: $0.loadUnaligned(fromByteOffset: 8, as: UInt64.self)))
        }
    }

    /// SipHash-2-4 of the 8 little-endian bytes of `value`.
    @inline(__always)
    func hash(_ value: UInt64) -> UInt64 {
        var v0 = k0 ^ 0x736f_6d65_7073_6575
        var v1 = k1 ^ 0x646f_7261_6e64_6f6d
        var v2 = k0 ^ 0x6c79_6765_6e65_7261
        var v3 = k1 ^ 0x7465_6462_7974_6573
        func round() {
            v0 = v0 &+ v1
            v1 = (v1 &<< 13 | v1 &>> 51) ^ v0
            v0 = v0 &<< 32 | v0 &>> 32
            v2 = v2 &+ v3
            v3 = (v3 &<< 16 | v3 &>> 48) ^ v2
            v0 = v0 &+ v3
            v3 = (v3 &<< 21 | v3 &>> 43) ^ v0
            v2 = v2 &+ v1
            v1 = (v1 &<< 17 | v1 &>> 47) ^ v2
            v2 = v2 &<< 32 | v2 &>> 32
        }
        func compress(_ word: UInt64) {
            v3 ^= word
            round()
            round()
            v0 ^= word
        }
        compress(value)
        compress(8 << 56)  // The message's length in the last byte.
        v2 ^= 0xff
        for _ in 0..<4 { round() }
        return v0 ^ v1 ^ v2 ^ v3
    }
}
