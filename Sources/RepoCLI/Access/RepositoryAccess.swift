import RepoBase
import Repository
import Storage

extension CommandContext {
    /// The repository that the command line, the environment or the configuration names.
    func location() throws -> RepositoryLocation { try RepositoryLocation(parsing: locationText()) }

    /// As it was written.
    func locationText() throws -> String {
        guard
            let text = try options.repository ?? console.variable("REPO_URL")
                ?? configuration().repository.url
        else {
            throw RepoError(
                .usage, "no repository was named",
                advice: "Use --repo, the environment variable REPO_URL, or url in the configuration.")
        }
        return text
    }

    func credentialSource() throws -> CredentialSource {
        try CredentialSource.choose(options, console, configuration().repository)
    }

    /// Unlocks the repository.
    ///
    /// Throws `.noRepository` before any password is asked for, and `.wrongKey`.
    func openRepository() throws -> OpenRepository {
        let location = try location()
        let store = try location.open(self)
        return try openRepository(store)
    }

    /// Unlocks the repository for a command that delivers what can be read: damaged parts of the index are warned of and left out.
    func openRepositoryForReading() throws -> OpenRepository {
        let repository = try openRepository()
        let told = Monitor<Set<StoreKey>>([])
        let context = self
        repository.acceptPartialIndex { key, error in
            guard told.withLock({ $0.insert(key).inserted }) else { return }
            context.warn("\(error.message); what only it names cannot be read. Run 'repo repair index'.")
        }
        return repository
    }

    func openRepository(_ store: any Store) throws -> OpenRepository {
        guard try store.stat(StoreKey("config")) != nil else {
            // Words what is missing.
            _ = try KeyRing.open(store, .password([]))
            throw RepoError(.noRepository, "there is no repository in \(store.location)")
        }
        let credentials = try credentialSource().credentials(console, prompt: "Password of \(store.location)")
        let keys = try KeyRing.open(store, credentials)
        return try OpenRepository(
            store: store, keys: keys, cacheDirectory: cacheDirectory() + "/\(keys.repositoryID)")
    }

    /// As the XDG Base Directory Specification has it.
    func cacheDirectory() -> String {
        if let folder = options.cacheDir ?? console.variable("REPO_CACHE_DIR") { return folder }
        if let caches = console.variable("XDG_CACHE_HOME"), caches.hasPrefix("/") { return caches + "/repo" }
        if let home = console.variable("HOME") { return home + "/.cache/repo" }
        return "/var/cache/repo"
    }
}
