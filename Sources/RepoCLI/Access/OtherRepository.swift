import BlobEngine
import RepoBase
import Repository
import Storage

/// A second repository that a command works with: a copy, or what is copied from.
struct OtherRepository {
    let location: RepositoryLocation
    private let credentials: CredentialSource

    /// - Parameter named: where it is and how it is unlocked; without a password or key of its own by what unlocks the first one, which a twin
    ///   shares. Throws `.usage`.
    init(_ named: ConfiguredRepository, _ context: CommandContext) throws {
        guard let url = named.url else { throw RepoError(.usage, "no other repository was named", advice: "Name it with --to.") }
        location = try RepositoryLocation(parsing: url)
        let given: [CredentialSource] =
            [
                named.keyFile.map(CredentialSource.keyFile), named.passwordFile.map(CredentialSource.passwordFile),
                named.passwordCommand.map(CredentialSource.passwordCommand),
            ].compactMap { $0 }
        guard given.count < 2 else {
            throw RepoError(.usage, "two ways to unlock \(url) are given", advice: "Keep one of them.")
        }
        credentials = try given.first ?? context.credentialSource()
    }

    /// Unlocks it. Its index is cached apart from that of the repository beside it: twins share an id, and each would take the other's tables
    /// for stale.
    /// - Parameter isDryRun: it can be read, and nothing is written.
    func open(_ context: CommandContext, isDryRun: Bool = false) throws -> OpenRepository {
        let opened = try location.open(context)
        let store: any Store = isDryRun ? DiscardingStore(opened) : opened
        guard try store.stat(StoreKey("config")) != nil else {
            throw RepoError(
                .noRepository, "there is no repository in \(store.location)",
                advice: "Make one with 'repo init --repo \(store.location) --copy-of' this one, or with 'repo init' and keys of its own.")
        }
        let secret = try credentials.credentials(context.console, prompt: "Password of \(store.location)")
        defer { secret.wipe() }
        var keys = try KeyRing.open(store, secret)
        let place = ObjectHasher.hash(Array(store.location.utf8)).short
        let watch = isDryRun ? nil : try context.freshnessWatch(keys, location, store)
        try watch?.compareConfig(&keys, store)
        let repository = try OpenRepository(
            store: store, keys: keys, cacheDirectory: "\(context.cacheDirectory())/\(keys.repositoryID)-\(place)", isRemote: location.isRemote,
            freshness: watch)
        repository.whenCacheFails { context.warn($0) }
        return repository
    }
}
