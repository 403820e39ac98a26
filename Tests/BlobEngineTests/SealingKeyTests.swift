import BlobEngine
import RepoBase
import Testing

@Suite struct SealingKeyTests {
    /// RFC 8032, 7.1, tests 1 to 3.
    static let signatures: [(seed: String, publicKey: String, message: String, signature: String)] = [
        (
            "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25"
                + "bf5f0595bbe24655141438e7a100b"
        ),
        (
            "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387"
                + "b2eaeb4302aeeb00d291612bb0c00"
        ),
        (
            "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
            "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7"
                + "c15e9716ed28dc027beceea1ec40a"
        ),
    ]

    @Test(arguments: signatures)
    func `Ed25519 reproduces the standard's signatures`(
        vector: (seed: String, publicKey: String, message: String, signature: String)
    ) {
        let key = SigningKey(seed: unhex(vector.seed))
        #expect(key.publicKey == unhex(vector.publicKey))
        #expect(key.seed == unhex(vector.seed))
        #expect(key.sign(unhex(vector.message)) == unhex(vector.signature))
        let isValid = Signature.isValid(
            unhex(vector.signature), of: unhex(vector.message), by: unhex(vector.publicKey))
        #expect(isValid)
    }

    @Test func `every changed byte of a signature, message or key is refused`() {
        let key = SigningKey.generate()
        let message = Array("message".utf8)
        let signature = key.sign(message)
        for index in signature.indices {
            var other = signature
            other[index] ^= 1
            #expect(!Signature.isValid(other, of: message, by: key.publicKey))
        }
        for index in message.indices {
            var other = message
            other[index] ^= 1
            #expect(!Signature.isValid(signature, of: other, by: key.publicKey))
        }
        for index in key.publicKey.indices {
            var other = key.publicKey
            other[index] ^= 1
            #expect(!Signature.isValid(signature, of: message, by: other))
        }
    }

    @Test func `signatures and keys of wrong lengths are refused`() {
        let key = SigningKey.generate()
        let signature = key.sign([1])
        #expect(!Signature.isValid(signature.dropLast(), of: [1], by: key.publicKey))
        #expect(!Signature.isValid(signature + [0], of: [1], by: key.publicKey))
        #expect(!Signature.isValid(signature, of: [1], by: []))
        #expect(!Signature.isValid(signature, of: [1], by: key.publicKey + [0]))
    }

    @Test func `X25519 reproduces the standard's shared secret`() {
        // RFC 7748, 6.1.
        let alice = AgreementKey(
            privateKey: unhex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a"))
        let bob = AgreementKey(
            privateKey: unhex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb"))
        let shared = unhex("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742")
        #expect(
            alice.publicKey == unhex("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a"))
        #expect(bob.publicKey == unhex("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f"))
        #expect(alice.sharedSecret(with: bob.publicKey)?.bytes == shared)
        #expect(bob.sharedSecret(with: alice.publicKey)?.bytes == shared)
    }

    @Test func `points of low order give no shared secret`() {
        let key = AgreementKey.generate()
        for point in [[UInt8](repeating: 0, count: 32), [1] + [UInt8](repeating: 0, count: 31), [], [9]] {
            #expect(key.sharedSecret(with: point) == nil)
        }
    }

    @Test func `an envelope opens with its key, use and associated data alone`() {
        let key = AgreementKey.generate()
        let secret = SecretBytes.random(32)
        let envelope = Envelope.seal(secret, to: key.publicKey, info: "a use", associated: [1, 2])
        #expect(envelope.count == 32 + Envelope.overheadByteCount)
        #expect(Envelope.open(envelope, with: key, info: "a use", associated: [1, 2])?.bytes == secret.bytes)
        #expect(Envelope.open(envelope, with: .generate(), info: "a use", associated: [1, 2]) == nil)
        #expect(Envelope.open(envelope, with: key, info: "another", associated: [1, 2]) == nil)
        #expect(Envelope.open(envelope, with: key, info: "a use", associated: [1]) == nil)
        for index in envelope.indices {
            var other = envelope
            other[index] ^= 1
            // The top bit of an X25519 public key is ignored by the curve, but not by the derivation.
            #expect(Envelope.open(other, with: key, info: "a use", associated: [1, 2]) == nil)
            #expect(Envelope.open(envelope[..<index], with: key, info: "a use", associated: [1, 2]) == nil)
        }
        // Sealing is randomised: nobody can tell that two envelopes hold the same.
        #expect(Envelope.seal(secret, to: key.publicKey, info: "a use", associated: [1, 2]) != envelope)
    }

    @Test func `an envelope is what the format says`() {
        let key = AgreementKey.generate()
        let secret = SecretBytes.random(5)
        let envelope = Envelope.seal(secret, to: key.publicKey, info: "use", associated: [7])
        let ephemeral = Array(envelope[..<32])
        let shared = key.sharedSecret(with: ephemeral)!.bytes
        let wrapping = KeyDerivation.hkdf(shared, salt: ephemeral + key.publicKey, info: Array("use".utf8))
        let sealed = AuthenticatedCipher(key: wrapping).seal(nonce: .zero, associated: [7], secret.bytes)
        #expect(Array(envelope[32...]) == sealed)
    }

    @Test func `a key id is the first half of the public key's hash`() {
        let key = SigningKey.generate()
        let id = key.id
        #expect(id.bytes == Array(ObjectHasher.hash(key.publicKey).bytes.prefix(16)))
        #expect(KeyID(id.description) == id)
        #expect(KeyID(bytes: id.bytes) == id)
        #expect(KeyID(bytes: id.bytes + [0]) == nil)
        #expect(KeyID("0123") == nil)
        #expect(
            KeyID(bytes: [UInt8](repeating: 1, count: 16))! < KeyID(bytes: [UInt8](repeating: 2, count: 16))!)
    }

    /// RFC 5869, appendix A, tests 1 to 3: the first 32 bytes of their output, which do not depend on its
    /// length.
    @Test(arguments: [
        (
            String(repeating: "0b", count: 22), "000102030405060708090a0b0c", "f0f1f2f3f4f5f6f7f8f9",
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf"
        ),
        (
            Hexadecimal.encode(0x00...0x4f), Hexadecimal.encode(0x60...0xaf), Hexadecimal.encode(0xb0...0xff),
            "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c"
        ),
        (
            String(repeating: "0b", count: 22), "", "",
            "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d"
        ),
    ]) func `HKDF reproduces the standard's output`(ikm: String, salt: String, info: String, output: String) {
        #expect(KeyDerivation.hkdf(unhex(ikm), salt: unhex(salt), info: unhex(info)) == unhex(output))
    }

    /// RFC 7914, section 12: the first 32 bytes of the output, which do not depend on its length.
    @Test(arguments: [
        ("", "", 4, 1, 1, "77d6576238657b203b19ca42c18a0497f16b4844e3074ae8dfdffa3fede21442"),
        ("password", "NaCl", 10, 8, 16, "fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b373162"),
        (
            "pleaseletmein", "SodiumChloride", 14, 8, 1,
            "7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2"
        ),
    ])
    func `scrypt reproduces the standard's output`(
        password: String, salt: String, logN: Int, r: Int, p: Int, output: String
    ) throws {
        let key = try KeyDerivation.scrypt(
            password: Array(password.utf8), salt: Array(salt.utf8), logN: logN, r: r, p: p)
        #expect(key == unhex(output))
    }

    @Test(arguments: [(0, 8, 1), (23, 8, 1), (10, 0, 1), (10, 33, 1), (10, 8, 0), (10, 8, 17), (22, 32, 1)])
    func `scrypt refuses parameters beyond the limits before it allocates`(logN: Int, r: Int, p: Int) {
        #expect(throws: RepoError.self) {
            _ = try KeyDerivation.scrypt(password: [1], salt: [2], logN: logN, r: r, p: p)
        }
    }
}
