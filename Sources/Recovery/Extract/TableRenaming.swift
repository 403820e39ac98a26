import PostgresClient
import RepoBase

/// Gives a table of a throwaway server another name before it is dumped, and its indexes, constraints' indexes, statistics, sequences and children names that go
/// with it: so the server itself sees to everything that refers to them, and nothing of it meets the table of the old name in the target.
struct TableRenaming {
    private let connection: PostgresConnection
    /// NAMEDATALEN - 1 (pg_config_manual.h).
    private static let nameLimit = 63

    init(_ connection: PostgresConnection) { self.connection = connection }

    /// Renames the one table that a selection was made for. Returns its new name.
    ///
    /// Throws `.usage` where several tables were named, or the name is none.
    func rename(_ selection: TableSelection, to name: String) throws -> TableName {
        guard selection.asked.count == 1, let table = selection.asked.first else {
            throw RepoError(
                .usage, "one table can be renamed, and \(ArchiveLoad.list(selection.asked.map(\.description))) match", advice: "Nothing was changed. Name one of them.")
        }
        guard !name.isEmpty, name.utf8.count <= Self.nameLimit, !name.utf8.contains(0) else {
            throw RepoError(.usage, "'\(name)' cannot be the name of a table", advice: "Names have 1 to \(Self.nameLimit) bytes. Nothing was changed.")
        }
        let new = TableName(schema: table.schema, name: name)
        if new == table { return new }
        try connection.query("BEGIN")
        let answer = try connection.query(
            """
            WITH RECURSIVE family(oid) AS (
                SELECT c.oid FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2
                UNION SELECT h.inhrelid FROM pg_catalog.pg_inherits h JOIN family f ON h.inhparent = f.oid)
            SELECT n.nspname, c.relname, c.relkind::text, c.oid IN (SELECT oid FROM family) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
                WHERE c.oid IN (SELECT oid FROM family UNION SELECT i.indexrelid FROM pg_catalog.pg_index i JOIN family f ON i.indrelid = f.oid
                UNION SELECT d.objid FROM pg_catalog.pg_depend d JOIN family f ON d.refobjid = f.oid WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
                AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.deptype IN ('a', 'i') AND d.objid IN (SELECT oid FROM pg_catalog.pg_class WHERE relkind = 'S'))
            UNION ALL SELECT n.nspname, s.stxname, 'statistics', false FROM pg_catalog.pg_statistic_ext s JOIN pg_catalog.pg_namespace n ON n.oid = s.stxnamespace
                WHERE s.stxrelid IN (SELECT oid FROM family)
            ORDER BY 1, 2
            """, [table.schema, table.name])
        var taken: Set<String> = [name]
        for row in answer.rows {
            guard let schema = row[0], let old = row[1], let kind = row[2] else { continue }
            let renamed = TableName(schema: schema, name: old) == table ? name : Self.name(old, table.name, name, &taken)
            let word =
                switch kind {
                case "i", "I": "INDEX"
                case "S": "SEQUENCE"
                case "v": "VIEW"
                case "m": "MATERIALIZED VIEW"
                case "f": "FOREIGN TABLE"
                case "statistics": "STATISTICS"
                default: "TABLE"
                }
            if kind != "statistics" { try moveAside(TableName(schema: schema, name: renamed)) }
            try connection.query("ALTER \(word) \(TableName(schema: schema, name: old).sql) RENAME TO \(SQLText.identifier(renamed))")
        }
        try connection.query("COMMIT")
        return new
    }

    /// What had the new name already at that moment is not wanted, and makes room.
    private func moveAside(_ name: TableName) throws {
        let answer = try connection.query(
            "SELECT c.relkind::text FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2",
            [name.schema, name.name])
        guard let kind = answer[0, 0] else { return }
        let aside = SQLText.identifier("repo aside \(UInt64.random(in: 0 ... .max))")
        try connection.query(kind == "c" ? "ALTER TYPE \(name.sql) RENAME TO \(aside)" : "ALTER TABLE \(name.sql) RENAME TO \(aside)")
    }

    /// `orders_pkey` becomes `kept_pkey` where `orders` becomes `kept`; what is not called after the table gets the new name in front.
    static func name(_ old: String, _ table: String, _ new: String, _ taken: inout Set<String>) -> String {
        let rest = old.utf8.starts(with: table.utf8) ? String(decoding: old.utf8.dropFirst(table.utf8.count), as: UTF8.self) : "_" + old
        var number = 0
        while true {
            let suffix = number == 0 ? "" : "_\(number)"
            let candidate = shortened(new, toFit: shortened(rest, toFit: "", limit: nameLimit / 2 + 8) + suffix)
            if taken.insert(candidate).inserted { return candidate }
            number += 1
        }
    }

    private static func shortened(_ text: String, toFit rest: String, limit: Int = nameLimit) -> String {
        var scalars = text.unicodeScalars
        while String(scalars).utf8.count + rest.utf8.count > limit, !scalars.isEmpty { scalars.removeLast() }
        return String(scalars) + rest
    }
}
