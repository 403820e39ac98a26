import BlobEngine
import RepoBase

/// The frame of objects that any key of the repository makes and full keys alone read (format.md, 7): sealed with a data key, which is sealed to the
/// epoch's public key and then forgotten.
struct EnvelopedFrame: Sendable {
    let magic: [UInt8]
    let info: String
    let context: [UInt8]
    /// What it is, for messages.
    let name: String
    /// The size that a reader refuses.
    let byteLimit: Int

    /// - Parameters:
    ///   - magic: 8 bytes.
    ///   - word: in `repo <word> v1`.
    init(magic: String, word: String, name: String, byteLimit: Int) {
        precondition(magic.utf8.count == 8)
        self.magic = Array(magic.utf8)
        info = "repo \(word) v1"
        context = Array("repo \(word) v1\0".utf8)
        (self.name, self.byteLimit) = (name, byteLimit)
    }

    private static let version: UInt32 = 1
    private static let prefixCount = 16
    /// What precedes the signature and is sealed as associated data.
    private static let headerCount = 112
    private static let dataKeyCount = 32
    private static let envelopeCount = dataKeyCount + Envelope.overheadByteCount

    /// Throws `.failed` when it is larger than a reader takes, or when what was sealed does not open to what it was.
    func encode(_ fields: [UInt8], epoch: EpochKeys, signer: SigningKey) throws(RepoError) -> [UInt8] {
        let dataKey = SecretBytes.random(Self.dataKeyCount)
        var writer = ByteWriter()
        writer.raw(magic)
        writer.u32(Self.version)
        writer.u32(epoch.epoch)
        writer.raw(Envelope.seal(dataKey, to: epoch.publicKey, info: info, associated: writer.bytes))
        writer.raw(signer.id.bytes)
        let header = writer.bytes
        let cipher = AuthenticatedCipher(key: dataKey)
        let sealed = cipher.seal(nonce: .zero, associated: header, fields)
        guard cipher.open(nonce: .zero, associated: header, sealed) == fields else {
            throw RepoError(.failed, "the \(name) did not open to what was sealed", advice: "Test this machine's memory.")
        }
        writer.raw(signer.sign(signedMessage(sealed: sealed, header: header)))
        writer.raw(sealed)
        guard writer.count <= byteLimit else {
            throw RepoError(.failed, "the \(name) would have \(writer.count) bytes, more than \(byteLimit)")
        }
        return writer.bytes
    }

    /// Verifies and opens. The caller has compared the object's name with the hash of `bytes`.
    ///
    /// Throws `.wrongKey` for a writer's key ring, `.damaged` naming `object` for the rest.
    func open(_ bytes: [UInt8], object: String, keyRing: KeyRing) throws(RepoError) -> [UInt8] {
        var reader = ByteReader(bytes, object: object)
        guard try reader.raw(8).elementsEqual(magic) else { throw reader.fail("it does not begin as a \(name)") }
        let version = try reader.u32()
        guard version == Self.version else {
            throw reader.fail("its version \(version) is unknown; a newer repo may have written it")
        }
        let number = try reader.u32()
        let envelope = try reader.raw(Self.envelopeCount)
        let signer = KeyID(bytes: try reader.raw(KeyID.byteCount))!
        let signature = try reader.raw(Signature.byteCount)
        let sealed = Array(try reader.raw(reader.remaining))
        let header = Array(bytes[..<Self.headerCount])
        try keyRing.verify(signature, of: signedMessage(sealed: sealed, header: header), by: signer, object: object)
        let epoch = try keyRing.requireEpoch(number, object: object)
        guard let agreement = epoch.agreement else {
            throw RepoError(
                .wrongKey, "a writer key can write and not read, so it cannot open \(object)",
                advice: "Use a full key.")
        }
        let associated = Array(bytes[..<Self.prefixCount])
        guard
            let dataKey = Envelope.open(envelope, with: agreement, info: info, associated: associated),
            dataKey.count == Self.dataKeyCount,
            let fields = AuthenticatedCipher(key: dataKey).open(nonce: .zero, associated: header, sealed)
        else { throw .damaged(object, "it does not open with the keys of epoch \(number)") }
        return fields
    }

    /// The signer's id, of bytes that `open` has verified; nil where they are too short.
    static func signer(_ bytes: [UInt8]) -> KeyID? {
        bytes.count < headerCount ? nil : KeyID(bytes: bytes[(headerCount - KeyID.byteCount)..<headerCount])
    }

    private func signedMessage(sealed: [UInt8], header: [UInt8]) -> [UInt8] {
        context + ObjectHasher.hash(sealed).bytes + header
    }
}
