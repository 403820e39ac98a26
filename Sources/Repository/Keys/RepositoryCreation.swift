import BlobEngine
import RepoBase
public import Storage

/// Makes a new repository in a store.
public enum RepositoryCreation {
    /// A repository that was made, and its first key.
    public struct Result: Sendable {
        public let keyRing: KeyRing
        /// For a machine key: the text of its file, which is stored nowhere else.
        public let keyFile: String?
    }

    /// Stores the first key, the first generation of config and, as the commit, `config`.
    ///
    /// Throws `.conflict` when there is a repository already. An earlier creation that was interrupted before
    /// its commit is finished when the password is the same.
    public static func create(
        in store: any Store, _ protection: KeyProtection, profiles: [ChunkerProfile], label: String = "",
        scrypt: ScryptParameters = .standard, stamp: JournalStamp = .now()
    ) throws -> Result {
        guard try store.stat(ConfigHistory.key) == nil else { throw exists(store) }
        if try store.stat(ConfigHistory.generationKey(1)) != nil {
            return try finish(in: store, protection, stamp)
        }
        let authorityKey = SigningKey.generate()
        let payload = KeyPayload(
            repositoryID: .random(), authority: authorityKey.publicKey, signingKey: .generate(),
            agreementKey: .generate(), idSecret: .random(KeyPayload.secretByteCount),
            chunkerSecret: .random(KeyPayload.secretByteCount),
            authorityKey: authorityKey)
        let made = try NewKey.make(payload, protection, scrypt)
        let entry = KeyEntry(payload, protection.kind, created: stamp.time, label: label)
        let secrets = EpochSecrets.generate(1)
        let epoch = EpochEntry(1, secrets, created: stamp.time, keys: [entry], in: payload.repositoryID)
        let config = RepositoryConfig(
            repositoryID: payload.repositoryID, created: stamp.time, generation: 1, previous: nil,
            authority: authorityKey.publicKey, profiles: profiles, keys: [entry], epochs: [epoch])
        let signed = config.signed(by: authorityKey)

        try store.put(WrappedKey.storeKey(entry.id), made.object, .create)
        guard try ConfigHistory.create(ConfigHistory.generationKey(1), signed.bytes, in: store) else {
            // Lost a race. The key just stored belongs to no repository.
            try store.delete(WrappedKey.storeKey(entry.id))
            throw exists(store)
        }
        return Result(
            keyRing: try commit(payload, signed, in: store, stamp), keyFile: made.keyFile?.text)
    }

    private static func commit(
        _ payload: KeyPayload, _ signed: SignedConfig, in store: any Store, _ stamp: JournalStamp
    ) throws -> KeyRing {
        let keyRing = try KeyRing(payload: payload, config: signed)
        guard try ConfigHistory.create(ConfigHistory.key, signed.bytes, in: store) else {
            throw exists(store)
        }
        try Journal.append(
            to: store, by: keyRing, stamp, action: "init", subjects: [keyRing.repositoryID.description])
        return keyRing
    }

    /// Commits what an interrupted creation left, if `protection` opens its key.
    private static func finish(
        in store: any Store, _ protection: KeyProtection, _ stamp: JournalStamp
    ) throws -> Result {
        let key = ConfigHistory.generationKey(1)
        let unfinished = RepoError(
            .conflict, "an earlier 'repo init' in \(store.location) did not finish, or is running now",
            advice:
                "Run it again with the password of that time. If nobody knows it, and "
                + "\(store.location) holds no packs, delete what is below configs/ and keys/.")
        guard case .password(let password) = protection else { throw unfinished }
        let config = try store.get(key, atMost: RepositoryConfig.byteLimit)
        for object in try store.list(WrappedKey.prefix) {
            let wrapped = try WrappedKey(
                try store.get(object.key, atMost: WrappedKey.byteLimit), object: "\(object.key)")
            guard wrapped.kind == .password, let payload = try wrapped.unwrap(password: password),
                let signed = try? RepositoryConfig.verified(
                    config, object: "\(key)", authority: payload.authority)
            else { continue }
            return Result(keyRing: try commit(payload, signed, in: store, stamp), keyFile: nil)
        }
        throw unfinished
    }

    private static func exists(_ store: any Store) -> RepoError {
        RepoError(
            .conflict, "there is a repository in \(store.location) already",
            advice: "Use it as it is, or name another location.")
    }
}
