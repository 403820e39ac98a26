import BlobEngine
import RepoBase
import Testing

/// Bytes of a hexadecimal literal.
func unhex(_ text: String) -> [UInt8] { Hexadecimal.decode(text)! }

@Suite struct SealingCipherTests {
    /// AES-256 cases 13 to 16 of McGrew and Viega, "The Galois/Counter Mode of Operation", appendix B, which
    /// NIST took over for SP 800-38D.
    static let vectors: [(key: String, nonce: String, associated: String, plain: String, sealed: String)] = [
        (
            String(repeating: "0", count: 64), String(repeating: "0", count: 24), "", "",
            "530f8afbc74536b9a963b4f1c4cb738b"
        ),
        (
            String(repeating: "0", count: 64), String(repeating: "0", count: 24), "",
            String(repeating: "0", count: 32),
            "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919"
        ),
        (
            "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308", "cafebabefacedbaddecaf888",
            "feedfacedeadbeeffeedfacedeadbeefabaddad2",
            "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
                + "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
            "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
                + "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f66276fc6ece0f4e1768cddf8853bb2d551b"
        ),
    ]

    @Test(arguments: vectors)
    func `the standard's vectors are reproduced and open again`(
        vector: (key: String, nonce: String, associated: String, plain: String, sealed: String)
    ) {
        let cipher = AuthenticatedCipher(key: unhex(vector.key))
        let nonce = SealingNonce(unhex(vector.nonce))
        let associated = unhex(vector.associated)
        // Twice, since a context is used for many messages.
        for _ in 0..<2 {
            let sealed = cipher.seal(nonce: nonce, associated: associated, unhex(vector.plain))
            #expect(sealed == unhex(vector.sealed))
            #expect(cipher.open(nonce: nonce, associated: associated, sealed) == unhex(vector.plain))
        }
    }

    @Test func `messages of every length around a block open again`() {
        let cipher = AuthenticatedCipher(key: RandomBytes.make(32))
        for count in 0...70 {
            let plain = RandomBytes.make(count)
            let associated = RandomBytes.make(count % 20)
            let sealed = cipher.seal(nonce: .ordinal(UInt32(count)), associated: associated, plain)
            #expect(sealed.count == count + 16)
            #expect(cipher.open(nonce: .ordinal(UInt32(count)), associated: associated, sealed) == plain)
        }
    }

    @Test func `every changed bit of message, tag, nonce, associated data and key is refused`() {
        let key = RandomBytes.make(32)
        let cipher = AuthenticatedCipher(key: key)
        let associated = Array("associated".utf8)
        let sealed = cipher.seal(nonce: .ordinal(7), associated: associated, Array("some message".utf8))
        for bit in 0..<sealed.count * 8 {
            #expect(cipher.open(nonce: .ordinal(7), associated: associated, flipped(sealed, bit)) == nil)
        }
        for bit in 0..<associated.count * 8 {
            #expect(cipher.open(nonce: .ordinal(7), associated: flipped(associated, bit), sealed) == nil)
        }
        for bit in 0..<96 {
            let nonce = SealingNonce(flipped(SealingNonce.ordinal(7).bytes, bit))
            #expect(cipher.open(nonce: nonce, associated: associated, sealed) == nil)
        }
        for bit in 0..<256 {
            let other = AuthenticatedCipher(key: flipped(key, bit))
            #expect(other.open(nonce: .ordinal(7), associated: associated, sealed) == nil)
        }
        // The failures before leave the cipher as it was.
        #expect(cipher.open(nonce: .ordinal(7), associated: associated, sealed) != nil)
    }

    @Test func `a message shorter than its tag or cut short is refused`() {
        let cipher = AuthenticatedCipher(key: RandomBytes.make(32))
        let sealed = cipher.seal(nonce: .zero, associated: [], RandomBytes.make(40))
        for count in 0..<sealed.count {
            #expect(cipher.open(nonce: .zero, associated: [], sealed.prefix(count)) == nil)
        }
    }

    @Test func `an ordinal is a little-endian number before zeros`() {
        #expect(SealingNonce.ordinal(0x0102_0304).bytes == [4, 3, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0])
        #expect(SealingNonce.zero.bytes == [UInt8](repeating: 0, count: 12))
        #expect(SealingNonce(Array(0..<12)).bytes == Array(0..<12))
        #expect(SealingNonce.random() != SealingNonce.random())
    }
}

/// A copy with one bit changed.
private func flipped(_ bytes: [UInt8], _ bit: Int) -> [UInt8] {
    var copy = bytes
    copy[bit / 8] ^= 1 << (bit % 8)
    return copy
}
