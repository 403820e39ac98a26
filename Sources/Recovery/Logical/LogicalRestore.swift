import Glibc
import Ingest
public import PostgresClient
import PostgresFormats
public import RepoBase
public import Repository

/// Restores the dumps of a logical snapshot into a server that runs: straight out of the repository into pg_restore, nothing in between.
///
/// A database must not exist yet, unless the snapshot's one is restored under the name of an empty one. Afterwards counts of rows are compared where
/// the snapshot has them.
public struct LogicalRestore {
    public struct Options: Hashable, Sendable {
        /// Databases whose names match one of these; all but the templates where there is none.
        public var databases: [String] = []
        /// Also roles and tablespaces; those that exist are left as they are.
        public var globals = false
        /// The name of the database to restore into, where one is restored.
        public var into: String?

        public init() {}
    }

    /// A database that was restored.
    public struct Restored: Hashable, Sendable {
        public let database: String
        /// What it is called on the server.
        public let name: String
        /// Tables whose rows were compared.
        public let tablesCompared: Int
    }

    private let repository: OpenRepository
    private let snapshot: Snapshot
    private let facts: ClusterFacts
    private let options: Options

    /// Throws `.usage` for a snapshot that is not logical.
    public init(_ repository: OpenRepository, _ snapshot: Snapshot, options: Options) throws(RepoError) {
        self.repository = repository
        self.snapshot = snapshot
        self.options = options
        facts = try Self.facts(snapshot)
    }

    /// Throws `.usage` for a snapshot that is not logical.
    static func facts(_ snapshot: Snapshot) throws(RepoError) -> ClusterFacts {
        guard snapshot.kind == ClusterFacts.snapshotKind, !snapshot.facts.isEmpty else {
            throw RepoError(.usage, "the snapshot holds no dumps of PostgreSQL", advice: "'repo snapshots' shows kinds.")
        }
        let facts = try ClusterFacts(snapshot.facts, object: "the snapshot")
        guard facts.method == .logical else {
            throw RepoError(
                .usage, "the snapshot holds a cluster's files and no dumps", advice: "Restore it into a directory with --target, or name a moment at which a database of it is wanted: --at, --latest.")
        }
        return facts
    }

    /// Everything that can be refused is refused before the server is changed.
    /// - Parameter note: told what is being done.
    public func run(to target: ConnectionTarget, note: (String) -> Void = { _ in }) throws -> [Restored] {
        let server = try PostgresConnection(target)
        guard server.version.major >= Int(facts.serverVersion / 10_000) else {
            throw RepoError(
                .usage, "the dumps are of PostgreSQL \(facts.serverVersion / 10_000), and \(target) is \(server.version)",
                advice: "Dumps restore into the same or a newer version.")
        }
        let tools = try DumpTools(for: server.version)
        let files = try chosen()
        let existing = Set(try server.query("SELECT datname FROM pg_catalog.pg_database").rows.compactMap { $0[0] })
        var plan: [(database: String, name: String, entry: TreeEntry, exists: Bool)] = []
        for (database, entry) in files {
            let name = options.into ?? database
            let exists = existing.contains(name)
            if exists, try !Self.isEmpty(name, target) {
                throw RepoError(
                    .refused, "the database '\(name)' exists on \(target) and is not empty",
                    advice: "Rename or drop it first, or restore into another one with --into.")
            }
            plan.append((database, name, entry, exists))
        }
        let needs = try plan.map { try needsOf($0.entry, "database '\($0.database)'", makesDatabase: !$0.exists && options.into == nil) }
        for need in needs { try need?.requireExtensions(server) }
        if options.globals { try restoreGlobals(target, tools, note) }
        let nothing = options.globals ? "No database was made; see psql's messages above." : "Nothing was changed."
        var withoutSpaces: [[String]] = []
        for need in needs {
            try need?.requireRoles(
                server, advice: nothing + (options.globals ? " Make them first." : " With --globals the roles that are not there are made first, as they were."))
            try need?.requireOwners(server, nothing: nothing)
            withoutSpaces.append(
                try need?.tablespacesMissing(server, advice: nothing + " Make it first, or restore into a database of another name with --into.") ?? [])
        }
        var restored: [Restored] = []
        for (step, spaces) in zip(plan, withoutSpaces) {
            note("restoring database \(step.database)\(step.name == step.database ? "" : " as \(step.name)")")
            if !spaces.isEmpty { note(DatabaseNeeds.note(tablespacesMissing: spaces)) }
            let arguments = spaces.isEmpty ? [] : ["--no-tablespaces"]
            if step.exists || options.into != nil {
                if !step.exists { try server.query("CREATE DATABASE \(SQLText.identifier(step.name)) TEMPLATE template0") }
                try restore(step.entry, into: target.database(step.name), arguments, tools)
            } else {
                // With the encoding, locale, owner and settings that it had.
                try restore(step.entry, into: target, ["--create"] + arguments, tools)
            }
            let counts = facts.databases.first { $0.name == step.database }?.rowCounts ?? []
            try compare(counts, target.database(step.name))
            restored.append(Restored(database: step.database, name: step.name, tablesCompared: counts.count))
        }
        return restored
    }

    /// Nil where that is not told: in an archive that only a newer pg_restore knows.
    private func needsOf(_ entry: TreeEntry, _ name: String, makesDatabase: Bool) throws -> DatabaseNeeds? {
        do {
            return try DumpFiles.contents(entry, repository).map { DatabaseNeeds($0, name: name, makesDatabase: makesDatabase) }
        } catch let error as RepoError {
            guard error.code == .usage else { throw error }
            return nil
        }
    }

    /// The dumps that are wanted, by database. Templates only by name.
    private func chosen() throws -> [(String, TreeEntry)] {
        let files = try DumpFiles.all(snapshot.root, repository)
        let all = files.map(\.database)
        let found = files.filter { database, _ in
            options.databases.isEmpty
                ? database != "template1" : options.databases.contains { DumpOptions.matches(database, $0) }
        }
        for pattern in options.databases where !all.contains(where: { DumpOptions.matches($0, pattern) }) {
            throw RepoError(
                .notFound, "the snapshot has no database that matches '\(pattern)'", advice: "It has \(all.joined(separator: ", ")).")
        }
        guard !found.isEmpty else { throw RepoError(.notFound, "the snapshot has no dump of a database") }
        guard options.into == nil || found.count == 1 else {
            throw RepoError(.usage, "\(found.count) databases cannot be restored into one", advice: "Name one with --database.")
        }
        return found
    }

    /// Nothing that a user made stands in it: no relation, function, type or schema, but for those of extensions, which a dump takes
    /// as they are, and a schema `public` that was made anew.
    static func isEmpty(_ name: String, _ target: ConnectionTarget) throws(RepoError) -> Bool {
        let connection = try PostgresConnection(target.database(name))
        // 16384 is FirstNormalObjectId (access/transam.h): what stands below came with the server.
        let answer = try connection.query(
            """
            SELECT EXISTS (SELECT 1 FROM (
                SELECT 'pg_catalog.pg_class'::pg_catalog.regclass AS class, oid, relnamespace AS space FROM pg_catalog.pg_class WHERE relkind NOT IN ('i', 'I')
                UNION ALL SELECT 'pg_catalog.pg_proc'::pg_catalog.regclass, oid, pronamespace FROM pg_catalog.pg_proc
                UNION ALL SELECT 'pg_catalog.pg_type'::pg_catalog.regclass, oid, typnamespace FROM pg_catalog.pg_type WHERE typrelid = 0 AND typelem = 0
                UNION ALL SELECT 'pg_catalog.pg_namespace'::pg_catalog.regclass, oid, oid FROM pg_catalog.pg_namespace WHERE nspname <> 'public'
            ) o JOIN pg_catalog.pg_namespace n ON n.oid = o.space
            WHERE o.oid >= 16384 AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema' AND NOT EXISTS (
                SELECT 1 FROM pg_catalog.pg_depend d WHERE d.classid = o.class AND d.objid = o.oid AND d.objsubid = 0 AND d.deptype = 'e'))
            """)
        return answer[0, 0] == "f"
    }

    private func restore(_ entry: TreeEntry, into target: ConnectionTarget, _ arguments: [String], _ tools: DumpTools) throws {
        let database = target.database == nil ? target.database("postgres") : target
        try feed(
            entry, [tools.restore, "--exit-on-error", "--no-password", "--dbname=\(database.argumentWithoutPassword)"] + arguments, target)
    }

    /// Roles that exist are errors of psql which it goes on after; what else fails shows when objects are given to them.
    private func restoreGlobals(_ target: ConnectionTarget, _ tools: DumpTools, _ note: (String) -> Void) throws {
        note("restoring roles and tablespaces; those that exist are left as they are")
        var cursor = try TreeCursor(snapshot.root, BlobReader(repository))
        guard let entry = try cursor.entry(named: Array(DumpSource.globalsName.utf8)) else {
            throw RepoError(.notFound, "the snapshot has no \(DumpSource.globalsName)")
        }
        let database = target.database == nil ? target.database("postgres") : target
        try feed(
            entry,
            [tools.folder + "/psql", "--no-psqlrc", "--quiet", "--no-password", "--dbname=\(database.argumentWithoutPassword)", "--file=-"], target)
    }

    /// Writes a file of the snapshot to a program's standard input.
    private func feed(_ entry: TreeEntry, _ command: [String], _ target: ConnectionTarget) throws {
        guard let content = entry.content else { return }
        let environment = target.password.map { ["PGPASSWORD": $0] } ?? [:]
        let child = try ChildProcess(command, environment: environment, pipesInput: true)
        do {
            try ContentStream(repository).read(content, size: entry.metadata.size) { bytes in
                guard let input = child.input else { return }
                try Self.write(bytes, to: input)
            }
        } catch is Hungup {
            // It ended before it had read everything: its status and its messages say why.
        } catch {
            child.kill()
            throw error
        }
        child.closeInput()
        let messages = child.readAll(atMost: 1 << 16)
        let status = child.wait()
        guard status == .exited(0) else {
            throw RepoError(
                .failed, "'\(command[0])' could not restore \(String(decoding: entry.name, as: UTF8.self)) into \(target)",
                advice: "See its messages above. What it had made until then is still there."
                    + (messages.isEmpty ? "" : " \(String(decoding: messages, as: UTF8.self))"))
        }
    }

    private struct Hungup: Error {}

    private static func write(_ bytes: UnsafeRawBufferPointer, to descriptor: CInt) throws {
        var rest = bytes
        while !rest.isEmpty {
            let count = Glibc.write(descriptor, rest.baseAddress!, rest.count)
            if count < 0 {
                if errno == EINTR { continue }
                throw Hungup()
            }
            rest = UnsafeRawBufferPointer(rebasing: rest[count...])
        }
    }

    /// Throws `.damaged` when a table has another number of rows than when it was dumped.
    private func compare(_ counts: [ClusterFacts.RowCount], _ target: ConnectionTarget) throws(RepoError) {
        guard !counts.isEmpty else { return }
        let connection = try PostgresConnection(target)
        for count in counts {
            let name = "\(SQLText.identifier(count.schema)).\(SQLText.identifier(count.table))"
            let rows: UInt64 = try connection.query("SELECT count(*) FROM ONLY \(name)").value(0, 0, "count")
            guard rows == count.rows else {
                throw RepoError(
                    .damaged, "\(name) has \(rows) rows after the restore, and had \(count.rows) when it was dumped",
                    advice: "Did anybody write to it meanwhile? A trigger or a policy may hide rows as well.")
            }
        }
    }
}
