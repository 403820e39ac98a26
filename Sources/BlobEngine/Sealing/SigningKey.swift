import CLibcrypto

/// An Ed25519 key pair (RFC 8032).
public struct SigningKey: Sendable {
    public static let seedByteCount = 32
    public static let publicKeyByteCount = 32

    /// The seed.
    public let secret: SecretBytes
    private let key: HeldKey
    /// 32 bytes.
    public let publicKey: [UInt8]

    /// Derives the public key: about 40 µs. Traps unless the seed has 32 bytes.
    public init(seed: [UInt8]) {
        self.init(secret: SecretBytes(seed))
    }

    /// The same of a secret.
    public init(secret: SecretBytes) {
        self.secret = secret
        key = HeldKey(.ed25519, secret)
        publicKey = key.publicKey
    }

    public static func generate() -> SigningKey { SigningKey(secret: .random(seedByteCount)) }

    /// 32 bytes, a copy that the caller keeps no longer than needed.
    public var seed: [UInt8] { secret.bytes }

    /// The first half of the hash of the public key (format.md, 1.2).
    public var id: KeyID { KeyID(publicKey: publicKey) }

    /// 64 bytes; the same for the same message. About 40 µs and the message's hashing.
    public func sign(_ message: [UInt8]) -> [UInt8] {
        guard let context = EVP_MD_CTX_new() else { fatalError("out of memory for a signature") }
        defer { EVP_MD_CTX_free(context) }
        precondition(
            EVP_DigestSignInit(context, nil, nil, nil, key.pointer) == 1, "EVP_DigestSignInit failed")
        return [UInt8](unsafeUninitializedCapacity: Signature.byteCount) { buffer, count in
            count = Signature.byteCount
            let status = EVP_DigestSign(context, buffer.baseAddress, &count, message, message.count)
            precondition(status == 1 && count == Signature.byteCount, "EVP_DigestSign failed")
        }
    }
}

/// An Ed25519 signature (RFC 8032): 64 bytes.
public enum Signature {
    public static let byteCount = 64

    /// False for a signature or key of the wrong length too. About 120 µs and the message's hashing.
    public static func isValid(
        _ signature: some Collection<UInt8>, of message: [UInt8], by publicKey: [UInt8]
    ) -> Bool {
        guard signature.count == byteCount, let key = RawKey(.ed25519, publicKey: publicKey) else {
            return false
        }
        guard let context = EVP_MD_CTX_new() else { fatalError("out of memory for a signature") }
        defer { EVP_MD_CTX_free(context) }
        precondition(
            EVP_DigestVerifyInit(context, nil, nil, nil, key.pointer) == 1, "EVP_DigestVerifyInit failed")
        return EVP_DigestVerify(context, Array(signature), byteCount, message, message.count) == 1
    }
}
