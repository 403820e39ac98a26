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
    /// To whom pg_restore gives what it has made.
    private let owners: Set<String>
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
        owners = DumpEntry.owners(of: entries)
        ownTablespace = makesDatabase ? contents.databaseTablespace : nil
        tablespaces = DumpEntry.tablespaces(of: entries).union(ownTablespace.map { [$0] } ?? []).subtracting(["pg_default"])
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

    /// Throws `.failed`, naming owners to whom the role that is connected may give nothing.
    func requireOwners(_ server: PostgresConnection, nothing: String) throws(RepoError) {
        let closed = try server.outOfReach(owners)
        guard !closed.isEmpty else { return }
        throw RepoError(
            .failed, "the role of \(server.target) may give nothing to \(ArchiveLoad.list(closed.map(TableName.shown))), to whom something in \(name) belongs",
            advice: "\(nothing) Connect as a superuser, or as a member of \(closed.count == 1 ? "that role." : "these roles.")")
    }

    /// Tablespaces that the server does not have, and that pg_restore's `--no-tablespaces` does without. Throws `.failed` where it would not: where the
    /// database itself lay in one.
    func tablespacesMissing(_ server: PostgresConnection, advice: String) throws(RepoError) -> [String] {
        let missing = try server.lacking(tablespaces: tablespaces)
        if let ownTablespace, missing.contains(ownTablespace) {
            throw RepoError(.failed, "\(server.target) has no tablespace \(TableName.shown(ownTablespace)), in which \(name) lay", advice: advice)
        }
        return missing
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

    /// Those of some tablespaces that the server does not have.
    func lacking(tablespaces: Set<String>) throws(RepoError) -> [String] {
        tablespaces.isEmpty ? [] : tablespaces.subtracting(try names("SELECT spcname FROM pg_catalog.pg_tablespace")).sorted()
    }

    /// Those of some roles to whom the role that is connected may give nothing.
    func outOfReach(_ owners: Set<String>) throws(RepoError) -> [String] {
        guard !owners.isEmpty else { return [] }
        // What ALTER … OWNER TO asks for: membership (`check_is_member_of_role`), and since 16 the right to become that role (`check_can_set_role`).
        let right = version.major >= 16 ? "SET" : "MEMBER"
        // `pg_database_owner` is who owns the database that is loaded into, which is not this one.
        let closed = try names(
            "SELECT rolname FROM pg_catalog.pg_roles WHERE NOT pg_catalog.pg_has_role(oid, '\(right)') AND rolname <> 'pg_database_owner'")
        return owners.intersection(closed).sorted()
    }
}
