import PostgresClient
import PostgresFormats
import RepoBase

/// Counts rows in the very snapshot that pg_dump sees: a transaction exports it and stays open until the count is done.
struct RowCounting {
    private let connection: PostgresConnection
    private let tools: DumpTools
    /// What `pg_dump --snapshot` takes.
    let snapshot: String

    init(_ target: ConnectionTarget, _ tools: DumpTools, cancellation: CancellationFlag?) throws(RepoError) {
        self.tools = tools
        connection = try PostgresConnection(target, cancellation: cancellation)
        try connection.query("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        // As pg_dump: rows that a policy hides are an error, not missing.
        try connection.query("SET LOCAL row_security = off")
        snapshot = try connection.query("SELECT pg_catalog.pg_export_snapshot()").value(0, 0, "snapshot")
    }

    func beginListing() throws(RepoError) -> ArchiveListing { try ArchiveListing(tools) }

    /// Exact counts of these tables, by schema and name. Reads each table once.
    func count(_ tables: [UInt32]) throws(RepoError) -> [ClusterFacts.RowCount] {
        var counts: [ClusterFacts.RowCount] = []
        for table in tables {
            // Foreign tables' rows are elsewhere; materialised views are made anew in a restore.
            let answer = try connection.query(
                """
                SELECT n.nspname, c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
                WHERE c.oid = \(table) AND c.relkind IN ('r', 'p')
                """)
            guard let schema = answer[0, 0], let name = answer[0, 1] else { continue }
            let rows = try connection.query("SELECT count(*) FROM ONLY \(SQLText.identifier(schema)).\(SQLText.identifier(name))")
            counts.append(ClusterFacts.RowCount(schema: schema, table: name, rows: try rows.value(0, 0, "count")))
        }
        return counts.sorted { ($0.schema, $0.table) < ($1.schema, $1.table) }
    }
}
