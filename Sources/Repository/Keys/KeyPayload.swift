import BlobEngine
import RepoBase

/// What a key's object keeps wrapped: everything that opening a repository needs besides config (format.md,
/// 4).
struct KeyPayload: Sendable {
    var repositoryID: RepositoryID
    /// Public, 32 bytes: config must be signed by it.
    var authority: [UInt8]
    var signingKey: SigningKey
    var agreementKey: AgreementKey
    var idSecret: SecretBytes
    var chunkerSecret: SecretBytes
    /// The private half of `authority`; nil for a writer.
    var authorityKey: SigningKey?

    static let secretByteCount = 32

    var role: KeyRole { authorityKey == nil ? .writer : .full }

    func encoded() -> [UInt8] {
        var writer = ByteWriter()
        writer.raw(repositoryID.bytes)
        writer.raw(authority)
        writer.raw(signingKey.seed)
        writer.raw(agreementKey.privateKey)
        writer.raw(idSecret.bytes)
        writer.raw(chunkerSecret.bytes)
        if let authorityKey { writer.raw(authorityKey.seed) }
        return writer.bytes
    }

    init(
        repositoryID: RepositoryID, authority: [UInt8], signingKey: SigningKey, agreementKey: AgreementKey,
        idSecret: SecretBytes, chunkerSecret: SecretBytes, authorityKey: SigningKey?
    ) {
        self.repositoryID = repositoryID
        self.authority = authority
        self.signingKey = signingKey
        self.agreementKey = agreementKey
        self.idSecret = idSecret
        self.chunkerSecret = chunkerSecret
        self.authorityKey = authorityKey
    }

    init(_ bytes: [UInt8], role: KeyRole, object: String) throws(RepoError) {
        var reader = ByteReader(bytes, object: object)
        repositoryID = RepositoryID(bytes: try reader.raw(RepositoryID.byteCount))!
        authority = Array(try reader.raw(SigningKey.publicKeyByteCount))
        signingKey = SigningKey(seed: Array(try reader.raw(SigningKey.seedByteCount)))
        agreementKey = AgreementKey(privateKey: Array(try reader.raw(AgreementKey.byteCount)))
        idSecret = SecretBytes(try reader.raw(KeyPayload.secretByteCount))
        chunkerSecret = SecretBytes(try reader.raw(KeyPayload.secretByteCount))
        if role == .full {
            let authorityKey = SigningKey(seed: Array(try reader.raw(SigningKey.seedByteCount)))
            guard authorityKey.publicKey == authority else {
                throw reader.fail("its halves of the authority's key do not belong together")
            }
            self.authorityKey = authorityKey
        }
        try reader.expectEnd()
    }
}
