import ArgumentParser
import BlobEngine
import RepoBase
import Repository
import Storage

struct InitCommand: RepoSubcommand {
    static let configuration = CommandConfiguration(
        commandName: "init",
        abstract: "Make a new repository.",
        discussion: """
            Everything in it is encrypted. Whoever loses the password and every key loses the backups: keep one key \
            in a safe place with 'repo key export'.

            With --copy-of the new repository shares the keys, passwords included, of one that is there, so that 'repo copy' sends objects to \
            it as they are and either can stand in for the other. Keys are then changed in the first, and copied.

            Examples:
              repo init --repo /srv/backup
              repo init --repo /srv/backup --password-file /etc/repo/password
              repo init --repo s3://offsite/backup --copy-of /srv/backup
            """)

    @Option(help: ArgumentHelp("A name for the first key, for people.", valueName: "text"))
    var label = ""
    @Option(help: ArgumentHelp("Share the keys of this repository, which the password or key opens.", valueName: "url"))
    var copyOf: String?
    @OptionGroup(title: "Global options") var global: GlobalOptions

    private struct Result: Encodable {
        let repositoryId: String
        let keyId: String
        let url: String
    }

    func run(_ context: CommandContext) throws -> Int32 {
        let location = try context.location()
        if let copyOf { return try makeTwin(of: copyOf, in: location, context) }
        let source = try context.credentialSource()
        if case .keyFile = source {
            throw RepoError(
                .usage, "a new repository's first key has a password, and a key file was given",
                advice: "Give a password, then make keys for machines with 'repo key add --out FILE'.")
        }
        let credentials = try source.credentials(
            context.console, prompt: "Password for the new repository", isNew: true)
        defer { credentials.wipe() }
        guard case .password(let password) = credentials else { return ExitStatus.usage }
        let store = try proven(location, context)
        let stream = ChunkProfile.stream
        let profiles: [ChunkerProfile] = [
            .keyedContentDefined(
                minimum: stream.minimum, normal: stream.normal, maximum: stream.maximum,
                strictBits: stream.strictBits, looseBits: stream.looseBits),
            .pageAligned(size: PageProfile.relation.chunkSize),
        ]
        let made = try RepositoryCreation.create(
            in: store, .password(password), profiles: profiles, label: label)
        SpaceReserve.keep(in: store)
        try report(made.keyRing, store, context)
        return ExitStatus.done
    }

    /// What is reached over a network has to prove itself. A repository that is there is left to be refused as such.
    private func proven(_ location: RepositoryLocation, _ context: CommandContext) throws -> any Store {
        let store = try location.open(context, creating: true)
        if !(store is LocalStore), try store.stat(StoreKey("config")) == nil {
            try StoreProbe.require(location.openForProbing(context, creating: true), context)
        }
        return store
    }

    private func makeTwin(of url: String, in location: RepositoryLocation, _ context: CommandContext) throws -> Int32 {
        guard label.isEmpty else {
            throw RepoError(.usage, "--label and --copy-of are both given", advice: "A copy shares the keys of the first, labels included.")
        }
        let original = try OtherRepository(ConfiguredRepository(url: url), context).open(context)
        let store = try proven(location, context)
        try TwinRepository.create(in: store, of: original)
        SpaceReserve.keep(in: store)
        try report(original.keys, store, context)
        return ExitStatus.done
    }

    private func report(_ keys: KeyRing, _ store: any Store, _ context: CommandContext) throws {
        if context.options.json {
            try context.console.print(
                JSONOutput.line(
                    Result(repositoryId: "\(keys.repositoryID)", keyId: "\(keys.keyID)", url: store.location))
            )
        } else {
            try context.console.print("repository \(keys.repositoryID) made in \(store.location)")
        }
    }
}
