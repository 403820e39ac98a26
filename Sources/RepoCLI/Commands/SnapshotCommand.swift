import ArgumentParser

struct SnapshotCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "snapshot",
        abstract: "Back something up.",
        discussion: """
            Without a source, every source of the configuration in turn, as cron runs it; one that fails does not stop \
            the next. With names, those sources.

            Examples:
              repo snapshot
              repo snapshot uploads main-db
              repo snapshot files /srv/www --exclude '*.tmp'
              repo snapshot postgres --dsn 'host=/run/postgresql user=backup'
              pg_dump shop | repo snapshot stdin --name shop.sql
              repo snapshot command --name shop.sql -- pg_dump shop
            """,
        subcommands: [
            SnapshotFilesCommand.self, SnapshotPostgresCommand.self, SnapshotStreamCommand.self, SnapshotProgramCommand.self,
            SnapshotSourcesCommand.self,
        ], defaultSubcommand: SnapshotSourcesCommand.self)
}
