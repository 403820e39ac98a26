import CLibcrypto

/// An X25519 key pair (RFC 7748).
public struct AgreementKey: Sendable {
    public static let byteCount = 32

    /// The private key.
    public let secret: SecretBytes
    private let key: HeldKey
    /// 32 bytes.
    public let publicKey: [UInt8]

    /// Derives the public key: about 40 µs. Traps unless the private key has 32 bytes.
    public init(privateKey: [UInt8]) { self.init(secret: SecretBytes(privateKey)) }

    /// The same of a secret.
    public init(secret: SecretBytes) {
        self.secret = secret
        key = HeldKey(.x25519, secret)
        publicKey = key.publicKey
    }

    public static func generate() -> AgreementKey { AgreementKey(secret: .random(byteCount)) }

    /// 32 bytes, a copy that the caller keeps no longer than needed.
    public var privateKey: [UInt8] { secret.bytes }

    /// The 32 bytes that both sides share; nil when `peer` is not 32 bytes, or a point of low order, with
    /// which every private key would give zeros (RFC 7748, 6.1).
    public func sharedSecret(with peer: [UInt8]) -> SecretBytes? {
        guard let peer = RawKey(.x25519, publicKey: peer) else { return nil }
        guard let context = EVP_PKEY_CTX_new(key.pointer, nil) else { fatalError("out of memory for a key") }
        defer { EVP_PKEY_CTX_free(context) }
        precondition(EVP_PKEY_derive_init(context) == 1, "EVP_PKEY_derive_init failed")
        guard EVP_PKEY_derive_set_peer(context, peer.pointer) == 1 else { return nil }
        var count = AgreementKey.byteCount
        var isGood = false
        let shared = SecretBytes(count: count) { space in
            isGood = EVP_PKEY_derive(context, space.bindMemory(to: UInt8.self).baseAddress, &count) == 1 && count == space.count && space.contains { $0 != 0 }
        }
        return isGood ? shared : nil
    }
}
