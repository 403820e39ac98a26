import BlobEngine
import RepoBase
public import Storage

/// A twin: another repository with the same id, config and keys, made by `repo init --copy-of`. Every object of the one reads in the other,
/// so objects go as they are (docs/copies.md).
///
/// Keys are changed in the repository that was there first; each copy brings the change along. Where both were changed, generations of
/// config no longer follow one another, and nothing is copied until a person has decided.
public enum TwinRepository {
    /// Makes the twin of a repository in an empty store: its keys, its generations of config, and `config` as the commit. One that was
    /// interrupted is finished. Throws `.conflict` where there is a repository.
    public static func create(in store: any Store, of source: OpenRepository, stamp: JournalStamp = .now()) throws {
        try source.requireFullKey("make a copy of the repository")
        let exists = RepoError(
            .conflict, "there is a repository in \(store.location) already", advice: "Use it as it is, or name another location.")
        guard try store.stat(ConfigHistory.key) == nil else { throw exists }
        let latest = try source.keys.history(in: source.store).latest(from: source.keys.signedConfig)
        try sendKeys(latest.config, from: source.store, to: store) { throw $0 }
        var config = latest
        for generation in 1...latest.config.generation {
            config = try self.generation(generation, source)
            guard try ConfigHistory.create(ConfigHistory.generationKey(generation), config.bytes, in: store) else {
                throw RepoError(
                    .conflict, "\(store.location) holds the beginning of another repository",
                    advice: "Name an empty location, or delete what is below configs/ and keys/ if it holds no packs.")
            }
        }
        guard try ConfigHistory.create(ConfigHistory.key, config.bytes, in: store) else { throw exists }
        try Journal.append(
            to: store, by: source.keys, stamp, action: "init copy", subjects: ["\(source.keys.repositoryID)"],
            details: ["of \(source.store.location)"])
    }

    /// Brings what has changed of keys since. To be called before anything is sent, since that may need them.
    static func bringKeys(from source: OpenRepository, to destination: OpenRepository) throws {
        let latest = try source.keys.history(in: source.store).latest(from: source.keys.signedConfig)
        let there = try destination.keys.history(in: destination.store).latest(from: destination.keys.signedConfig)
        let common = min(latest.config.generation, there.config.generation)
        guard try self.generation(common, source).bytes == self.generation(common, destination).bytes else {
            throw RepoError(
                .conflict, "the keys of \(source.store.location) and of its copy in \(destination.store.location) were changed apart from each other",
                advice: "Keys are changed in the repository that was there first. Make a new copy with 'repo init --copy-of'.")
        }
        // The copy's keys were changed and not the original's: everything from here reads there.
        guard there.config.generation <= latest.config.generation else { return }
        // A check names the damage here, and the copy goes on: what it lacks is a way to unlock it, and nobody is helped when it lacks the data as well.
        try sendKeys(latest.config, from: source.store, to: destination.store) { _ in }
        guard there.config.generation < latest.config.generation else { return }
        var config = there
        for generation in there.config.generation + 1...latest.config.generation {
            config = try self.generation(generation, source)
            guard try ConfigHistory.create(ConfigHistory.generationKey(generation), config.bytes, in: destination.store) else {
                throw RepoError(
                    .conflict, "the keys in \(destination.store.location) were changed at the same time", advice: "Copy again.")
            }
        }
        try destination.keys.history(in: destination.store).publish(config)
    }

    private static func generation(_ number: UInt64, _ repository: OpenRepository) throws -> SignedConfig {
        let key = ConfigHistory.generationKey(number)
        let bytes = try repository.store.get(key, atMost: RepositoryConfig.byteLimit)
        return try RepositoryConfig.verified(bytes, object: "\(key)", authority: repository.keys.authority)
    }

    /// The objects of active keys; a changed password replaces the one that was there. Those of removed keys go.
    /// - Parameter onDamaged: told of one that is damaged in the source: it takes nothing's place.
    private static func sendKeys(
        _ config: RepositoryConfig, from source: any Store, to destination: any Store, onDamaged: (RepoError) throws -> Void
    ) throws {
        for entry in config.keys {
            let key = WrappedKey.storeKey(entry.id)
            guard entry.state == .active else {
                try destination.delete(key)
                continue
            }
            let bytes = try source.get(key, atMost: WrappedKey.byteLimit)
            guard let wrapped = try? WrappedKey(bytes, object: "\(key)"), wrapped.isSigned(by: entry.verifyingKey) else {
                try onDamaged(
                    RepoError(
                        .damaged, "\(key) in \(source.location) is damaged, and would be so in the copy",
                        advice: "Run 'repo check --heal-from' where there is a copy, or 'repo key remove' it and add a new one."))
                continue
            }
            if try destination.stat(key) != nil, try destination.get(key, atMost: WrappedKey.byteLimit) == bytes { continue }
            try destination.put(key, bytes, .replace)
        }
    }
}
