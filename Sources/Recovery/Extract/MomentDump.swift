import Glibc
import Ingest
import PostgresClient
import PostgresFormats
import RepoBase

/// The dump of some tables of a throwaway server, whole in a file before anything is loaded.
struct MomentDump {
    let server: ThrowawayServer
    let folder: String
    let database: String
    let options: ExtractOptions
    let work: ExtractWork
    private let tools: DumpTools

    /// - Parameter options: nil for the whole database.
    init(_ server: ThrowawayServer, folder: String, database: String, options: ExtractOptions? = nil, work: ExtractWork) throws {
        let options = options ?? ExtractOptions(.script("", replaces: false))
        (self.server, self.folder, self.database, self.options, self.work) = (server, folder, database, options, work)
        tools = try DumpTools(for: PostgresVersion(number: Int(server.plan.backup.facts.serverVersion)))
    }

    struct Made {
        var prepared: ArchiveLoad.Prepared
        /// An archive for pg_restore.
        var archive: String
        /// SQL for psql, where rows were chosen.
        var script: String?
    }

    /// Throws as `ArchiveLoad.prepare` does before rows are read, `.storeFull` where the scratch folder has no room, `.usage` for a condition that the server does not
    /// understand.
    func run(_ load: ArchiveLoad, _ result: inout ExtractResult) throws -> Made {
        let connection = try server.connect(database: database)
        let tables = SourceTables(server: server)
        var options = options
        var whole = try contents("schema.dump", ["--schema-only"]).contents
        var selection = TableSelection(whole, tables: options.tables, schemas: options.schemas)
        // Conditions name the table as it was called.
        let original = selection.asked.first?.name ?? ""
        if let newName = options.newName {
            let renamed = try TableRenaming(connection).rename(selection, to: newName)
            options.tables = [TablePattern(exactly: renamed)]
            whole = try contents("schema.dump", ["--schema-only"]).contents
            selection = TableSelection(whole, tables: options.tables, schemas: [])
        }
        let asked = Set(selection.tables)
        let relations = try tables.relations(connection).filter { asked.contains($0.name) }
        try lookAt(relations, &result)
        let source = max(whole.serverMajor, 1)
        if options.rows != nil || options.existing == .append {
            let rows = MomentRows(connection, options: options, name: original, work: work)
            let parts = try rows.parts(selection, relations)
            var prepared = try load.prepare(selection, rows: parts.map(\.table), database: database, source: source, &result)
            try rows.check(parts)
            let script = "\(folder)/rows.sql"
            var archive = ""
            if options.existing != .append {
                let made = try self.archive(prepared.selection, without(tables.relations(connection), but: asked.subtracting(parts.map(\.table))))
                (archive, prepared.selection) = (made.path, made.selection)
            }
            let counts = try rows.write(parts, to: script, around: archive.isEmpty ? nil : (archive, prepared, folder))
            result.tables = zip(parts, counts).map { ExtractedTable(table: $0.table, rows: $1) }
            result.bytes = try Self.size(script)
            return Made(prepared: prepared, archive: archive, script: script)
        }
        var prepared = try load.prepare(selection, database: database, source: source, &result)
        let made = try archive(prepared.selection, without(tables.relations(connection), but: asked))
        prepared.selection = made.selection
        let counts = Dictionary(uniqueKeysWithValues: made.selection.data.map { ($0.table, made.rows[$0.entry.id]) })
        result.tables = selection.told.map { ExtractedTable(table: $0, rows: counts[$0] ?? nil) }
        result.bytes = try Self.size(made.path)
        return Made(prepared: prepared, archive: made.path, script: nil)
    }

    /// What the log and the disk have to say.
    private func lookAt(_ relations: [SourceTables.Relation], _ result: inout ExtractResult) throws(RepoError) {
        let unlogged = relations.filter { $0.isUnlogged && $0.kind == "r" }.map(\.name.description)
        if !unlogged.isEmpty {
            let message = "\(ArchiveLoad.list(unlogged)) \(unlogged.count == 1 ? "is" : "are") unlogged: no backup has the rows"
            guard unlogged.count < relations.filter({ $0.kind == "r" }).count else {
                throw RepoError(.failed, message, advice: "Nothing was changed. A dump ('repo snapshot postgres --logical') holds rows of unlogged tables.")
            }
            result.warnings.append(message)
        }
        if options.rows == nil { try requireRoom(relations) }
    }

    private func requireRoom(_ relations: [SourceTables.Relation]) throws(RepoError) {
        var status = statvfs()
        guard statvfs(folder, &status) == 0 else { throw TextFile.failure("look at", folder) }
        let free = UInt64(status.f_bavail) * UInt64(status.f_frsize)
        // Rows as text take about what they take in pages.
        let needed = relations.reduce(0) { $0 + $1.bytes }
        guard free >= needed else {
            throw RepoError(
                .storeFull, "the scratch folder has \(ByteCount.describe(free)) free, and the tables have \(ByteCount.describe(needed))",
                advice: "Nothing was changed. Name a larger place with --scratch.")
        }
    }

    /// Everything, into a file that was read again.
    func whole(_ path: String, _ result: inout ExtractResult) throws -> (contents: DumpContents, rows: [Int32: UInt64]) {
        let relations = try SourceTables(server: server).relations(server.connect(database: database))
        let unlogged = relations.filter { $0.isUnlogged && $0.kind == "r" }.map(\.name.description)
        if !unlogged.isEmpty { result.warnings.append("\(ArchiveLoad.list(unlogged)) \(unlogged.count == 1 ? "is" : "are") unlogged: no backup has the rows") }
        try requireRoom(relations)
        let made = try contents(String(path.dropFirst(folder.count + 1)), [])
        result.bytes = try Self.size(path)
        return made
    }

    // MARK: - pg_dump

    /// Makes an archive of the wanted tables, and reads all of it again: it has to be whole before anything is loaded.
    ///
    /// - Parameter wanted: entries of the whole schema that are to be loaded, as they were looked at.
    /// Of the whole database, that is, with the rows of wanted tables alone: `pg_dump --table` leaves extended statistics out, and how a partition is attached to
    /// a table that does not come along.
    private func archive(
        _ wanted: TableSelection, _ arguments: [String]
    ) throws -> (path: String, selection: TableSelection, rows: [Int32: UInt64]) {
        let made = try contents("tables.dump", ["--no-blobs"] + arguments)
        // Its numbers are its own: entries are the same by kind, schema and name, and rows come besides.
        let keys = Set(wanted.entries.map(Key.init))
        let all = TableSelection(everyEntryOf: made.contents)
        var mine = all.without { !keys.contains(Key($0)) && !["TABLE DATA", "SEQUENCE SET"].contains($0.kind) }
        let late = Set(wanted.entries.filter { wanted.late.contains($0.id) }.map(Key.init))
        mine.putLast { late.contains(Key($0)) }
        return ("\(folder)/tables.dump", mine, made.rows)
    }

    /// pg_dump's arguments that leave out the rows of everything else, and values of other sequences.
    private func without(_ relations: [SourceTables.Relation], but wanted: Set<TableName>) -> [String] {
        let schemas = Set(wanted.map(\.schema))
        let others = relations.filter { ["r", "m", "S"].contains($0.kind) && !wanted.contains($0.name) }
        return Set(others.map(\.name.schema)).subtracting(schemas).sorted().map { "--exclude-table-data=\(SQLText.identifier($0)).*" }
            + others.filter { schemas.contains($0.name.schema) }.map { "--exclude-table-data=\($0.name.sql)" }
    }

    private struct Key: Hashable {
        let kind: String
        let name: TableName

        init(_ entry: DumpEntry) { (kind, name) = (entry.kind, TableName(schema: entry.schema ?? "", name: entry.name)) }
    }

    /// Runs pg_dump into a file and goes through that.
    private func contents(_ name: String, _ arguments: [String]) throws -> (contents: DumpContents, rows: [Int32: UInt64]) {
        let path = "\(folder)/\(name)"
        let target = try server.target(database: database)
        try FedProgram.run(
            [tools.dump, "--format=custom", "--compress=0", "--no-password", "--file=\(path)", "--dbname=\(target.argumentWithoutPassword)"] + arguments,
            work, advice: "Nothing was changed.")
        var scan = DumpScan(object: name)
        try TextFile.pieces(path) { bytes in
            try work.check()
            try scan.push(bytes)
        }
        try scan.finish()
        guard let contents = scan.contents else { throw RepoError.damaged(name, "it is empty") }
        return (contents, scan.rows)
    }

    private static func size(_ path: String) throws(RepoError) -> UInt64 {
        var status = stat()
        guard stat(path, &status) == 0 else { throw TextFile.failure("look at", path) }
        return UInt64(status.st_size)
    }
}
