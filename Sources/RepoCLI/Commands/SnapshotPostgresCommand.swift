import ArgumentParser
import Ingest
import PostgresClient
import RepoBase

struct SnapshotPostgresCommand: RepoSubcommand {
    static let configuration = CommandConfiguration(
        commandName: "postgres",
        abstract: "Back up a PostgreSQL server: its files, or dumps of its databases.",
        discussion: """
            Without --logical: the whole cluster over a replication connection, checked against the server's manifest and page checksums. \
            The role needs REPLICATION, pg_hba.conf a line for 'replication', and a restore the log that 'repo wal' archives, or \
            --with-wal. Passwords come from ~/.pgpass, a service file, or PGPASSWORD.

            Examples:
              repo snapshot postgres --dsn 'host=/run/postgresql user=backup' --name main-db
              repo snapshot postgres --dsn service=main --with-wal --max-rate 50M
              repo snapshot postgres --dsn service=main --logical --exclude-database 'test*' --row-counts
            """)

    @OptionGroup var postgres: PostgresArguments
    @Option(
        help: ArgumentHelp("The source's name; otherwise the server's cluster_name, or 'postgres'.", valueName: "name"))
    var name: String?
    @OptionGroup var snapshot: SnapshotArguments
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run(_ context: CommandContext) throws -> Int32 {
        let source = try postgres.source()
        return try SnapshotRun(context, snapshot).runPostgres(source, name: name) { try snapshot.description($0, context) }
    }
}

/// Options of a PostgreSQL source.
struct PostgresArguments: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "How to reach the server, as libpq takes it: 'host=… user=…', a URI, or 'service=…'.", valueName: "dsn"))
    var dsn: String

    @Flag(help: "Make dumps with pg_dump instead of taking the cluster's files.")
    var logical = false

    @Flag(help: "Put the log into the snapshot as far as its restore needs it, so that it restores alone.")
    var withWal = false
    @Option(help: ArgumentHelp("'fast' asks the server for a checkpoint at once, 'spread' for a gentle one. (default: fast)", valueName: "kind"))
    var checkpoint: String?
    @Option(help: ArgumentHelp("What the server sends at most each second, as in 50M.", valueName: "size"))
    var maxRate: String?
    @Option(help: ArgumentHelp("The backup's label, kept in the snapshot.", valueName: "text"))
    var label: String?

    @Option(
        name: .customLong("database"),
        help: ArgumentHelp("With --logical: only databases whose names match; may be repeated.", valueName: "pattern"))
    var databases: [String] = []
    @Option(
        name: .customLong("exclude-database"),
        help: ArgumentHelp("With --logical: no databases whose names match; may be repeated.", valueName: "pattern"))
    var excludedDatabases: [String] = []
    @Option(
        name: .customLong("schema"),
        help: ArgumentHelp("With --logical: only schemas that match, as pg_dump understands it; may be repeated.", valueName: "pattern"))
    var schemas: [String] = []
    @Option(
        name: .customLong("exclude-schema"),
        help: ArgumentHelp("With --logical: no schemas that match; may be repeated.", valueName: "pattern"))
    var excludedSchemas: [String] = []
    @Option(
        name: .customLong("table"),
        help: ArgumentHelp("With --logical: only tables that match, as pg_dump understands it; may be repeated.", valueName: "pattern"))
    var tables: [String] = []
    @Option(
        name: .customLong("exclude-table"),
        help: ArgumentHelp("With --logical: no tables that match; may be repeated.", valueName: "pattern"))
    var excludedTables: [String] = []
    @Flag(help: "With --logical: count the rows of every table in the same snapshot of the database and record them.")
    var rowCounts = false

    func source() throws(RepoError) -> ConfiguredPostgres {
        var source = ConfiguredPostgres(dsn: dsn)
        source.isLogical = logical
        source.includesLog = withWal
        source.checkpoint = checkpoint
        source.maximumRate = maxRate
        source.label = label
        source.databases = databases
        source.excludedDatabases = excludedDatabases
        source.schemas = schemas
        source.excludedSchemas = excludedSchemas
        source.tables = tables
        source.excludedTables = excludedTables
        source.countsRows = rowCounts
        _ = try source.validated { "--\($0)" }
        return source
    }
}
