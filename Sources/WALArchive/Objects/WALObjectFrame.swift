import BlobEngine
import PostgresFormats
import RepoBase
import Repository

/// The fixed beginning of an object of the log, and the contexts of what is sealed and signed in it (format.md, 12.2).
struct WALObjectFrame {
    /// Bytes before the sealed description.
    static let length = 192
    static let magic = Array("repowals".utf8)
    static let version: UInt32 = 1
    static let envelopeInfo = "repo wal v1"
    static let signatureContext = Array("repo wal v1\0".utf8)
    static let factsContext = Array("repo wal facts v1".utf8)
    static let identityInfo = "repo wal id v1"
    /// What the envelope binds.
    static let prefixLength = 20
    /// What the signature covers beside the description, and the description's associated data.
    static let headerLength = 128
    private static let pieceContext = Array("repo wal piece v1".utf8)

    let epoch: UInt32
    let descriptionLength: Int
    let envelope: [UInt8]
    let nonce: SealingNonce
    let signer: KeyID
    let signature: [UInt8]
    let header: [UInt8]

    /// Parses the first 192 bytes. Throws `.damaged`, naming `object`.
    init(_ bytes: [UInt8], object: String) throws(RepoError) {
        var reader = ByteReader(bytes, object: object)
        guard try reader.raw(8).elementsEqual(Self.magic) else { throw reader.fail("it does not begin as an object of the log") }
        let version = try reader.u32()
        guard version == Self.version else {
            throw reader.fail("its version \(version) is unknown; a newer repo may have written it")
        }
        epoch = try reader.u32()
        let length = try reader.u32()
        guard length >= 16, length <= UInt32(WALObjectDescription.maximumDescriptionLength) else {
            throw reader.fail("its description has an impossible length")
        }
        descriptionLength = Int(length)
        envelope = Array(try reader.raw(80))
        nonce = SealingNonce(try reader.raw(SealingNonce.byteCount))
        signer = KeyID(bytes: try reader.raw(KeyID.byteCount))!
        signature = Array(try reader.raw(Signature.byteCount))
        header = Array(bytes[..<Self.headerLength])
    }

    static func message(description sealed: [UInt8], header: [UInt8]) -> [UInt8] {
        signatureContext + ObjectHasher.hash(sealed).bytes + header
    }

    /// Checks who signed it, and opens it.
    func openDescription(_ sealed: [UInt8], keys: KeyRing, object: String) throws(RepoError) -> [UInt8] {
        guard sealed.count == descriptionLength else { throw .damaged(object, "it ends early") }
        guard let key = keys.verifyingKey(signer) else {
            throw .damaged(object, "key \(signer), which signed it, is not one of the repository's")
        }
        guard Signature.isValid(signature, of: Self.message(description: sealed, header: header), by: key) else {
            throw .damaged(object, "it does not carry a valid signature of key \(signer)")
        }
        guard let epochKeys = keys.epochKeys(epoch) else {
            throw .damaged(object, "its epoch \(epoch) is not one that key \(keys.keyID) knows")
        }
        let cipher = AuthenticatedCipher(key: epochKeys.indexKey)
        guard let plain = cipher.open(nonce: nonce, associated: header, sealed) else {
            throw .damaged(object, "its description does not open with the keys of epoch \(epoch)")
        }
        return plain
    }

    /// The key of its content and facts. Throws `.wrongKey` for a writer's.
    func openDataKey(keys: KeyRing, object: String) throws(RepoError) -> SecretBytes {
        guard let agreement = keys.epochKeys(epoch)?.agreement else {
            throw RepoError(
                .wrongKey, "a writer key can archive and not read, so it cannot open \(object)", advice: "Use a full key.")
        }
        let associated = Array(header[..<Self.prefixLength])
        guard
            let key = Envelope.open(envelope, with: agreement, info: Self.envelopeInfo, associated: associated),
            key.count == AuthenticatedCipher.keyByteCount
        else { throw .damaged(object, "it does not open with the keys of epoch \(epoch)") }
        return key
    }

    static func factsNonce(_ index: Int) -> SealingNonce {
        var writer = ByteWriter(capacity: SealingNonce.byteCount)
        writer.u32(UInt32(index))
        writer.u32(.max)
        writer.u32(0)
        return SealingNonce(writer.bytes)
    }

    static func pieceAssociated(ordinal: Int, length: UInt32) -> [UInt8] {
        var writer = ByteWriter(capacity: pieceContext.count + 8)
        writer.raw(pieceContext)
        writer.u32(UInt32(ordinal))
        writer.u32(length)
        return writer.bytes
    }
}
