public import BlobEngine
public import RepoBase

/// A small object that any key of the repository reads and writes: an entry of the journal, a hold, a
/// writer's registration, a list of the collector (format.md, 9 and 10).
///
/// Sealed with the index key of an epoch and signed by the key that wrote it.
public struct SealedRecord: Hashable, Sendable {
    /// What a record is about. Each kind has a magic and a signature context of its own, so that one cannot
    /// pass for another.
    public enum Kind: Hashable, Sendable, CaseIterable {
        case journal
        case hold
        case writer
        case collection
        case parity

        var magic: [UInt8] {
            switch self {
            case .journal: Array("repojrnl".utf8)
            case .hold: Array("repohold".utf8)
            case .writer: Array("repowrit".utf8)
            case .collection: Array("repogarb".utf8)
            case .parity: Array("repopari".utf8)
            }
        }

        var context: [UInt8] {
            switch self {
            case .journal: Array("repo journal v1\0".utf8)
            case .hold: Array("repo hold v1\0".utf8)
            case .writer: Array("repo writer v1\0".utf8)
            case .collection: Array("repo collection v1\0".utf8)
            case .parity: Array("repo parity v1\0".utf8)
            }
        }
    }

    /// Who signed it; verified.
    public let signer: KeyID
    public let epoch: UInt32
    public let fields: RecordFields

    /// The size that a reader refuses.
    public static let byteLimit = 64 << 20

    private static let version: UInt32 = 1
    /// What precedes the signature and is sealed as associated data.
    private static let headerCount = 44
    private static let bodyOffset = headerCount + Signature.byteCount

    public static func encode(
        _ kind: Kind, _ fields: RecordFields, epoch: EpochKeys, signer: SigningKey
    ) -> [UInt8] {
        seal(kind, fields.encoded(), epoch: epoch, signer: signer)
    }

    /// Any body in the frame of a record.
    static func seal(_ kind: Kind, _ body: [UInt8], epoch: EpochKeys, signer: SigningKey) -> [UInt8] {
        let nonce = SealingNonce.random()
        var writer = ByteWriter()
        writer.raw(kind.magic)
        writer.u32(version)
        writer.u32(epoch.epoch)
        writer.raw(nonce.bytes)
        writer.raw(signer.id.bytes)
        let header = writer.bytes
        let cipher = AuthenticatedCipher(key: epoch.indexKey)
        let sealed = cipher.seal(nonce: nonce, associated: header, body)
        writer.raw(signer.sign(signedMessage(kind, sealed: sealed, header: header)))
        writer.raw(sealed)
        return writer.bytes
    }

    /// Sealed under the current epoch and signed by the own key.
    public static func encode(_ kind: Kind, _ fields: RecordFields, by keyRing: KeyRing) -> [UInt8] {
        encode(kind, fields, epoch: keyRing.currentEpoch, signer: keyRing.signer)
    }

    /// Verifies, opens and decodes. Throws `.damaged`, naming `object`; an epoch or signer that the key ring
    /// does not know is damage too, so callers `refresh` it first where others may have changed keys
    /// meanwhile.
    public static func decode(
        _ kind: Kind, _ bytes: [UInt8], object: String, keyRing: KeyRing
    ) throws(RepoError) -> SealedRecord {
        let (signer, epoch, body) = try open(kind, bytes, object: object, keyRing: keyRing)
        let fields = try RecordFields(body, object: object)
        if let name = fields.name, name != object { throw .damaged(object, "it is \(name)") }
        return SealedRecord(signer: signer, epoch: epoch, fields: fields)
    }

    /// Verifies and opens the frame of a record, whatever its body is.
    static func open(
        _ kind: Kind, _ bytes: [UInt8], object: String, keyRing: KeyRing
    ) throws(RepoError) -> (signer: KeyID, epoch: UInt32, body: [UInt8]) {
        var reader = ByteReader(bytes, object: object)
        guard try reader.raw(8).elementsEqual(kind.magic) else {
            throw reader.fail("it does not begin as its kind of record")
        }
        let version = try reader.u32()
        guard version == self.version else {
            throw reader.fail("its version \(version) is unknown; a newer repo may have written it")
        }
        let epoch = try reader.u32()
        let nonce = SealingNonce(try reader.raw(SealingNonce.byteCount))
        let signer = KeyID(bytes: try reader.raw(KeyID.byteCount))!
        let signature = try reader.raw(Signature.byteCount)
        let sealed = Array(try reader.raw(reader.remaining))
        let header = Array(bytes[..<headerCount])
        try keyRing.verify(
            signature, of: signedMessage(kind, sealed: sealed, header: header), by: signer, object: object)
        let cipher = AuthenticatedCipher(
            key: try keyRing.requireEpoch(epoch, object: object).indexKey)
        guard let body = cipher.open(nonce: nonce, associated: header, sealed) else {
            throw .damaged(object, "it does not open with the keys of epoch \(epoch)")
        }
        return (signer, epoch, body)
    }

    private static func signedMessage(_ kind: Kind, sealed: [UInt8], header: [UInt8]) -> [UInt8] {
        kind.context + ObjectHasher.hash(sealed).bytes + header
    }
}
