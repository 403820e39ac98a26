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

            Examples:
              repo init --repo /srv/backup
              repo init --repo /srv/backup --password-file /etc/repo/password
            """)

    @Option(help: ArgumentHelp("A name for the first key, for people.", valueName: "text"))
    var label = ""
    @OptionGroup(title: "Global options") var global: GlobalOptions

    private struct Result: Encodable {
        let repositoryId: String
        let keyId: String
        let url: String
    }

    func run(_ context: CommandContext) throws -> Int32 {
        let location = try context.location()
        let source = try context.credentialSource()
        if case .keyFile = source {
            throw RepoError(
                .usage, "a new repository's first key has a password, and a key file was given",
                advice: "Give a password, then make keys for machines with 'repo key add --out FILE'.")
        }
        let credentials = try source.credentials(
            context.console, prompt: "Password for the new repository", isNew: true)
        guard case .password(let password) = credentials else { return ExitStatus.usage }
        let store = try location.open(context, creating: true)
        // A repository that is there is left to be refused as such.
        if case .remote = location, try store.stat(StoreKey("config")) == nil {
            try StoreProbe.require(location.openForProbing(context), context)
        }
        let stream = ChunkProfile.stream
        let profiles: [ChunkerProfile] = [
            .contentDefined(
                minimum: stream.minimum, normal: stream.normal, maximum: stream.maximum,
                strictBits: stream.strictBits, looseBits: stream.looseBits),
            .pageAligned(size: PageProfile.relation.chunkSize),
        ]
        let made = try RepositoryCreation.create(
            in: store, .password(password), profiles: profiles, label: label)
        SpaceReserve.keep(in: store)
        let keys = made.keyRing
        if context.options.json {
            try context.console.print(
                JSONOutput.line(
                    Result(repositoryId: "\(keys.repositoryID)", keyId: "\(keys.keyID)", url: store.location))
            )
        } else {
            try context.console.print("repository \(keys.repositoryID) made in \(store.location)")
        }
        return ExitStatus.done
    }
}
