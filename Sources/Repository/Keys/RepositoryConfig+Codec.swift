import BlobEngine
import RepoBase

/// A config and the bytes it was decoded from, whose hash the next generation names.
struct SignedConfig: Sendable {
    let config: RepositoryConfig
    let bytes: [UInt8]
}

extension RepositoryConfig {
    static let byteLimit = 16 << 20
    static let labelByteLimit = 255

    private static let magic = Array("repoconf".utf8)
    private static let version: UInt32 = 1
    private static let headerCount = 16
    private static let context = Array("repo config v1\0".utf8)

    // MARK: Encoding

    func signed(by authority: SigningKey) -> SignedConfig {
        let body = encodedBody()
        var writer = ByteWriter(capacity: RepositoryConfig.headerCount + body.count + Signature.byteCount)
        writer.raw(RepositoryConfig.magic)
        writer.u32(RepositoryConfig.version)
        writer.u32(UInt32(body.count))
        let header = writer.bytes
        writer.raw(body)
        writer.raw(authority.sign(RepositoryConfig.signedMessage(body: body, header: header)))
        return SignedConfig(config: self, bytes: writer.bytes)
    }

    private static func signedMessage(body: [UInt8], header: [UInt8]) -> [UInt8] {
        context + ObjectHasher.hash(body).bytes + header
    }

    func encodedBody() -> [UInt8] {
        var writer = ByteWriter()
        writer.field(1) { $0.raw(repositoryID.bytes) }
        writer.field(2) { $0.zigzag(created) }
        writer.field(3) { $0.varint(generation) }
        if let previous { writer.field(4) { $0.hash(previous) } }
        writer.field(5) { $0.raw(authority) }
        for profile in profiles { writer.field(6) { profile.encode(into: &$0) } }
        for key in keys { writer.field(7) { key.encode(into: &$0) } }
        for epoch in epochs { writer.field(8) { epoch.encode(into: &$0) } }
        if let parity { writer.field(16) { $0.varint(parity) } }
        for field in unknownFields { writer.field(field.tag) { $0.raw(field.bytes) } }
        return writer.bytes
    }

    // MARK: Decoding

    /// Decodes and verifies. `authority` is the public key that the caller's own key vouches for.
    static func verified(
        _ bytes: [UInt8], object: String, authority: [UInt8]
    ) throws(RepoError) -> SignedConfig {
        let parts = try split(bytes, object: object)
        let message = signedMessage(body: parts.body, header: parts.header)
        guard Signature.isValid(parts.signature, of: message, by: authority) else {
            throw .damaged(object, "its signature is not that of the repository's authority")
        }
        let config = try decodeBody(parts.body, object: object)
        guard config.authority == authority else { throw .damaged(object, "it names another authority") }
        return SignedConfig(config: config, bytes: bytes)
    }

    /// What unverified bytes say of a key, for a message alone.
    static func claimedKey(_ id: KeyID, in bytes: [UInt8], object: String) -> KeyEntry? {
        guard let parts = try? split(bytes, object: object) else { return nil }
        return (try? decodeBody(parts.body, object: object))?.key(id)
    }

    private static func split(
        _ bytes: [UInt8], object: String
    ) throws(RepoError) -> (header: [UInt8], body: [UInt8], signature: [UInt8]) {
        var reader = ByteReader(bytes, object: object)
        guard try reader.raw(8).elementsEqual(magic) else {
            throw reader.fail("it does not begin as a config")
        }
        let version = try reader.u32()
        guard version == self.version else {
            throw reader.fail("its version \(version) is unknown; a newer repo may have written it")
        }
        let count = Int(try reader.u32())
        guard count <= byteLimit else {
            throw reader.fail("its body has \(count) bytes, more than \(byteLimit)")
        }
        let body = Array(try reader.raw(count))
        let signature = Array(try reader.raw(Signature.byteCount))
        try reader.expectEnd()
        return (Array(bytes[..<headerCount]), body, signature)
    }

    static func decodeBody(_ body: [UInt8], object: String) throws(RepoError) -> RepositoryConfig {
        var reader = ByteReader(body, object: object)
        var repositoryID: RepositoryID?
        var created: Int64 = 0
        var generation: UInt64 = 0
        var previous: ObjectID?
        var authority: [UInt8] = []
        var profiles: [ChunkerProfile] = []
        var keys: [KeyEntry] = []
        var epochs: [EpochEntry] = []
        var parity: UInt64?
        var unknown: [UnknownField] = []
        try reader.fields { (tag, field) throws(RepoError) -> Bool in
            switch tag {
            case 1: repositoryID = RepositoryID(bytes: try field.raw(RepositoryID.byteCount))
            case 2: created = try field.recordedSeconds()
            case 3: generation = try field.varint()
            case 4: previous = try field.hash()
            case 5: authority = Array(try field.raw(SigningKey.publicKeyByteCount))
            case 6: profiles.append(try ChunkerProfile(from: &field))
            case 7: keys.append(try KeyEntry(from: &field))
            case 8: epochs.append(try EpochEntry(from: &field))
            case 16: parity = try field.varint()
            case 17...: unknown.append(UnknownField(tag: tag, bytes: Array(try field.raw(field.remaining))))
            default: return false
            }
            return true
        }
        guard let repositoryID, !authority.isEmpty, !keys.isEmpty, !epochs.isEmpty, generation >= 1 else {
            throw .damaged(object, "a field is missing")
        }
        guard zip(epochs, epochs.dropFirst()).allSatisfy({ $0.number < $1.number }) else {
            throw .damaged(object, "its epochs are out of order")
        }
        guard Set(keys.map(\.id)).count == keys.count else { throw .damaged(object, "it lists a key twice") }
        return RepositoryConfig(
            repositoryID: repositoryID, created: created, generation: generation, previous: previous,
            authority: authority, profiles: profiles, keys: keys, epochs: epochs, parity: parity, unknownFields: unknown)
    }
}

extension KeyEntry {
    fileprivate func encode(into writer: inout ByteWriter) {
        writer.raw(id.bytes)
        writer.u8(role.rawValue)
        writer.u8(kind.rawValue)
        writer.u8(state.rawValue)
        writer.raw(verifyingKey)
        writer.raw(agreementKey)
        writer.zigzag(created)
        writer.text(label)
    }

    fileprivate init(from reader: inout ByteReader) throws(RepoError) {
        let id = KeyID(bytes: try reader.raw(KeyID.byteCount))!
        guard let role = KeyRole(rawValue: try reader.u8()), let kind = KeyKind(rawValue: try reader.u8()),
            let state = KeyState(rawValue: try reader.u8())
        else { throw reader.fail("key \(id) has an unknown role, kind or state") }
        let verifyingKey = Array(try reader.raw(SigningKey.publicKeyByteCount))
        guard KeyID(publicKey: verifyingKey) == id else {
            throw reader.fail("key \(id) is not named after its public key")
        }
        self.init(
            id: id, role: role, kind: kind, state: state, verifyingKey: verifyingKey,
            agreementKey: Array(try reader.raw(AgreementKey.byteCount)), created: try reader.recordedSeconds(),
            label: try reader.text(atMost: RepositoryConfig.labelByteLimit))
    }
}

extension EpochEntry {
    fileprivate func encode(into writer: inout ByteWriter) {
        writer.varint(UInt64(number))
        writer.zigzag(created)
        writer.raw(publicKey)
        writer.varint(grants.count)
        for grant in grants {
            writer.raw(grant.keyID.bytes)
            writer.bytes(grant.envelope)
        }
    }

    fileprivate init(from reader: inout ByteReader) throws(RepoError) {
        number = UInt32(try reader.varint(atMost: Int(UInt32.max), "an epoch"))
        created = try reader.recordedSeconds()
        publicKey = Array(try reader.raw(AgreementKey.byteCount))
        grants = []
        for _ in 0..<(try reader.count(ofAtLeast: KeyID.byteCount + 1 + Envelope.overheadByteCount)) {
            let id = KeyID(bytes: try reader.raw(KeyID.byteCount))!
            grants.append(EpochGrant(keyID: id, envelope: Array(try reader.bytes(atMost: 256))))
        }
    }
}
