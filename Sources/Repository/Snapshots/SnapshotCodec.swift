public import BlobEngine
public import RepoBase

/// Seals snapshots so that full keys alone read them, and opens them (format.md, 7).
public enum SnapshotCodec {
    /// The size that a reader refuses (format.md, 1).
    public static let byteLimit = 64 << 20

    private static let magic = Array("reposnap".utf8)
    private static let version: UInt32 = 1
    private static let info = "repo snapshot v1"
    private static let context = Array("repo snapshot v1\0".utf8)
    private static let prefixCount = 16
    /// What precedes the signature and is sealed as associated data.
    private static let headerCount = 112
    private static let dataKeyCount = 32
    private static let envelopeCount = dataKeyCount + Envelope.overheadByteCount

    /// The object's bytes, whose hash is the snapshot's id. Any key can make one, with a data key that it
    /// then forgets.
    ///
    /// Throws `.failed` when the snapshot is larger than a reader takes, or when what was sealed does not
    /// open to what it was.
    public static func encode(
        _ snapshot: Snapshot, epoch: EpochKeys, signer: SigningKey
    ) throws(RepoError) -> [UInt8] {
        let dataKey = RandomBytes.make(dataKeyCount)
        var writer = ByteWriter()
        writer.raw(magic)
        writer.u32(version)
        writer.u32(epoch.epoch)
        writer.raw(Envelope.seal(dataKey, to: epoch.publicKey, info: info, associated: writer.bytes))
        writer.raw(signer.id.bytes)
        let header = writer.bytes
        let cipher = AuthenticatedCipher(key: dataKey)
        let fields = snapshot.encoded()
        let sealed = cipher.seal(nonce: .zero, associated: header, fields)
        guard cipher.open(nonce: .zero, associated: header, sealed) == fields else {
            throw RepoError(
                .failed, "the snapshot did not open to what was sealed", advice: "Test this machine's memory."
            )
        }
        writer.raw(signer.sign(signedMessage(sealed: sealed, header: header)))
        writer.raw(sealed)
        guard writer.count <= byteLimit else {
            throw RepoError(.failed, "the snapshot would have \(writer.count) bytes, more than \(byteLimit)")
        }
        return writer.bytes
    }

    /// Verifies, opens and decodes. The caller has compared the object's name with the hash of `bytes`.
    ///
    /// Throws `.wrongKey` for a writer's key ring, `.damaged` naming `object` for the rest; an epoch or
    /// signer that the key ring does not know is damage too, so callers `refresh` it first where keys may
    /// have changed.
    public static func decode(
        _ bytes: [UInt8], object: String, keyRing: KeyRing
    ) throws(RepoError) -> Snapshot {
        var reader = ByteReader(bytes, object: object)
        guard try reader.raw(8).elementsEqual(magic) else {
            throw reader.fail("it does not begin as a snapshot")
        }
        let version = try reader.u32()
        guard version == self.version else {
            throw reader.fail("its version \(version) is unknown; a newer repo may have written it")
        }
        let number = try reader.u32()
        let envelope = try reader.raw(envelopeCount)
        let signer = KeyID(bytes: try reader.raw(KeyID.byteCount))!
        let signature = try reader.raw(Signature.byteCount)
        let sealed = Array(try reader.raw(reader.remaining))
        let header = Array(bytes[..<headerCount])
        try keyRing.verify(
            signature, of: signedMessage(sealed: sealed, header: header), by: signer, object: object)
        let epoch = try keyRing.requireEpoch(number, object: object)
        guard let agreement = epoch.agreement else {
            throw RepoError(
                .wrongKey, "a writer key can write and not read, so it cannot open \(object)",
                advice: "Use a full key.")
        }
        let associated = Array(bytes[..<prefixCount])
        guard
            let dataKey = Envelope.open(envelope, with: agreement, info: info, associated: associated),
            dataKey.count == dataKeyCount,
            let fields = AuthenticatedCipher(key: dataKey).open(nonce: .zero, associated: header, sealed)
        else { throw .damaged(object, "it does not open with the keys of epoch \(number)") }
        return try Snapshot(fields, object: object)
    }

    private static func signedMessage(sealed: [UInt8], header: [UInt8]) -> [UInt8] {
        context + ObjectHasher.hash(sealed).bytes + header
    }
}
