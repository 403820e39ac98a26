extension DumpEntry {
    /// Roles that have to be there for its SQL to run, besides the owner: those that rights are given to or taken from, in whose name that is done, whom a
    /// policy, a user mapping or a setting is for. Empty for other kinds of entries.
    public var rolesNamed: Set<String> {
        guard ["ACL", "DEFAULT ACL", "POLICY", "USER MAPPING", "DATABASE PROPERTIES"].contains(kind) else { return [] }
        return SQLWords(definition).split(separator: .symbol(UInt8(ascii: ";"))).reduce(into: []) { $0.formUnion(Self.roles($1)) }
    }

    /// Roles that have to be there to restore some entries: owners, and those that are named.
    public static func roles(of entries: some Sequence<DumpEntry>) -> Set<String> {
        entries.reduce(into: []) { roles, entry in
            roles.formUnion(entry.rolesNamed)
            if let owner = entry.owner, !owner.isEmpty { roles.insert(owner) }
        }
    }

    /// Roles that are made owners as some entries are restored: of the kinds that pg_restore writes `ALTER … OWNER TO` for (`_getObjectDescription`,
    /// pg_backup_archiver.c). What belongs to a table, as indexes do, goes with it.
    public static func owners(of entries: some Sequence<DumpEntry>) -> Set<String> {
        Set(entries.filter { kindsWithOwner.contains($0.kind) }.compactMap(\.owner)).subtracting([""])
    }

    private static let kindsWithOwner: Set = [
        "AGGREGATE", "BLOB", "BLOB METADATA", "COLLATION", "CONVERSION", "DATABASE", "DOMAIN", "EVENT TRIGGER", "FOREIGN DATA WRAPPER", "FOREIGN TABLE", "FUNCTION",
        "MATERIALIZED VIEW", "OPERATOR", "OPERATOR CLASS", "OPERATOR FAMILY", "PROCEDURAL LANGUAGE", "PROCEDURE", "PUBLICATION", "SCHEMA", "SEQUENCE", "SERVER",
        "STATISTICS", "SUBSCRIPTION", "TABLE", "TEXT SEARCH CONFIGURATION", "TEXT SEARCH DICTIONARY", "TYPE", "VIEW",
    ]

    /// Tablespaces that some entries are made in, but for the default one.
    public static func tablespaces(of entries: some Sequence<DumpEntry>) -> Set<String> {
        Set(entries.map(\.tablespace)).subtracting(["", "pg_default"])
    }

    /// In one statement.
    private static func roles(_ statement: ArraySlice<SQLWords.Word>) -> [String] {
        switch (statement.first, statement.dropFirst().first) {
        case (.bare("grant"), _): list(after: "to", statement)
        case (.bare("revoke"), _): list(after: "from", statement)
        // Whose right it is to give: `SET SESSION AUTHORIZATION role`.
        case (.bare("set"), .bare("session")): list(after: "authorization", statement)
        case (.bare("create"), .bare("policy")): list(after: "to", statement)
        case (.bare("create"), .bare("user")): list(after: "for", statement)
        // `ALTER ROLE role IN DATABASE …`.
        case (.bare("alter"), .bare("role")): list(after: "role", statement)
        // `ALTER DEFAULT PRIVILEGES FOR ROLE role … GRANT … TO role`.
        case (.bare("alter"), .bare("default")):
            list(after: "role", statement) + roles(statement.drop { $0 != .bare("grant") && $0 != .bare("revoke") })
        default: []
        }
    }

    /// The names behind a keyword, between commas.
    private static func list(after keyword: String, _ statement: ArraySlice<SQLWords.Word>) -> [String] {
        var rest = statement.drop { $0 != .bare(keyword) }.dropFirst()
        var found: [String] = []
        while let word = rest.popFirst() {
            switch word {
            case .quoted(let name): found.append(name)
            // As servers before 8.1 had them.
            case .bare("group") where rest.first != nil && rest.first != .symbol(UInt8(ascii: ",")): continue
            case .bare("public"), .bare("current_user"), .bare("session_user"), .bare("current_role"), .bare("default"): break
            case .bare(let name): found.append(name)
            case .symbol: return found
            }
            guard rest.popFirst() == .symbol(UInt8(ascii: ",")) else { return found }
        }
        return found
    }
}

extension DumpContents {
    /// The tablespace that the database itself lay in, where that was not the default one: `CREATE DATABASE … TABLESPACE = name` (`dumpDatabase`, pg_dump.c).
    public var databaseTablespace: String? {
        guard let entry = entries.first(where: { $0.kind == "DATABASE" }) else { return nil }
        var words = Array(SQLWords(entry.definition).prefix { $0 != .symbol(UInt8(ascii: ";")) })[...]
        words = words.drop { $0 != .bare("tablespace") }.dropFirst().drop { $0 == .symbol(UInt8(ascii: "=")) }
        switch words.first {
        case .bare(let name), .quoted(let name): return name
        case .symbol, nil: return nil
        }
    }
}
