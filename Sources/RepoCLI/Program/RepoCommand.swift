import ArgumentParser
import RepoBase

/// `repo`.
struct RepoCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "repo",
        abstract: "Deduplicating, encrypted backups for people who run databases.",
        discussion: """
            A repository holds snapshots of dumps, streams and directory trees. What is stored once is never stored \
            again, and nobody without its password or key can read it.

            Examples:
              repo init --repo /srv/backup
              pg_dump shop | repo snapshot stdin --name shop.sql
              repo snapshots
              repo cat latest:shop.sql shop.sql | psql shop
            """,
        version: "repo \(ProgramVersion.current)",
        subcommands: [
            InitCommand.self, SnapshotCommand.self, SnapshotsCommand.self, LsCommand.self, CatCommand.self,
            DiffCommand.self,
            FindCommand.self, RestoreCommand.self, CheckCommand.self, ForgetCommand.self, PruneCommand.self,
            HoldCommand.self, StatsCommand.self, WALCommand.self, DrillCommand.self, RepairCommand.self, ParityCommand.self, KeyCommand.self,
            StorageCommand.self, CopyCommand.self,
            ManualCommand.self,
        ])
}
