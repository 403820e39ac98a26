import CISAL

/// An element of GF(2^16), made of two of ISA-L's GF(2^8) (polynomial x^8 + x^4 + x^3 + x^2 + 1): `low + high·t` with `t² = t + 0x20`.
///
/// 0x20 is the smallest number that makes t² + t + c irreducible. With 65,536 elements a group may have thousands of shards, and every product with a
/// constant is four in GF(2^8), which ISA-L makes over vectors (format.md, 13.1).
struct GaloisElement: Hashable {
    let low: UInt8
    let high: UInt8

    static let constant: UInt8 = 0x20

    init(low: UInt8, high: UInt8) { (self.low, self.high) = (low, high) }

    /// By its bits.
    init(_ number: UInt16) { self.init(low: UInt8(truncatingIfNeeded: number), high: UInt8(number >> 8)) }

    static func + (a: GaloisElement, b: GaloisElement) -> GaloisElement { GaloisElement(low: a.low ^ b.low, high: a.high ^ b.high) }

    static func * (a: GaloisElement, b: GaloisElement) -> GaloisElement {
        let both = gf_mul(a.high, b.high)
        return GaloisElement(
            low: gf_mul(a.low, b.low) ^ gf_mul(constant, both),
            high: gf_mul(a.high, b.low) ^ gf_mul(a.low, b.high) ^ both)
    }

    /// Of an element that is not zero: its conjugate over its norm.
    var inverse: GaloisElement {
        let norm = gf_mul(low, low) ^ gf_mul(low, high) ^ gf_mul(Self.constant, gf_mul(high, high))
        let factor = gf_inv(norm)
        return GaloisElement(low: gf_mul(low ^ high, factor), high: gf_mul(high, factor))
    }

    /// What multiplies `(low, high)` of another element: two rows of two.
    var matrix: (UInt8, UInt8, UInt8, UInt8) { (low, gf_mul(Self.constant, high), high, low ^ high) }
}
