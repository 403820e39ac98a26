/// A secret sealed to an X25519 public key, so that only the private key opens it (format.md, 1.1).
///
/// An ephemeral key pair, its shared secret through HKDF, AES-256-GCM. Whoever seals cannot open again.
/// Each call costs about 150 µs.
public enum Envelope {
    /// What an envelope adds to its secret: the ephemeral public key and the tag.
    public static let overheadByteCount = 48

    /// Traps when `publicKey` is not 32 bytes or is a point of low order: public keys come from a config
    /// that a full key signed.
    public static func seal(
        _ secret: SecretBytes, to publicKey: [UInt8], info: String, associated: [UInt8]
    ) -> [UInt8] {
        let ephemeral = AgreementKey.generate()
        guard let shared = ephemeral.sharedSecret(with: publicKey) else {
            preconditionFailure("not a public key for an envelope")
        }
        let key = wrappingKey(shared, ephemeral: ephemeral.publicKey, recipient: publicKey, info: info)
        let sealed = AuthenticatedCipher(key: key).seal(nonce: .zero, associated: associated, secret)
        return ephemeral.publicKey + sealed
    }

    /// Nil when it was sealed to another key, for another use, or is damaged.
    public static func open(
        _ envelope: some Collection<UInt8>, with key: AgreementKey, info: String, associated: [UInt8]
    ) -> SecretBytes? {
        guard envelope.count >= overheadByteCount else { return nil }
        let ephemeral = Array(envelope.prefix(AgreementKey.byteCount))
        guard let shared = key.sharedSecret(with: ephemeral) else { return nil }
        let wrapping = wrappingKey(shared, ephemeral: ephemeral, recipient: key.publicKey, info: info)
        let sealed = envelope.dropFirst(AgreementKey.byteCount)
        return AuthenticatedCipher(key: wrapping).openSecret(nonce: .zero, associated: associated, sealed)
    }

    private static func wrappingKey(
        _ shared: SecretBytes, ephemeral: [UInt8], recipient: [UInt8], info: String
    ) -> SecretBytes {
        KeyDerivation.hkdf(shared, salt: ephemeral + recipient, info: Array(info.utf8))
    }
}
