import Glibc
import Ingest
import PostgresClient
import RepoBase

/// Rows of tables of a throwaway server, those for which a condition holds or all, as a script for psql.
///
/// The condition is the user's SQL. It becomes part of a view's query and of nothing else: the server has to take it as one condition of one SELECT before
/// anything is copied (a statement of the extended protocol is a single one), and names in it are looked up in the database's own search path, whereas
/// values are written as pg_dump does, with nothing in the path.
struct MomentRows {
    /// Rows of one table, and into which they go.
    struct Part {
        let table: TableName
        /// `FROM …` of the query.
        let from: String
        let columns: [String]
        let view: String
    }

    private let connection: PostgresConnection
    private let options: ExtractOptions
    private let name: String
    private let work: ExtractWork

    /// - Parameter name: what conditions call the table.
    init(_ connection: PostgresConnection, options: ExtractOptions, name: String, work: ExtractWork) {
        (self.connection, self.options, self.name, self.work) = (connection, options, name, work)
    }

    /// Throws `.usage` where the condition is to hold for several tables that have nothing to do with each other, and for what has no rows.
    func parts(_ selection: TableSelection, _ relations: [SourceTables.Relation]) throws -> [Part] {
        let kinds = Dictionary(uniqueKeysWithValues: relations.map { ($0.name, $0.kind) })
        guard let first = selection.tables.first else { return [] }
        let asked = selection.asked.filter { kinds[$0] != "S" }
        if options.rows != nil {
            guard isFamily(asked, of: first) else {
                throw RepoError(
                    .usage, "--where is for one table, and \(ArchiveLoad.list(asked.map(\.description))) match",
                    advice: "Nothing was changed. Name one of them.")
            }
        }
        // What is added to a partitioned table finds its partition there; what is made anew has the partitions that it had.
        let tables: [TableName]
        if options.existing == .append {
            let roots = asked.filter { kinds[$0] == "p" }
            tables = roots.isEmpty ? selection.tables.filter { kinds[$0] == "r" } : roots
        } else {
            tables = selection.tables.filter { kinds[$0] == "r" }
        }
        guard !tables.isEmpty else {
            throw RepoError(.usage, "\(first) has no rows of its own to choose from", advice: "Nothing was changed. Name a table.")
        }
        return try tables.enumerated().map { number, table in
            let only = kinds[table] == "p" ? "" : "ONLY "
            return Part(
                table: table, from: "\(only)\(table.sql) AS \(SQLText.identifier(name))", columns: try columns(table), view: "repo_rows_\(number)")
        }
    }

    /// Whether all others come along as the children of the first.
    private func isFamily(_ tables: [TableName], of first: TableName) -> Bool {
        guard let connection = try? connection.query(
            """
            WITH RECURSIVE family(oid) AS (
                SELECT c.oid FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2
                UNION SELECT h.inhrelid FROM pg_catalog.pg_inherits h JOIN family f ON h.inhparent = f.oid)
            SELECT n.nspname, c.relname FROM family f JOIN pg_catalog.pg_class c ON c.oid = f.oid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
            """, [first.schema, first.name])
        else { return false }
        let family = Set(connection.rows.map { TableName(schema: $0[0] ?? "", name: $0[1] ?? "") })
        return family.isSuperset(of: tables)
    }

    /// Generated ones are made by the server that rows go to.
    private func columns(_ table: TableName) throws(RepoError) -> [String] {
        try connection.query(
            """
            SELECT a.attname FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
            JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
            WHERE n.nspname = $1 AND c.relname = $2 AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '' ORDER BY a.attnum
            """, [table.schema, table.name]
        ).rows.compactMap { $0[0] }
    }

    /// Hands the condition to the server, which reads no rows yet. Throws `.usage` with its message where it does not understand it.
    func check(_ parts: [Part]) throws {
        // pg_dump's own (setup_connection, pg_dump.c): values come out so that any server reads them back unchanged.
        for setting in ["IntervalStyle = 'postgres'", "extra_float_digits = 3", "DateStyle = ISO", "row_security = off", "search_path TO DEFAULT"] {
            try connection.query("SET \(setting)")
        }
        for part in parts {
            let columns = part.columns.map(SQLText.identifier).joined(separator: ", ")
            // On lines of its own: a comment that is not closed, or that goes to the line's end, does not reach the rest.
            let condition = options.rows.map { " WHERE (\n\($0)\n)" } ?? ""
            do {
                _ = try connection.query("CREATE TEMPORARY VIEW \(part.view) AS SELECT \(columns) FROM \(part.from)\(condition)", [])
            } catch {
                guard options.rows != nil, error.code == .sourceFailed else { throw error }
                let message = error.message.split(separator: "\(connection.target): ", maxSplits: 1).last.map(String.init) ?? error.message
                throw RepoError(
                    .usage, "the server does not understand --where: \(message)",
                    advice: "Nothing was changed. It is what stands behind WHERE in a query of the table" + (error.advice.isEmpty ? "." : ": \(error.advice)"))
            }
        }
        try connection.query("SELECT pg_catalog.set_config('search_path', '', false)")
    }

    /// Writes the script: what makes the tables, where an archive of them is given, around the rows. Returns how many rows each part has.
    func write(_ parts: [Part], to path: String, around archive: (path: String, prepared: ArchiveLoad.Prepared, folder: String)?) throws -> [UInt64] {
        let out = try ScriptFile(path)
        defer { out.close() }
        if let archive {
            if options.existing == .drop { try out.write(archive.prepared.selection.drops) }
            try section("pre-data", archive, out)
        }
        try out.write(
            """
            SET client_encoding = 'UTF8';
            SET standard_conforming_strings = on;
            SELECT pg_catalog.set_config('search_path', '', false);
            SET client_min_messages = warning;
            SET row_security = off;
            SET DateStyle = ISO;
            SET IntervalStyle = 'postgres';

            """)
        var counts: [UInt64] = []
        for part in parts {
            let columns = part.columns.map(SQLText.identifier).joined(separator: ", ")
            try out.write("\nCOPY \(part.table.sql) (\(columns)) FROM stdin;\n")
            counts.append(
                try connection.copyOut("COPY (SELECT * FROM pg_temp.\(part.view)) TO STDOUT") { row in
                    try work.check()
                    try out.write(row)
                    work.advance(row.count)
                })
            try out.write("\\.\n")
        }
        if let archive {
            try section("data", archive, out)
            try section("post-data", archive, out)
            if archive.prepared.selection.parts.late != nil { try section(nil, archive, out) }
        }
        try out.finish()
        return counts
    }

    /// - Parameter name: nil for what comes last.
    private func section(_ name: String?, _ archive: (path: String, prepared: ArchiveLoad.Prepared, folder: String), _ out: ScriptFile) throws {
        let list = "\(archive.folder)/entries.list"
        let part = "\(archive.folder)/section.sql"
        let parts = archive.prepared.selection.parts
        try TextFile.write(list, name == nil ? parts.late ?? "" : parts.early, owner: .own)
        try FedProgram.run(
            [archive.prepared.tools.restore, "--use-list=\(list)", "--file=\(part)"] + (name.map { ["--section=\($0)"] } ?? []) + archive.prepared.arguments + [archive.path], work,
            advice: "Nothing was changed.")
        try TextFile.pieces(part) { try out.write($0) }
        unlink(part)
    }
}
