import Ingest
import PostgresClient
import PostgresFormats
import RepoBase
public import Repository

/// A restore test of dumps: loaded into a server that begins empty and that nobody else can reach, their rows counted there, removed.
///
/// Rows are compared with those that stand in the dump, which every table has, and with those that were counted when it was made, where that was asked for.
public final class DumpDrill {
    private let repository: OpenRepository
    private let entry: SnapshotCatalog.Entry
    private let facts: ClusterFacts
    private let files: [(database: String, entry: TreeEntry)]
    private let work: ExtractWork
    private let server: EmptyServer
    private let tools: DumpTools

    /// Looks for programs and room; loads nothing.
    ///
    /// - Parameter programs: where PostgreSQL's are; nil: looked for.
    /// Throws `.usage` for a snapshot that holds no dumps and for what is missing here, `.storeFull`.
    public init(_ repository: OpenRepository, _ entry: SnapshotCatalog.Entry, scratch: String, programs: String?, work: ExtractWork) throws {
        (self.repository, self.entry, self.work) = (repository, entry, work)
        facts = try LogicalRestore.facts(entry.snapshot)
        // As `repo restore` does, templates stay as they are.
        files = try DumpFiles.all(entry.snapshot.root, repository).filter { $0.database != "template1" }
        let sizes = facts.databases.reduce(UInt64(0)) { $0.addingClamped($1.bytes) }
        let major = Int(facts.serverVersion / 10_000)
        server = try EmptyServer(
            major: major, programs: programs, scratch: scratch, bytes: max(sizes, entry.snapshot.statistics.logicalBytes), work: work)
        tools = try DumpTools(for: PostgresVersion(number: Int(facts.serverVersion)))
    }

    /// Completes the report: what was loaded is removed, whatever comes of it. Throws only what is no finding.
    public func run(_ report: inout DrillReport) throws {
        do {
            try test(&report)
        } catch {
            try? server.remove()
            throw work.cancellation.isCancelled ? RepoError(.interrupted, "interrupted") : error
        }
        report.notes += server.notes
        do { try server.remove() } catch { report.notes.append("\(error.message). \(error.advice)") }
    }

    private func test(_ report: inout DrillReport) throws {
        let clock = ContinuousClock()
        let begun = clock.now
        try server.start(libraries: facts.settings["shared_preload_libraries"] ?? "")
        report.phases.start = DrillReport.rounded(clock.now - begun)
        var loaded: [(database: String, scan: DumpScan)] = []
        do {
            try globals()
            for (database, entry) in files {
                let begun = clock.now
                do {
                    let scan = try load(database, entry)
                    loaded.append((database, scan))
                    report.add(.init("load \(database)", .passed, "pg_restore took all of it", seconds: DrillReport.rounded(clock.now - begun)))
                } catch let error as RepoError where error.code == .failed {
                    report.add(
                        .init("load \(database)", .failed, "pg_restore did not take it", findings: [error.message], seconds: DrillReport.rounded(clock.now - begun)))
                }
            }
        } catch let error as RepoError where error.code == .damaged {
            report.record(error)
            return
        }
        report.phases.restore = DrillReport.rounded(clock.now - begun)
        report.secondsToRecovery = report.phases.restore
        let counted = clock.now
        report.databases = []
        for (database, scan) in loaded { try compare(database, scan, &report) }
        report.phases.verification = DrillReport.rounded(clock.now - counted)
    }

    // MARK: - Loading

    /// Roles, and tablespaces inside of the cluster.
    private func globals() throws {
        var cursor = try TreeCursor(entry.snapshot.root, BlobReader(repository))
        guard let file = try cursor.entry(named: Array(DumpSource.globalsName.utf8)), let content = file.content else { return }
        var bytes: [UInt8] = []
        try ContentStream(repository).read(content, size: file.metadata.size) { bytes += $0 }
        let script = Self.inPlace(String(decoding: bytes, as: UTF8.self))
        let target = try server.target("template1")
        // What fails here (a role that exists, a setting of an extension) shows when something is given to it.
        try run([tools.folder + "/psql", "--no-psqlrc", "--quiet", "--no-password", "--dbname=\(target.argumentWithoutPassword)", "--file=-"]) { program in
            try program.write(script)
        }
    }

    /// `CREATE TABLESPACE name OWNER role LOCATION '/place';` stands on a line of its own (dumpTablespaces, pg_dumpall.c).
    static func inPlace(_ globals: String) -> String {
        globals.split(separator: "\n", omittingEmptySubsequences: false).map { line in
            guard line.hasPrefix("CREATE TABLESPACE "), let place = line.firstRange(of: " LOCATION '") else { return String(line) }
            return line[..<place.lowerBound] + " LOCATION '';"
        }.joined(separator: "\n")
    }

    /// The whole dump, read once: pg_restore takes it, and its rows are counted on the way.
    private func load(_ database: String, _ file: TreeEntry) throws -> DumpScan {
        guard let content = file.content else { throw RepoError.damaged("the dump of \(database)", "it has no content") }
        var scan = DumpScan(object: "the dump of \(database)")
        let exists = database == "postgres"
        let target = try server.target(exists ? database : "template1")
        var isTaken = true
        try run(
            [tools.restore, "--exit-on-error", "--no-password", "--dbname=\(target.argumentWithoutPassword)"] + (exists ? [] : ["--create"])
        ) { program in
            try ContentStream(repository).read(content, size: file.metadata.size) { bytes in
                try work.check()
                try scan.push(bytes)
                guard isTaken else { return }
                do { try program.write(bytes) } catch is FedProgram.Hungup { isTaken = false }
            }
            try scan.finish()
        }
        return scan
    }

    /// Throws `.storeFull` where the scratch folder has no room: that says nothing about the dump.
    private func run(_ command: [String], _ body: (FedProgram) throws -> Void) throws {
        do {
            try FedProgram.run(command, environment: ["LC_ALL": "C"], work, advice: "", with: body)
        } catch let error as RepoError where error.message.contains("No space left on device") {
            throw RepoError(.storeFull, "the scratch folder is full: \(error.message)", advice: "Name a larger place with --scratch.")
        }
    }

    // MARK: - Counting

    private func compare(_ database: String, _ scan: DumpScan, _ report: inout DrillReport) throws {
        guard let contents = scan.contents else { return }
        let clock = ContinuousClock()
        let begun = clock.now
        let loaded = try LoadTarget(server.target(database), cancellation: work.cancellation)
        let tables = TableSelection(everyEntryOf: contents).data
        var recorded: [TableName: UInt64] = [:]
        for count in facts.databases.first(where: { $0.name == database })?.rowCounts ?? [] {
            recorded[TableName(schema: count.schema, name: count.table)] = count.rows
        }
        var findings: [String] = []
        var total: UInt64 = 0
        for (entry, table) in tables {
            try work.check()
            let rows = try loaded.count(table)
            total += rows
            if let dumped = scan.rows[entry.id], dumped != rows { findings.append("\(table) has \(rows) rows, and \(dumped) in the dump") }
            guard let then = recorded[table] else { continue }
            if then != rows { findings.append("\(table) has \(rows) rows, and \(then) were counted when it was dumped") }
            report.rowCounts = (report.rowCounts ?? []) + [
                .init(database: database, table: "\(table)", rows: rows, recorded: then, recordedAt: Refusal.text(facts.startTime))
            ]
        }
        let bytes: UInt64 = try loaded.connection.query("SELECT pg_catalog.pg_database_size(pg_catalog.current_database())").value(0, 0, "size")
        report.databases?.append(.init(name: database, tables: tables.count, bytes: bytes))
        report.add(
            .init(
                "rows of \(database)", findings.isEmpty ? .passed : .failed, "\(total) rows in \(tables.count) tables, counted and compared with the dump",
                findings: findings, seconds: DrillReport.rounded(clock.now - begun)))
    }
}
