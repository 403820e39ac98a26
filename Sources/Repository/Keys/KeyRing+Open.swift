import BlobEngine
import RepoBase
public import Storage

extension KeyRing {
    /// Unlocks a repository.
    ///
    /// A machine key costs a get of `config` and one of its object, and about a millisecond. A password costs
    /// a listing of `keys/` and, for each password key until one fits, a get and an scrypt.
    ///
    /// Throws `.noRepository` where there is no config, `.wrongKey` for a wrong password or key, one that was
    /// removed or one of another repository, and `.damaged` for a config that was tampered with.
    public static func open(_ store: any Store, _ credentials: Credentials) throws -> KeyRing {
        let config = try ConfigHistory.read(store)
        switch credentials {
        case .machineKey(let content):
            return try open(store, config: config, MachineKeyFile(parsing: content))
        case .password(let password):
            var keyRing = try open(store, config: config, password: password)
            try keyRing.finishInterruptedChange(in: store)
            return keyRing
        }
    }

    private static func open(
        _ store: any Store, config: [UInt8], _ file: MachineKeyFile
    ) throws -> KeyRing {
        let key = WrappedKey.storeKey(file.keyID)
        let bytes: [UInt8]
        do {
            bytes = try store.get(key, atMost: WrappedKey.byteLimit)
        } catch let error as RepoError where error.code == .notFound {
            let entry = RepositoryConfig.claimedKey(file.keyID, in: config, object: ConfigHistory.object)
            guard let entry else { throw KeyError.unknown(file.keyID, nil) }
            guard entry.state == .active else { throw KeyError.removed(file.keyID) }
            throw RepoError(
                .wrongKey, "\(key), which the key file opens, is missing from \(store.location)",
                advice: "Use another key, and make a new one for this machine with 'repo key add'.")
        }
        let wrapped = try WrappedKey(bytes, object: "\(key)")
        guard wrapped.kind == .machine, let payload = try wrapped.unwrap(machineSecret: file.secret),
            payload.signingKey.id == file.keyID
        else {
            try requireWhole(wrapped, key, config)
            throw RepoError(
                .wrongKey, "the key file does not open \(key): one of the two was changed",
                advice: "Use the file as 'repo key add' wrote it, or another key.")
        }
        return try keyRing(payload, config: config, store)
    }

    private static func open(_ store: any Store, config: [UInt8], password: [UInt8]) throws -> KeyRing {
        var failure: (any Error)?
        // In the order of their names, so that the same password meets the same keys in every run.
        for object in try store.list(WrappedKey.prefix).sorted(by: { $0.key < $1.key }) {
            do {
                let bytes = try store.get(object.key, atMost: WrappedKey.byteLimit)
                let wrapped = try WrappedKey(bytes, object: "\(object.key)")
                guard wrapped.kind == .password else { continue }
                guard let payload = try wrapped.unwrap(password: password) else {
                    try requireWhole(wrapped, object.key, config)
                    continue
                }
                guard WrappedKey.storeKey(payload.signingKey.id) == object.key else {
                    throw RepoError.damaged("\(object.key)", "it holds the key \(payload.signingKey.id)")
                }
                return try keyRing(payload, config: config, store)
            } catch let error as RepoError where error.code == .unreachable {
                throw error
            } catch let error as RepoError where error.code == .notFound {
                continue  // removed since the listing
            } catch {
                // Another key may still fit; when none does, this says more than "wrong password".
                failure = failure ?? error
            }
        }
        throw failure
            ?? RepoError(
                .wrongKey, "the password opens no key of the repository in \(store.location)",
                advice: "Check the password, or use a machine key with --key-file.")
    }

    /// Whether a key is as it was made, by what config says of it, which nobody has verified yet: so that damage is not called a wrong password.
    private static func requireWhole(_ wrapped: WrappedKey, _ key: StoreKey, _ config: [UInt8]) throws(RepoError) {
        let name = key.description.dropFirst(WrappedKey.prefix.utf8.count)
        guard let id = KeyID(name), let entry = RepositoryConfig.claimedKey(id, in: config, object: ConfigHistory.object),
            !wrapped.isSigned(by: entry.verifyingKey)
        else { return }
        throw RepoError(
            .damaged, "\(key) is damaged: its signature is wrong, so what it is locked with opens it no more",
            advice: "Use another key or password; 'repo check --heal-from' brings the object back from a copy of the repository.")
    }

    private static func keyRing(_ payload: KeyPayload, config: [UInt8], _ store: any Store) throws -> KeyRing
    {
        let history = ConfigHistory(store: store, authority: payload.authority)
        let signed: SignedConfig
        do {
            signed = try RepositoryConfig.verified(config, object: ConfigHistory.object, authority: payload.authority)
        } catch where error.code == .damaged {
            throw RepoError(error.code, error.message, advice: history.adviceForDamagedConfig())
        }
        if signed.config.key(payload.signingKey.id) == nil {
            // Perhaps the change that added the key was interrupted before it replaced config.
            let latest = try history.latest(from: signed)
            return try KeyRing(payload: payload, config: latest)
        }
        return try KeyRing(payload: payload, config: signed)
    }

    /// Takes up a later generation that a writer made and crashed before it replaced `config`, and replaces
    /// it. That the generation cannot be read, or the store not be written, is no reason not to read with
    /// this one.
    private mutating func finishInterruptedChange(in store: any Store) throws {
        guard let latest = try? history(in: store).latest(from: signedConfig),
            latest.config.generation > config.generation
        else { return }
        self = try KeyRing(payload: payload, config: latest)
        _ = try? history(in: store).publish(latest)
    }

    func history(in store: any Store) -> ConfigHistory { ConfigHistory(store: store, authority: authority) }

    /// Takes up later generations of config: call it when an object names an unknown epoch or signer. Costs
    /// one `stat` when there is none. Throws `.wrongKey` when the own key has been removed.
    public mutating func refresh(from store: any Store) throws {
        let latest = try history(in: store).latest(from: signedConfig)
        guard latest.config.generation > config.generation else { return }
        self = try KeyRing(payload: payload, config: latest)
    }
}
