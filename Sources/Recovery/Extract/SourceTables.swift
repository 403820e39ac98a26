import PostgresClient
import RepoBase

/// The databases of a throwaway server, and the tables in them.
struct SourceTables {
    let server: ThrowawayServer

    /// A table, view or sequence as the catalogue has it.
    struct Relation: Hashable {
        let name: TableName
        /// `relkind`.
        let kind: String
        let isUnlogged: Bool
        /// Bytes of its rows.
        let bytes: UInt64
    }

    /// Those that let somebody in, but the templates.
    func databases() throws -> [String] {
        try server.connect(database: "template1").query(
            "SELECT datname FROM pg_catalog.pg_database WHERE datallowconn AND NOT datistemplate ORDER BY datname COLLATE \"C\""
        ).rows.compactMap { $0[0] }
    }

    /// What users made.
    func relations(_ connection: PostgresConnection) throws(RepoError) -> [Relation] {
        let answer = try connection.query(
            """
            SELECT n.nspname, c.relname, c.relkind, c.relpersistence = 'u',
                CASE WHEN c.relkind IN ('r', 'm') THEN pg_catalog.pg_table_size(c.oid) ELSE 0 END
            FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
            WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
            ORDER BY n.nspname, c.relname
            """)
        return answer.rows.map { row in
            Relation(
                name: TableName(schema: row[0] ?? "", name: row[1] ?? ""), kind: row[2] ?? "", isUnlogged: row[3] == "t",
                bytes: row[4].flatMap { UInt64($0) } ?? 0)
        }
    }

    /// The database that is meant: the one that is named, or the only one that has all of what was named.
    ///
    /// Throws `.notFound` where there is none, saying at which moment was looked, and `.usage` where there are several.
    func database(_ options: ExtractOptions, moment: String) throws -> String {
        let all = try databases()
        if let database = options.database {
            guard all.contains(database) else {
                throw RepoError(.notFound, "there is no database '\(database)' \(moment)", advice: "There is \(all.joined(separator: ", ")).")
            }
        }
        var found: [String] = []
        var unmatched: TablePattern?
        for database in options.database.map({ [$0] }) ?? all {
            let relations = try relations(server.connect(database: database))
            let missing = Self.unmatched(options, relations)
            if let missing { unmatched = missing } else { found.append(database) }
        }
        if let choice = options.choice(found) { return choice }
        guard found.isEmpty else {
            throw RepoError(
                .usage, "several databases have what was named: \(found.joined(separator: ", "))", advice: "Name one with --database.")
        }
        throw RepoError(
            .notFound, "nothing matches '\(unmatched.map(\.description) ?? "")' \(moment), in database \((options.database.map { [$0] } ?? all).joined(separator: ", "))",
            advice: "Was the table there at that time, in this database? Try another time; names with upper case need double quotes.")
    }

    /// The first pattern that nothing matches.
    private static func unmatched(_ options: ExtractOptions, _ relations: [Relation]) -> TablePattern? {
        for pattern in options.tables where !relations.contains(where: { pattern.matches(schema: $0.name.schema, name: $0.name.name) }) { return pattern }
        for pattern in options.schemas where !relations.contains(where: { pattern.matches(schema: $0.name.schema) }) { return pattern }
        return nil
    }
}
