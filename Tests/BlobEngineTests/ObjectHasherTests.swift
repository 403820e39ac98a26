import BlobEngine
import CB2
import RepoBase
import Testing

@Suite struct ObjectHasherTests {
    static let lengths = [0, 1, 31, 127, 128, 129, 256, 1000, 100_000]

    @Test(arguments: lengths) func `an object's id is the BLAKE2b-256 of its bytes`(length: Int) {
        let bytes = RandomBytes.make(length)
        #expect(ObjectHasher.hash(bytes).bytes == libb2(bytes, key: []))
    }

    @Test func `pieces hash as the whole, and finishing leaves the stream as it was`() {
        let bytes = RandomBytes.make(2000)
        var hasher = ObjectHasher()
        for start in stride(from: 0, to: 2000, by: 99) {
            #expect(hasher.finish() == ObjectHasher.hash(Array(bytes[..<start])))
            hasher.update(Array(bytes[start..<min(start + 99, 2000)]))
        }
        #expect(hasher.finish() == ObjectHasher.hash(bytes))
    }

    @Test(arguments: BlobType.allCases)
    func `blob ids are keyed hashes under their type's key, alone and side by side`(type: BlobType) {
        let secret = RandomBytes.make(32)
        let key = KeyDerivation.hkdf(
            secret, salt: [], info: Array("repo blob id v1 ".utf8) + [type.rawValue])
        let hasher = BlobHasher(idSecret: secret)
        for count in [0, 1, 7, 8, 9, 40] {
            let blobs = (0..<count).map { RandomBytes.make($0 * 53) }
            let buffers = blobs.map { blob in
                let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: blob.count, alignment: 1)
                copy.copyBytes(from: blob)
                return UnsafeRawBufferPointer(copy)
            }
            defer { buffers.forEach { $0.deallocate() } }
            let expected = blobs.map { libb2($0, key: key) }
            #expect(hasher.ids(type, buffers).map(\.bytes) == expected)
            #expect(buffers.map { hasher.id(type, $0).bytes } == expected)
        }
    }

    @Test func `the same bytes have other ids as another type or under another secret`() {
        let bytes = Array("content".utf8)
        let one = BlobHasher(idSecret: RandomBytes.make(32))
        let two = BlobHasher(idSecret: RandomBytes.make(32))
        let ids = bytes.withUnsafeBytes { bytes in
            BlobType.allCases.flatMap { [one.id($0, bytes), two.id($0, bytes)] }
        }
        #expect(Set(ids).count == 6)
    }

    @Test func `a secret is kept and given back as it was`() {
        #expect(SecretBytes([1, 2, 3]).bytes == [1, 2, 3])
        #expect(SecretBytes([]).count == 0)
        #expect(SecretBytes([9, 8]).withUnsafeBytes { Array($0) } == [9, 8])
    }
}

/// The oracle.
private func libb2(_ message: [UInt8], key: [UInt8]) -> [UInt8] {
    var out = [UInt8](repeating: 0, count: 32)
    precondition(blake2b(&out, message, key, 32, message.count, key.count) == 0)
    return out
}
