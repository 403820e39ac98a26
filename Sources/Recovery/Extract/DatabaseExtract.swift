import Glibc
import Ingest
public import PostgresClient
import PostgresFormats
import RepoBase

/// Brings a whole database back as it was at a moment, into a running server where none of that name is in use.
///
/// As with tables: a throwaway server is recovered to the moment, its dump is whole before anything is made, and is loaded in one transaction. A database that
/// was made for it is dropped again when that fails.
public struct DatabaseExtract {
    private let server: ThrowawayServer
    private let target: ConnectionTarget
    /// The database to take; nil where there is but one.
    private let database: String?
    /// What it is to be called; nil: as it was.
    private let name: String?
    private let work: ExtractWork

    public init(_ server: ThrowawayServer, to target: ConnectionTarget, database: String?, into name: String?, work: ExtractWork) {
        (self.server, self.target, self.database, self.name, self.work) = (server, target, database, name, work)
    }

    private var version: PostgresVersion { PostgresVersion(number: Int(server.plan.backup.facts.serverVersion)) }

    /// Looks at the target before anything is recovered. Throws `.refused` for a database that is in use, `.usage` for an older server.
    public func checkTarget() throws {
        let connection = try connect()
        _ = try DumpTools(for: max(version, connection.version))
        guard connection.version.major >= version.major else {
            throw RepoError(
                .usage, "the cluster is of PostgreSQL \(version.major), and \(target) is \(connection.version)", advice: "Dumps load into the same or a newer version.")
        }
        if let name = name ?? database { _ = try isThere(name, connection) }
    }

    private func connect(_ database: String? = nil) throws(RepoError) -> PostgresConnection {
        try PostgresConnection(database.map(target.database) ?? target, cancellation: work.cancellation)
    }

    /// Whether there is one, and empty. Throws `.refused` for one that is not.
    private func isThere(_ name: String, _ connection: PostgresConnection) throws -> Bool {
        guard try connection.query("SELECT 1 FROM pg_catalog.pg_database WHERE datname = $1", [name]).rowCount > 0 else { return false }
        guard try LogicalRestore.isEmpty(name, target) else {
            throw RepoError(
                .refused, "the database '\(name)' exists on \(target) and is not empty",
                advice: "Nothing was changed. Rename or drop it first, or restore under another name with --into.")
        }
        return true
    }

    /// Restores, recovers, dumps, loads. `server.check` comes first. The server is left for the caller to remove.
    public func run(_ result: inout ExtractResult, moment: String, note: (String) -> Void = { _ in }) throws {
        note("restoring base backup \(server.plan.backup.id.short) into a folder of its own")
        _ = try result.timed("restore") { _ in try server.restore() }
        note("recovering \(moment)")
        _ = try result.timed("recovery") { _ in try server.start() }
        result.notes += server.notes
        guard let folder = server.folder else { return }
        let path = "\(folder)/database.dump"
        let (contents, rows) = try result.timed("dump") { result in
            result.database = try choice(moment)
            note("dumping database \(result.database)")
            return try MomentDump(server, folder: folder, database: result.database, work: work).whole(path, &result)
        }
        let name = name ?? result.database
        result.destination = target.database(name).description
        let connection = try connect()
        let exists = try isThere(name, connection)
        let tools = try DumpTools(for: max(version, connection.version))
        let needs = DatabaseNeeds(contents, name: "database '\(result.database)'", makesDatabase: !exists && name == result.database)
        try needs.requireExtensions(connection)
        try needs.requireRoles(connection, advice: "Nothing was changed. Make them first.")
        try needs.requireOwners(connection, nothing: "Nothing was changed.")
        let spaces = try needs.tablespacesMissing(connection, advice: "Nothing was changed. Make it first, or restore under another name with --into.")
        if !spaces.isEmpty { result.notes.append(DatabaseNeeds.note(tablespacesMissing: spaces)) }
        note("loading database \(result.database) as \(name)")
        try result.timed("load") { result in
            if !exists { try make(name, as: result.database, contents, path, tools, connection) }
            do {
                try FedProgram.run(
                    [
                        tools.restore, "--no-password", "--exit-on-error", "--single-transaction", "--dbname=\(target.database(name).argumentWithoutPassword)",
                    ] + (spaces.isEmpty ? [] : ["--no-tablespaces"]) + [path],
                    environment: ArchiveLoad.environment(target), work, advice: "The database '\(name)' is as it was before.")
            } catch {
                if !exists { dropWhatWasMade(name) }
                throw error
            }
        }
        let selection = TableSelection(everyEntryOf: contents)
        result.tables = selection.data.map { ExtractedTable(table: $0.table, rows: rows[$0.entry.id]) }
        try result.timed("count") { result in
            let there = try LoadTarget(target.database(name), cancellation: work.cancellation)
            try ArchiveLoad.count(there, &result.tables)
        }
    }

    /// By a connection that is not cancelled: it must not stay behind half made.
    private func dropWhatWasMade(_ name: String) {
        _ = try? PostgresConnection(target).query("DROP DATABASE IF EXISTS \(SQLText.identifier(name))")
    }

    private func choice(_ moment: String) throws -> String {
        let all = try SourceTables(server: server).databases()
        guard let database else {
            if all.count == 1 { return all[0] }
            throw RepoError(.usage, "there are several databases \(moment): \(all.joined(separator: ", "))", advice: "Name one with --database.")
        }
        guard all.contains(database) else {
            throw RepoError(.notFound, "there is no database '\(database)' \(moment)", advice: "There is \(all.joined(separator: ", ")).")
        }
        return database
    }

    /// With the encoding, locale, owner and settings that it had, where it keeps its name; else with the encoding and locale.
    private func make(
        _ name: String, as old: String, _ contents: DumpContents, _ path: String, _ tools: DumpTools, _ connection: PostgresConnection
    ) throws {
        guard name == old, let folder = server.folder else {
            let source = try server.connect(database: old)
            let answer = try source.query(
                "SELECT pg_catalog.pg_encoding_to_char(encoding), datcollate, datctype FROM pg_catalog.pg_database WHERE datname = $1", [old])
            let locale = zip(["ENCODING", "LC_COLLATE", "LC_CTYPE"], 0...).compactMap { word, column in
                answer[0, column].map { "\(word) \(SQLText.literal($0))" }
            }
            try connection.query("CREATE DATABASE \(SQLText.identifier(name)) TEMPLATE template0 \(locale.joined(separator: " "))")
            return
        }
        // Its own entry, and the comments, rights and settings that belong to it.
        let own = contents.entries.filter { $0.kind == "DATABASE" }
        let ids = Set(own.map(\.id))
        let list = contents.entries.filter { ids.contains($0.id) || $0.kind == "DATABASE PROPERTIES" || $0.schema == nil && !ids.isDisjoint(with: $0.dependencies) }
        try TextFile.write("\(folder)/database.list", list.map { "\($0.id);\n" }.joined(), owner: .own)
        let anywhere = target.database == nil ? target.database("postgres") : target
        do {
            try FedProgram.run(
                [
                    tools.restore, "--no-password", "--exit-on-error", "--create", "--use-list=\(folder)/database.list",
                    "--dbname=\(anywhere.argumentWithoutPassword)", path,
                ], environment: ArchiveLoad.environment(target), work, advice: "Nothing was changed.")
        } catch {
            dropWhatWasMade(name)
            throw error
        }
    }
}
