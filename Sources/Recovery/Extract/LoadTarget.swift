import PostgresClient
import PostgresFormats
import RepoBase

/// The database that tables are loaded into: what is there, looked at before anything is changed.
final class LoadTarget {
    let connection: PostgresConnection
    let target: ConnectionTarget
    /// By name: kind (`relkind`), and for indexes the table that they belong to.
    private let relations: [TableName: (kind: String, table: TableName?)]

    /// Connects. Throws `.sourceFailed`.
    init(_ target: ConnectionTarget, cancellation: CancellationFlag?) throws(RepoError) {
        self.target = target
        connection = try PostgresConnection(target, cancellation: cancellation)
        let answer = try connection.query(
            """
            SELECT n.nspname, c.relname, c.relkind, tn.nspname, t.relname FROM pg_catalog.pg_class c
            JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
            LEFT JOIN pg_catalog.pg_index i ON i.indexrelid = c.oid LEFT JOIN pg_catalog.pg_class t ON t.oid = i.indrelid
            LEFT JOIN pg_catalog.pg_namespace tn ON tn.oid = t.relnamespace
            """)
        var relations: [TableName: (kind: String, table: TableName?)] = [:]
        for row in 0..<answer.rowCount {
            guard let schema = answer[row, 0], let name = answer[row, 1], let kind = answer[row, 2] else { continue }
            let table = answer[row, 3].flatMap { schema in answer[row, 4].map { TableName(schema: schema, name: $0) } }
            relations[TableName(schema: schema, name: name)] = (kind, table)
        }
        self.relations = relations
    }

    func has(_ table: TableName) -> Bool { relations[table] != nil }

    /// In schemas, as `schema.name` with a zero character between.
    private func qualified(_ question: String) throws(RepoError) -> Set<TableName> {
        Set(try connection.query(question).rows.compactMap { row in row[0].flatMap { schema in row[1].map { TableName(schema: schema, name: $0) } } })
    }

    // MARK: - What is in the way

    /// Tables, views, sequences and indexes that would be made and are there already, for people. `drops`: they are dropped first.
    func conflicts(_ selection: TableSelection, drops: Bool) -> [String] {
        let own = Set(selection.tables)
        var found: [String] = []
        for table in selection.tables {
            guard let there = relations[table] else { continue }
            if drops, there.kind != "i", there.kind != "I" { continue }
            found.append("\(Self.word(there.kind)) \(table)\(there.table.map { " of table \($0)" } ?? "")")
        }
        for index in Self.indexes(selection) {
            guard let there = relations[index], !own.contains(index) else { continue }
            if let table = there.table, own.contains(table) {
                // It goes with its table, which is named already.
                continue
            }
            found.append("\(Self.word(there.kind)) \(index)\(there.table.map { " of table \($0)" } ?? "")")
        }
        // Sequences of a table that is in the way need not be told.
        let tables = found.filter { !$0.hasPrefix("sequence ") }
        return tables.isEmpty ? found : tables
    }

    /// Names of indexes, those of primary keys and unique constraints among them.
    private static func indexes(_ selection: TableSelection) -> [TableName] {
        selection.entries.compactMap { entry in
            guard let schema = entry.schema else { return nil }
            if entry.kind == "INDEX" { return TableName(schema: schema, name: entry.name) }
            guard entry.kind == "CONSTRAINT" else { return nil }
            let table = selection.tables.filter { $0.schema == schema && entry.name.hasPrefix($0.name + " ") }.max { $0.name.utf8.count < $1.name.utf8.count }
            return table.map { TableName(schema: schema, name: String(entry.name.dropFirst($0.name.count + 1))) }
        }
    }

    private static func word(_ kind: String) -> String {
        switch kind {
        case "r", "p": "table"
        case "v": "view"
        case "m": "materialized view"
        case "S": "sequence"
        case "i", "I": "index"
        case "f": "foreign table"
        case "c": "type"
        default: "relation"
        }
    }

    // MARK: - What would be lost

    /// What depends on tables that are to be dropped and is not made again: foreign keys of other tables, views, tables that inherit.
    func dependents(_ tables: [TableName]) throws(RepoError) -> [String] {
        var found: [String] = []
        let dropped = Set(tables)
        for table in tables where has(table) {
            let answer = try connection.query(
                """
                WITH dropped AS (SELECT c.oid FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
                    WHERE n.nspname = $1 AND c.relname = $2)
                SELECT 'foreign key ' || pg_catalog.quote_ident(k.conname) || ' of table', n.nspname, c.relname FROM pg_catalog.pg_constraint k
                    JOIN pg_catalog.pg_class c ON c.oid = k.conrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
                    WHERE k.contype = 'f' AND k.conparentid = 0 AND k.confrelid IN (SELECT oid FROM dropped)
                UNION SELECT CASE c.relkind WHEN 'm' THEN 'materialized view' WHEN 'v' THEN 'view' ELSE 'a rule of' END, n.nspname, c.relname
                    FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_rewrite r ON r.oid = d.objid
                    JOIN pg_catalog.pg_class c ON c.oid = r.ev_class JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
                    WHERE d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
                    AND d.refobjid IN (SELECT oid FROM dropped)
                UNION SELECT 'table', n.nspname, c.relname FROM pg_catalog.pg_inherits h
                    JOIN pg_catalog.pg_class c ON c.oid = h.inhrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
                    WHERE h.inhparent IN (SELECT oid FROM dropped) ORDER BY 2, 3, 1
                """, [table.schema, table.name])
            for row in answer.rows {
                let other = TableName(schema: row[1] ?? "", name: row[2] ?? "")
                // Children of a dropped table's own partitions go with their parents.
                if !dropped.contains(other) { found.append("\(row[0] ?? "") \(other)") }
            }
        }
        return found
    }

    // MARK: - What is missing

    /// What a selection needs and the database does not have, for people.
    func missing(_ selection: TableSelection, withOwners: Bool) throws(RepoError) -> [String] {
        var found: [String] = []
        let schemas = try connection.names("SELECT nspname FROM pg_catalog.pg_namespace")
        for schema in selection.schemas where !schemas.contains(schema) { found.append("schema \(TableName.shown(schema))") }
        let kinds = Set(selection.needs.map(\.kind))
        let types =
            kinds.isDisjoint(with: ["TYPE", "DOMAIN", "SHELL TYPE"])
            ? [] : try qualified("SELECT n.nspname, t.typname FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace")
        let functions =
            kinds.isDisjoint(with: ["FUNCTION", "PROCEDURE", "AGGREGATE"])
            ? [] : try qualified("SELECT n.nspname, p.proname FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace")
        let collations =
            kinds.contains("COLLATION")
            ? try qualified("SELECT n.nspname, c.collname FROM pg_catalog.pg_collation c JOIN pg_catalog.pg_namespace n ON n.oid = c.collnamespace") : []
        let extensions = kinds.contains("EXTENSION") ? try connection.names("SELECT extname FROM pg_catalog.pg_extension") : []
        let servers = kinds.contains("SERVER") ? try connection.names("SELECT srvname FROM pg_catalog.pg_foreign_server") : []
        for entry in selection.needs {
            let name = TableName(entry)
            // Functions are called with their arguments' types: another one of that name is taken for it, and the server has the last word.
            let function = TableName(schema: name.schema, name: String(entry.name.prefix { $0 != "(" }))
            let isThere =
                switch entry.kind {
                case "TABLE", "FOREIGN TABLE", "VIEW", "MATERIALIZED VIEW", "SEQUENCE": has(name)
                case "TYPE", "DOMAIN", "SHELL TYPE": types.contains(name)
                case "FUNCTION", "PROCEDURE", "AGGREGATE": functions.contains(function)
                case "COLLATION": collations.contains(name)
                case "EXTENSION": extensions.contains(entry.name)
                case "SERVER": servers.contains(entry.name)
                default: true
                }
            if !isThere { found.append("\(entry.kind.lowercased()) \(entry.schema == nil ? TableName.shown(entry.name) : Self.shown(entry, name))") }
        }
        if withOwners {
            for role in try connection.lacking(DumpEntry.roles(of: selection.entries)) { found.append("role \(TableName.shown(role))") }
        }
        return found
    }

    /// Triggers that each added row sets off, for people.
    func insertTriggers(_ tables: [TableName]) throws(RepoError) -> [String] {
        var found: [String] = []
        for table in tables {
            // `tgtype`'s bit for INSERT is 4 (catalog/pg_trigger.h).
            let answer = try connection.query(
                """
                SELECT t.tgname FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid
                JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
                WHERE n.nspname = $1 AND c.relname = $2 AND NOT t.tgisinternal AND t.tgenabled IN ('O', 'A') AND t.tgtype & 4 <> 0 ORDER BY t.tgname
                """, [table.schema, table.name])
            found += answer.rows.compactMap { $0[0].map { "\(TableName.shown($0)) of \(table)" } }
        }
        return found
    }

    private static func shown(_ entry: DumpEntry, _ name: TableName) -> String {
        // Arguments stand in the name as they are.
        ["FUNCTION", "PROCEDURE", "AGGREGATE"].contains(entry.kind) ? "\(TableName.shown(name.schema)).\(entry.name)" : "\(name)"
    }

    /// The selection without what is there and may stay, and without attaching partitions to tables that are not there; and what to tell about it.
    func fitted(_ selection: TableSelection) throws(RepoError) -> (selection: TableSelection, notes: [String]) {
        let schemas = try connection.names("SELECT nspname FROM pg_catalog.pg_namespace")
        let kept = Set(selection.entries.filter { $0.kind == "SCHEMA" && schemas.contains($0.name) }.map(\.id))
        let alone = selection.openAttachments.filter { !has($0.parent) }
        var notes: [String] = []
        for entry in alone where entry.entry.kind == "TABLE ATTACH" {
            notes.append("\(TableName(entry.entry)) is restored as a table of its own: it was a partition of \(entry.parent), which is not there")
        }
        let dropped = kept.union(alone.map(\.entry.id))
        // What is said of a schema that stays as it is: rights and comments.
        return (selection.attachingLast().without { dropped.contains($0.id) || ($0.schema == nil && !kept.isDisjoint(with: $0.dependencies)) }, notes)
    }

    // MARK: - Afterwards

    /// Exact: reads the table.
    func count(_ table: TableName) throws(RepoError) -> UInt64 {
        try connection.query("SELECT count(*) FROM ONLY \(table.sql)").value(0, 0, "count")
    }
}
