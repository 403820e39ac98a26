public import BlobEngine
import RepoBase

/// Everything secret and public that an open repository holds in memory.
///
/// A value: it shows one generation of config. `refresh` takes up later ones; changes of keys take up their
/// own.
public struct KeyRing: Sendable {
    var payload: KeyPayload
    var signedConfig: SignedConfig
    /// What the key was granted, by number.
    public private(set) var epochs: [UInt32: EpochKeys]
    /// The keys whose signatures are taken, removed ones too: what they signed while they were active stays.
    private var entries: [KeyID: KeyEntry]

    /// Throws `.wrongKey` when config lists the key as removed or not at all.
    init(payload: KeyPayload, config: SignedConfig) throws(RepoError) {
        try KeyRing.requireActive(payload, in: config.config)
        self.payload = payload
        signedConfig = config
        epochs = try EpochSecrets.open(config.config, for: payload, object: ConfigHistory.object)
        entries = Dictionary(config.config.keys.map { ($0.id, $0) }, uniquingKeysWith: { first, _ in first })
    }

    private static func requireActive(_ payload: KeyPayload, in config: RepositoryConfig) throws(RepoError) {
        let id = payload.signingKey.id
        guard payload.repositoryID == config.repositoryID else {
            throw RepoError(
                .wrongKey,
                "key \(id) is of repository \(payload.repositoryID), not of \(config.repositoryID)",
                advice: "Name the repository that the key was made for.")
        }
        guard let entry = config.key(id) else { throw KeyError.unknown(id, config.repositoryID) }
        guard entry.state == .active else { throw KeyError.removed(id) }
        guard entry.role == payload.role, entry.verifyingKey == payload.signingKey.publicKey,
            entry.agreementKey == payload.agreementKey.publicKey
        else { throw .damaged("\(WrappedKey.storeKey(id))", "config describes the key otherwise") }
    }

    // MARK: The repository

    public var config: RepositoryConfig { signedConfig.config }
    public var repositoryID: RepositoryID { config.repositoryID }
    public var profiles: [ChunkerProfile] { config.profiles }
    /// The public key that signs config.
    public var authority: [UInt8] { payload.authority }
    /// Keys the ids of blobs; 32 bytes.
    public var idSecret: SecretBytes { payload.idSecret }
    /// Makes the gear table; 32 bytes.
    public var chunkerSecret: SecretBytes { payload.chunkerSecret }

    // MARK: The own key

    public var keyID: KeyID { signer.id }
    public var role: KeyRole { payload.role }
    public var signer: SigningKey { payload.signingKey }

    /// Throws `.refused` for a writer key; `what` says what it cannot do, as in "change keys".
    func requireFull(_ what: String) throws(RepoError) -> SigningKey {
        guard let authorityKey = payload.authorityKey else {
            throw RepoError(.refused, "a writer key cannot \(what)", advice: "Use a full key.")
        }
        return authorityKey
    }

    // MARK: Epochs and signers

    public var currentEpoch: EpochKeys { epochs[config.currentEpoch]! }

    /// Nil for an epoch that this generation of config does not know: `refresh` may find it.
    public func epochKeys(_ number: UInt32) -> EpochKeys? { epochs[number] }

    /// The key that verifies the signatures of `id`; nil for one that this generation of config does not
    /// list.
    public func verifyingKey(_ id: KeyID) -> [UInt8]? { entries[id]?.verifyingKey }

    /// What `id` may do, or might while it was active; nil for one that config does not list.
    public func role(of id: KeyID) -> KeyRole? { entries[id]?.role }

    /// Whether the signature is of a listed key. Throws `.damaged` naming `object` otherwise.
    func verify(
        _ signature: some Collection<UInt8>, of message: [UInt8], by id: KeyID, object: String
    ) throws(RepoError) {
        guard let key = verifyingKey(id) else {
            throw .damaged(object, "key \(id), which signed it, is not one of the repository's")
        }
        guard Signature.isValid(signature, of: message, by: key) else {
            throw .damaged(object, "it does not carry a valid signature of key \(id)")
        }
    }

    /// The keys of an epoch. Throws `.damaged` naming `object` when it is not known.
    func requireEpoch(_ number: UInt32, object: String) throws(RepoError) -> EpochKeys {
        guard let keys = epochs[number] else {
            throw .damaged(object, "its epoch \(number) is not one that key \(keyID) knows")
        }
        return keys
    }
}

/// The ways in which a key can be the wrong one, worded once.
enum KeyError {
    static func removed(_ id: KeyID) -> RepoError {
        RepoError(
            .wrongKey, "key \(id) was removed from the repository",
            advice: "Use another key; 'repo key list' with one shows which there are.")
    }

    static func unknown(_ id: KeyID, _ repository: RepositoryID?) -> RepoError {
        let place = repository.map { "repository \($0)" } ?? "this repository"
        return RepoError(
            .wrongKey, "key \(id) is not one of \(place)",
            advice: "Check that the key was made for the repository that you named.")
    }
}
