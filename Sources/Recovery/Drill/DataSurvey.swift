import Ingest
import PostgresClient
public import PostgresFormats
public import RepoBase
public import Repository

/// Rows that dumps of the same cluster have counted (`snapshot postgres --logical --row-counts`).
public struct RecordedRows: Hashable, Sendable {
    /// When they were counted.
    public var time: FileTime
    public var databases: [ClusterFacts.Database]

    /// The newest counts of this cluster that are not later than `moment`; nil where there are none.
    public init?(_ snapshots: [SnapshotCatalog.Entry], system: UInt64, upTo moment: FileTime?) {
        var newest: ClusterFacts?
        for entry in snapshots where entry.snapshot.kind == ClusterFacts.snapshotKind && !entry.snapshot.facts.isEmpty {
            guard let facts = try? ClusterFacts(entry.snapshot.facts, object: "snapshot \(entry.id.short)"), facts.systemIdentifier == system,
                facts.databases.contains(where: { !$0.rowCounts.isEmpty }), moment.map({ facts.startTime <= $0 }) ?? true,
                newest.map({ $0.startTime < facts.startTime }) ?? true
            else { continue }
            newest = facts
        }
        guard let newest else { return nil }
        (time, databases) = (newest.startTime, newest.databases)
    }
}

/// What is in the restored databases.
struct DataSurvey {
    let server: ThrowawayServer

    /// Each database that can be connected to, with the count of its tables and its size.
    func databases() throws -> [DrillReport.Database] {
        let question = """
            SELECT datname, pg_catalog.pg_database_size(oid) FROM pg_catalog.pg_database WHERE datallowconn ORDER BY datname COLLATE pg_catalog."C"
            """
        let rows = try server.connect(database: server.anyDatabase()).query(question)
        return try (0..<rows.rowCount).map { row in
            let name: String = try rows.value(row, 0, "name of a database")
            let tables = try server.connect(database: name).query(
                """
                SELECT count(*) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
                WHERE c.relkind IN ('r', 'p') AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\\_toast%'
                """)
            return .init(name: name, tables: try tables.value(0, 0, "count of tables"), bytes: try rows.value(row, 1, "size of a database"))
        }
    }

    /// Counts the rows of every table that a dump has counted. The dump was made at another moment, so a difference is no failure: it is for people to judge.
    func rows(_ recorded: RecordedRows, at time: String, existing: [DrillReport.Database]) throws -> [DrillReport.RowCount] {
        var counts: [DrillReport.RowCount] = []
        for database in recorded.databases where !database.rowCounts.isEmpty {
            let connection = existing.contains { $0.name == database.name } ? try server.connect(database: database.name) : nil
            for table in database.rowCounts {
                let name = "\(SQLText.identifier(table.schema)).\(SQLText.identifier(table.table))"
                var rows: UInt64?
                if let connection, try connection.query("SELECT pg_catalog.to_regclass($1)", [name])[0, 0] != nil {
                    rows = try connection.query("SELECT count(*) FROM ONLY \(name)").value(0, 0, "count of rows")
                }
                counts.append(.init(database: database.name, table: name, rows: rows, recorded: table.rows, recordedAt: time))
            }
        }
        return counts
    }
}

extension ThrowawayServer {
    /// A database that is there in any case: `postgres`, or where somebody dropped that, `template1`.
    func anyDatabase() throws -> String {
        do {
            _ = try connect(database: "postgres")
            return "postgres"
        } catch let error as RepoError where error.code != .interrupted {
            return "template1"
        }
    }
}
