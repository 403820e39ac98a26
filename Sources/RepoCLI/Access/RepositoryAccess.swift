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
        return try openRepository(location.open(self), copies: location.isRemote)
    }

    /// Unlocks the repository for a command that is to find out what the store holds: nothing comes from copies on this machine.
    func openRepositoryPastCopies() throws -> OpenRepository { try openRepository(location().open(self), copies: false) }

    /// Runs `body` on a remote repository with the keys that opened it the last time, which saves the requests for them, where they are
    /// remembered; and again on the repository as it is, where `body` returns nil, or fails for what may have changed since.
    /// - Parameter body: only reads. Returns nil for an answer that must not be given on what is only remembered; never where `isSure`.
    func withRememberedKeys<Answer>(_ body: (_ repository: OpenRepository, _ isSure: Bool) throws -> Answer?) throws -> Answer {
        let location = try location()
        let source = try credentialSource()
        if location.isRemote, source != .terminal {
            let credentials = try source.credentials(console, prompt: "")
            defer { credentials.wipe() }
            let remembered = RememberedOpening(cacheDirectory(), location: try locationText(), credentials)
            if let keys = remembered.open(credentials) {
                do {
                    let store = try location.open(self)
                    // What is missing is said of the repository as it is.
                    let watch = try freshnessWatch(keys, location, store, isSilent: true)
                    if let answer = try body(try openRepository(store, keys, copies: true, watch), false) { return answer }
                } catch let error as RepoError where [.damaged, .notFound, .noRepository, .wrongKey, .conflict].contains(error.code) {
                    // Perhaps another repository is there by now, or keys have changed.
                }
                remembered.forget()
            }
        }
        guard let answer = try body(openRepository(), true) else { preconditionFailure("no answer from the repository as it is") }
        return answer
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

    private func openRepository(_ store: any Store, copies: Bool) throws -> OpenRepository {
        let source = try credentialSource()
        // Nobody types a password for what is not there. Otherwise the opening itself says so.
        if source == .terminal, try store.stat(StoreKey("config")) == nil { _ = try KeyRing.open(store, .password([])) }
        let credentials = try source.credentials(console, prompt: "Password of \(store.location)")
        defer { credentials.wipe() }
        let remembered = try RememberedOpening(cacheDirectory(), location: locationText(), credentials)
        var keys = try location().isRemote ? remembered.openAnew(store, credentials) : KeyRing.open(store, credentials)
        let watch = try freshnessWatch(keys, location(), store)
        try watch.compareConfig(&keys, store)
        return try openRepository(store, keys, copies: copies, watch)
    }

    private func openRepository(_ store: any Store, _ keys: KeyRing, copies: Bool, _ watch: FreshnessWatch) throws -> OpenRepository {
        let folder = cacheDirectory() + "/\(keys.repositoryID)"
        let limit = try copies ? cacheSize() : 0
        let repository = try OpenRepository(
            // The past has another index, whose tables would take the place of the present one's.
            store: store, keys: keys, cacheDirectory: store.isReadOnly ? folder + "-past" : folder,
            objects: limit > 0 ? ObjectCache(folder: folder + "/objects", limit: limit) : nil, isRemote: location().isRemote,
            freshness: watch)
        let context = self
        repository.whenCacheFails { context.warn($0) }
        return repository
    }

    /// Bytes that copies of a remote repository's objects may take. Throws `.usage`.
    private func cacheSize() throws -> UInt64 {
        if let text = console.variable("REPO_CACHE_SIZE") {
            guard let size = text == "0" ? 0 : ByteCount.parse(text) else {
                throw RepoError(.usage, "REPO_CACHE_SIZE is '\(text)'", advice: "It is a size as 1G, or 0 for no copies.")
            }
            return size
        }
        return try configuration().repository.cacheSize ?? ObjectCache.standardLimit
    }

    /// As the XDG Base Directory Specification has it.
    func cacheDirectory() -> String {
        if let folder = options.cacheDir ?? console.variable("REPO_CACHE_DIR") { return folder }
        if let caches = console.variable("XDG_CACHE_HOME"), caches.hasPrefix("/") { return caches + "/repo" }
        if let home = console.variable("HOME") { return home + "/.cache/repo" }
        return "/var/cache/repo"
    }
}
