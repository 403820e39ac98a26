import BlobEngine
import RepoBase
import Storage

/// The generations of config in a store, and how the next one is made.
///
/// A generation counts from the moment that `configs/<n>` exists, which only one writer can create. `config`
/// is a copy for readers: it is replaced afterwards, by the winner or, when that one crashed, by whoever
/// comes next. Whoever replaces `config` looks for a later generation afterwards, so the last copy to be put
/// is the latest generation, in whatever order slow writers finish.
struct ConfigHistory {
    static let key = StoreKey("config")
    static let object = "config"
    /// Each failed attempt means that another writer's change succeeded.
    private static let attemptLimit = 100

    let store: any Store
    let authority: [UInt8]

    static func generationKey(_ generation: UInt64) -> StoreKey {
        let digits = String(generation)
        return StoreKey("configs/" + String(repeating: "0", count: max(0, 8 - digits.count)) + digits)
    }

    /// `config` as it is. Throws `.noRepository` when there is none.
    static func read(_ store: any Store) throws -> [UInt8] {
        do {
            return try store.get(key, atMost: RepositoryConfig.byteLimit)
        } catch let error as RepoError where error.code == .notFound {
            let hasHistory = try store.stat(generationKey(1)) != nil
            throw RepoError(
                .noRepository, "there is no repository in \(store.location)",
                advice: hasHistory
                    ? "Its config is missing: finish an interrupted 'repo init' by running it again with the "
                        + "same password, or copy the last object below configs/ to config."
                    : "Check the location, or make one with 'repo init'.")
        }
    }

    /// What to do about a `config` that does not verify: no command gets further than that, and a copy of it is nearly always there.
    func adviceForDamagedConfig() -> String {
        let names = (try? store.list("configs/").map(\.key).sorted(by: >)) ?? []
        let whole = names.first { name in
            guard let bytes = try? store.get(name, atMost: RepositoryConfig.byteLimit),
                let found = try? RepositoryConfig.verified(bytes, object: "\(name)", authority: authority)
            else { return false }
            return ConfigHistory.generationKey(found.config.generation) == name
        }
        guard let whole else {
            return "Bring config and what is below configs/ back from a copy of the repository: nothing below configs/ is whole here."
        }
        if whole == names.first { return "\(whole), from which config was copied, is whole: copy it over config." }
        return "\(names[0]) is damaged as well: bring it back from a copy of the repository, and copy it over config. \(whole) is whole, and older."
    }

    /// The latest generation that follows from `start`. Costs one `stat` when `start` is the latest.
    func latest(from start: SignedConfig) throws -> SignedConfig {
        var latest = start
        while let next = try successor(of: latest) { latest = next }
        return latest
    }

    private func successor(of config: SignedConfig) throws -> SignedConfig? {
        let generation = config.config.generation + 1
        let key = ConfigHistory.generationKey(generation)
        let bytes: [UInt8]
        do {
            bytes = try store.get(key, atMost: RepositoryConfig.byteLimit)
        } catch let error as RepoError where error.code == .notFound {
            return nil
        }
        let next = try RepositoryConfig.verified(bytes, object: "\(key)", authority: authority)
        guard next.config.generation == generation, next.config.previous == ObjectHasher.hash(config.bytes)
        else {
            throw RepoError.damaged("\(key)", "it does not follow the generation before it")
        }
        return next
    }

    /// Makes the next generation. `change` may run several times, each time on the latest generation; what it
    /// throws ends the update, with nothing changed.
    func update(
        from start: SignedConfig, by authorityKey: SigningKey,
        _ change: (inout RepositoryConfig) throws -> Void
    ) throws -> SignedConfig {
        var base = start
        for _ in 0..<ConfigHistory.attemptLimit {
            base = try latest(from: base)
            var next = base.config
            try change(&next)
            next.generation = base.config.generation + 1
            next.previous = ObjectHasher.hash(base.bytes)
            let signed = next.signed(by: authorityKey)
            guard signed.bytes.count <= RepositoryConfig.byteLimit else {
                throw RepoError(
                    .failed, "config would have \(signed.bytes.count) bytes, too many to be read again")
            }
            let key = ConfigHistory.generationKey(next.generation)
            if try ConfigHistory.create(key, signed.bytes, in: store) { return try publish(signed) }
        }
        throw RepoError(
            .conflict,
            "the config in \(store.location) was changed by others at each of "
                + "\(ConfigHistory.attemptLimit) attempts", advice: "Try again later.")
    }

    /// False when the object exists with other bytes: another writer was first.
    static func create(_ key: StoreKey, _ bytes: [UInt8], in store: any Store) throws -> Bool {
        do {
            try store.put(key, bytes, .create)
            return true
        } catch let error as RepoError where error.code == .conflict {
            // After a lost answer, a repeated put meets its own object.
            return try store.get(key, atMost: RepositoryConfig.byteLimit) == bytes
        }
    }

    /// Makes `config` a copy of the latest generation again, where a change of keys was interrupted before it did, or an old copy was put back. Costs
    /// a get and a `stat` where nothing is to be done.
    func finishInterruptedChange(from start: SignedConfig) throws {
        let latest = try latest(from: start)
        if try ConfigHistory.read(store) != latest.bytes { try publish(latest) }
    }

    /// Makes `config` a copy of this generation, or of a later one that exists by then.
    @discardableResult
    func publish(_ signed: SignedConfig) throws -> SignedConfig {
        var published = signed
        while true {
            try store.put(ConfigHistory.key, published.bytes, .replace)
            guard let next = try successor(of: published) else { return published }
            published = next
        }
    }
}
