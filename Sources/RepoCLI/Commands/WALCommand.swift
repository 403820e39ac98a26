import ArgumentParser
import RepoBase

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
}
