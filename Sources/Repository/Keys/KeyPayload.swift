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

    func encoded() -> SecretBytes {
        let parts = [SecretBytes(repositoryID.bytes + authority), signingKey.secret, agreementKey.secret, idSecret, chunkerSecret]
        return SecretBytes(joining: parts + [authorityKey?.secret].compactMap { $0 })
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

    init(_ payload: SecretBytes, role: KeyRole, object: String) throws(RepoError) {
        let lengths = [RepositoryID.byteCount, SigningKey.publicKeyByteCount, SigningKey.seedByteCount, AgreementKey.byteCount]
            + [KeyPayload.secretByteCount, KeyPayload.secretByteCount] + (role == .full ? [SigningKey.seedByteCount] : [])
        guard payload.count == lengths.reduce(0, +) else { throw .damaged(object, "its payload has \(payload.count) bytes") }
        var parts: [SecretBytes] = []
        var at = 0
        for length in lengths {
            parts.append(payload.part(at..<at + length))
            at += length
        }
        repositoryID = RepositoryID(bytes: parts[0].bytes)!
        authority = parts[1].bytes
        signingKey = SigningKey(secret: parts[2])
        agreementKey = AgreementKey(secret: parts[3])
        idSecret = parts[4]
        chunkerSecret = parts[5]
        if role == .full {
            let authorityKey = SigningKey(secret: parts[6])
            guard authorityKey.publicKey == authority else {
                throw .damaged(object, "its halves of the authority's key do not belong together")
            }
            self.authorityKey = authorityKey
        }
    }
}
