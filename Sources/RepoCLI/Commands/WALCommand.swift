import ArgumentParser
import RepoBase
import WALArchive

struct WALCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "wal",
        abstract: "Archive PostgreSQL's write-ahead log, and bring it back.",
        discussion: """
            Examples:
              archive_command = 'repo wal push %p'
              restore_command = 'repo wal get %f %p'
              repo wal receive --dsn service=main --slot repo --create-slot
              repo wal status
            """,
        subcommands: [WALPushCommand.self, WALGetCommand.self, WALReceiveCommand.self, WALStatusCommand.self, WALPrefetchCommand.self])
}

/// How commands are told which cluster they are about.
struct ClusterArguments: ParsableArguments {
    @Option(help: ArgumentHelp("The cluster's system identifier; by default the data directory tells it.", valueName: "number"))
    var systemIdentifier: UInt64?

    @Option(help: ArgumentHelp("The cluster's data directory; by default that which holds the file.", valueName: "folder"))
    var dataDirectory: String?

    @Option(help: ArgumentHelp("The cluster that this source's base backups are of; needs a key that can read.", valueName: "name"))
    var source: String?

    func validate() throws {
        if source != nil, systemIdentifier != nil { throw ValidationError("--source and --system-identifier exclude each other.") }
    }

    /// The system identifier that was given, or that of a source's newest base backup; nil where neither was named, and for a source without a
    /// base backup. Reads every snapshot where a source was named.
    func identifier(_ archive: () throws -> WALArchive) throws -> UInt64? {
        guard let source else { return systemIdentifier }
        return try archive().systemIdentifier(ofSource: source)
    }
}
