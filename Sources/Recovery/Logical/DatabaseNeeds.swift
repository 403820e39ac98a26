import PostgresClient
import PostgresFormats
import RepoBase

/// What a server has to have before a whole database is loaded into it: pg_restore would end in the middle.
struct DatabaseNeeds {
    /// For messages: `database 'shop'`.
    private let name: String
    private let extensions: Set<String>
    /// To whom something belongs or is granted.
    private let roles: Set<String>
    private let tablespaces: Set<String>
    /// Where the database itself lay, if it is made again there.
    private let ownTablespace: String?

    /// - Parameter makesDatabase: the database is made as it was, with its owner, rights, settings and tablespace.
    init(_ contents: DumpContents, name: String, makesDatabase: Bool) {
        self.name = name
        var entries = contents.entries[...]
        if !makesDatabase {
            let ids = Set(entries.filter { $0.kind == "DATABASE" }.map(\.id))
            entries.removeAll { $0.kind.hasPrefix("DATABASE") || $0.schema == nil && !ids.isDisjoint(with: $0.dependencies) }
        }
        extensions = Set(entries.filter { $0.kind == "EXTENSION" }.map(\.name))
        roles = DumpEntry.roles(of: entries)
        ownTablespace = makesDatabase ? contents.databaseTablespace : nil
        tablespaces = Set(entries.map(\.tablespace)).union(ownTablespace.map { [$0] } ?? []).subtracting(["", "pg_default"])
    }

    /// Throws `.failed`, naming extensions whose files the server does not have.
    func requireExtensions(_ server: PostgresConnection) throws(RepoError) {
        guard !extensions.isEmpty else { return }
        let missing = extensions.subtracting(try server.names("SELECT name FROM pg_catalog.pg_available_extensions")).sorted()
        guard !missing.isEmpty else { return }
        throw RepoError(
            .failed, "\(server.target) has no \(ArchiveLoad.list(missing.map { "extension \(TableName.shown($0))" })), which \(name) needs",
            advice: "Nothing was changed. Install \(missing.count == 1 ? "its package" : "their packages") on the server's machine.")
    }

    /// Throws `.failed`, naming roles that something belongs to or is granted to, and that the server does not have.
    func requireRoles(_ server: PostgresConnection, advice: String) throws(RepoError) {
        let missing = try server.lacking(roles)
        guard !missing.isEmpty else { return }
        let list = ArchiveLoad.list(missing.map { "role \(TableName.shown($0))" })
        throw RepoError(.failed, "\(server.target) has no \(list), to whom something in \(name) belongs or is granted", advice: advice)
    }

    /// Tablespaces that the server does not have, and that pg_restore's `--no-tablespaces` does without. Throws `.failed` where it would not: where the
    /// database itself lay in one.
    func tablespacesMissing(_ server: PostgresConnection, advice: String) throws(RepoError) -> [String] {
        guard !tablespaces.isEmpty else { return [] }
        let missing = tablespaces.subtracting(try server.names("SELECT spcname FROM pg_catalog.pg_tablespace"))
        if let ownTablespace, missing.contains(ownTablespace) {
            throw RepoError(.failed, "\(server.target) has no tablespace \(TableName.shown(ownTablespace)), in which \(name) lay", advice: advice)
        }
        return missing.sorted()
    }

    static func note(tablespacesMissing missing: [String]) -> String {
        "everything goes into the database's own tablespace: there is no \(missing.map(TableName.shown).joined(separator: ", "))"
    }
}

extension PostgresConnection {
    /// The first column of each row.
    func names(_ question: String) throws(RepoError) -> Set<String> { Set(try query(question).rows.compactMap { $0[0] }) }

    /// Those of some roles that the server does not have. A name in an encoding that could not be read is not known to be missing.
    func lacking(_ roles: Set<String>) throws(RepoError) -> [String] {
        guard !roles.isEmpty else { return [] }
        return roles.subtracting(try names("SELECT rolname FROM pg_catalog.pg_roles")).filter { !$0.unicodeScalars.contains("\u{FFFD}") }.sorted()
    }
}
