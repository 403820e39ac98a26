import Ingest
import PostgresClient
import PostgresFormats
public import RepoBase
public import Repository

/// Brings tables back from a snapshot of dumps: out of the repository straight into pg_restore, with nothing in between on a disk.
///
/// A custom-format archive that comes through a pipe cannot be sought in: pg_restore reads over the rows of other tables, as far as the last one that is wanted.
/// So this costs reading the dump up to there, and no room.
public struct DumpExtract {
    private let repository: OpenRepository
    private let entry: SnapshotCatalog.Entry
    private let facts: ClusterFacts
    private let options: ExtractOptions
    private let work: ExtractWork
    private let scratch: String

    /// - Parameter scratch: where a small file is kept meanwhile.
    /// Throws `.usage` for a snapshot that holds no dumps, and for what dumps cannot do.
    public init(
        _ repository: OpenRepository, _ entry: SnapshotCatalog.Entry, options: ExtractOptions, work: ExtractWork,
        scratch: String = ThrowawayOptions.defaultScratch
    ) throws(RepoError) {
        (self.repository, self.entry, self.options, self.work, self.scratch) = (repository, entry, options, work, scratch)
        facts = try LogicalRestore.facts(entry.snapshot)
        let misplaced = [("--where", options.rows != nil), ("--rename-to", options.newName != nil)].first(where: \.1)
        if let misplaced {
            throw RepoError(
                .usage, "\(misplaced.0) needs a server that can be asked, and snapshot \(entry.id.short) holds dumps",
                advice: "Nothing was done. Load the table into a database of its own and take it from there, or recover it from a base backup with --at.")
        }
    }

    /// What was found in a database's dump.
    private struct Found {
        let database: String
        let entry: TreeEntry
        let contents: DumpContents
        let selection: TableSelection
    }

    /// - Parameters:
    ///   - isDryRun: everything is looked at, and nothing is loaded.
    ///   - note: told what is being done.
    /// Throws `.notFound` where there are no such tables, and as `ArchiveLoad` does.
    public func run(isDryRun: Bool, note: (String) -> Void = { _ in }) throws -> ExtractResult {
        var result = ExtractResult()
        let load = ArchiveLoad(options: options, work: work)
        let (found, prepared) = try result.timed("plan") { result in
            let found = try find()
            result.database = found.database
            result.bytes = found.entry.metadata.size
            let prepared = try load.prepare(found.selection, database: found.database, source: max(found.contents.serverMajor, 1), &result)
            if found.selection.data.isEmpty, options.existing == .append {
                throw RepoError(.notFound, "what was named has no rows of its own to append")
            }
            try requireWhole(found)
            return (found, prepared)
        }
        let data = Dictionary(uniqueKeysWithValues: found.selection.data.map { ($0.entry.id, $0.table) })
        result.tables = options.existing == .append
            ? data.values.sorted().map { ExtractedTable(table: $0) } : found.selection.told.map { ExtractedTable(table: $0) }
        if isDryRun { return result }
        note("loading \(ArchiveLoad.list(result.tables.map(\.table.description))) into \(result.destination)")
        var scan = DumpScan(object: name(found))
        try result.timed("load") { _ in
            ThrowawayFolder.removeLeftoversQuietly(in: scratch)
            let folder = try ThrowawayFolder(in: scratch)
            defer { try? folder.remove() }
            work.begin(total: found.entry.metadata.size)
            try load.run(prepared, archive: nil, scratch: folder.path) { write in
                guard let content = found.entry.content else { return }
                try ContentStream(repository).read(content, size: found.entry.metadata.size) { bytes in
                    try scan.push(bytes)
                    try write(bytes)
                    work.advance(bytes.count)
                }
            }
        }
        for (id, table) in data {
            guard let index = result.tables.firstIndex(where: { $0.table == table }) else { continue }
            result.tables[index].rows = found.contents.isUncompressed ? scan.rows[id] : nil
        }
        try result.timed("count") { try load.count(prepared, &$0.tables) }
        return result
    }

    private func name(_ found: Found) -> String { String(decoding: found.entry.name, as: UTF8.self) }

    // MARK: - Finding

    private func find() throws -> Found {
        var files = try DumpFiles.all(entry.snapshot.root, repository)
        let all = files.map(\.database)
        if let database = options.database {
            files = files.filter { $0.database == database }
            guard !files.isEmpty else {
                throw RepoError(.notFound, "snapshot \(entry.id.short) has no database '\(database)'", advice: "It has \(all.joined(separator: ", ")).")
            }
        }
        guard !files.isEmpty else { throw RepoError(.notFound, "snapshot \(entry.id.short) has no dump of a database") }
        var found: [Found] = []
        var unmatched: [(String, TablePattern)] = []
        for file in files {
            try work.check()
            guard let contents = try DumpFiles.contents(file.entry, repository) else {
                throw RepoError.damaged(String(decoding: file.entry.name, as: UTF8.self), "its table of contents is cut off")
            }
            let selection = TableSelection(contents, tables: options.tables, schemas: options.schemas)
            if let missing = selection.unmatched.first { unmatched.append((file.database, missing)) }
            if selection.unmatched.isEmpty { found.append(Found(database: file.database, entry: file.entry, contents: contents, selection: selection)) }
        }
        guard !found.isEmpty else {
            let pattern = unmatched[0].1
            throw RepoError(
                .notFound, "nothing matches '\(pattern)' in snapshot \(entry.id.short) of \(Refusal.text(entry.snapshot.time)), database \(names(files))",
                advice: "Nothing was done. Was the table there at that time, in this database? 'repo snapshots' shows others; names with upper case need double quotes.")
        }
        guard let choice = options.choice(found.map(\.database)), let only = found.first(where: { $0.database == choice }) else {
            throw RepoError(
                .usage, "several databases of snapshot \(entry.id.short) have what was named: \(found.map(\.database).joined(separator: ", "))",
                advice: "Nothing was done. Name one with --database.")
        }
        return only
    }

    private func names(_ files: [(database: String, entry: TreeEntry)]) -> String { files.map(\.database).joined(separator: ", ") }

    /// Every blob of the dump can be found, before anything is loaded.
    private func requireWhole(_ found: Found) throws {
        var dry = RestoreOptions()
        dry.isDryRun = true
        dry.overwrite = .always
        let path = [UInt8(ascii: "/")] + found.entry.name
        dry.selection = { asked, _ in asked == path ? .restore : .skip }
        let survey = Restorer(repository, root: entry.snapshot.root, target: Array("/nonexistent/\(entry.id)".utf8), options: dry)
        if let problem = try survey.run().problems.first {
            throw RepoError(
                .damaged, "\(name(found)) of snapshot \(entry.id.short) is damaged: \(problem.message)",
                advice: "Nothing was done. Another snapshot may have the table whole: 'repo snapshots' lists them.")
        }
    }
}

extension ThrowawayFolder {
    /// What a killed run has left is removed where it can be; one that cannot be is no reason to restore nothing.
    static func removeLeftoversQuietly(in scratch: String) { _ = try? removeLeftovers(in: scratch) }
}
