import Glibc
import Ingest
import PostgresClient
import PostgresFormats
import RepoBase

/// Loads a selection of an archive: into a database, in one transaction, or into a file of SQL.
///
/// What can be known to go wrong is refused before the target is changed; what goes wrong after all is taken back by the server.
struct ArchiveLoad {
    let options: ExtractOptions
    let work: ExtractWork

    /// What is to be loaded where, after everything was looked at.
    struct Prepared {
        var selection: TableSelection
        var tools: DumpTools
        var server: LoadTarget?
        var arguments: [String] = []
        var environment: [String: String] = [:]
    }

    /// Looks at the target. Throws `.conflict` for tables that are there, `.refused` for what would be lost with them, and `.failed` for what is missing.
    ///
    /// - Parameters:
    ///   - rows: the tables that rows go into, where they are added; nil: those whose rows the selection has.
    ///   - database: that the tables are from.
    ///   - source: its server's major version.
    func prepare(
        _ selection: TableSelection, rows: [TableName]? = nil, database: String, source: Int, _ result: inout ExtractResult
    ) throws -> Prepared {
        switch options.destination {
        case .script(let path, let replaces):
            try Self.requireFree(path, replaces: replaces)
            result.destination = path
            let only = options.existing == .append ? selection.without { $0.kind != "TABLE DATA" } : selection
            var prepared = Prepared(selection: only, tools: try DumpTools(for: PostgresVersion(number: source * 10_000)))
            prepared.arguments = arguments
            return prepared
        case .server(let named):
            let target = named.database == nil ? named.database(database) : named
            let server = try LoadTarget(target, cancellation: work.cancellation)
            result.destination = target.description
            try requireVersion(server, source: source)
            var prepared = Prepared(selection: selection, tools: try DumpTools(for: server.connection.version), server: server)
            if options.existing == .append {
                let tables = rows ?? selection.data.map(\.table)
                try requireThere(tables, server)
                let triggers = try server.insertTriggers(tables)
                if !triggers.isEmpty {
                    result.notes.append(
                        "added rows set off trigger\(triggers.count == 1 ? "" : "s") \(Self.list(triggers)), and may differ from what they were for it")
                }
                prepared.selection = selection.without { $0.kind != "TABLE DATA" }
            } else {
                let fitted = try server.fitted(selection)
                prepared.selection = fitted.selection
                result.notes += fitted.notes
                try requireLoadable(prepared.selection, server)
                try requireOwners(prepared.selection, server)
            }
            prepared.arguments = arguments
            let spaces = try server.connection.lacking(tablespaces: DumpEntry.tablespaces(of: prepared.selection.entries))
            if !spaces.isEmpty, options.existing != .append {
                prepared.arguments.append("--no-tablespaces")
                result.notes.append(DatabaseNeeds.note(tablespacesMissing: spaces))
            }
            prepared.environment = Self.environment(target)
            return prepared
        }
    }

    /// For programs of PostgreSQL: a password of the connection string goes where other users of the machine do not see it.
    static func environment(_ target: ConnectionTarget) -> [String: String] {
        var words = ["PGAPPNAME": "repo", "PGCONNECT_TIMEOUT": getenv("PGCONNECT_TIMEOUT").map { String(cString: $0) } ?? "30"]
        // No setting of the role ends long work, and what the server says is told in words that are looked at.
        words["PGOPTIONS"] = "-c statement_timeout=0 -c lock_timeout=0 -c idle_in_transaction_session_timeout=0"
        if let password = target.password { words["PGPASSWORD"] = password }
        return words
    }

    private var arguments: [String] {
        var words: [String] = []
        if options.existing == .append { words.append("--data-only") }
        if !options.withOwners { words += ["--no-owner", "--no-privileges"] }
        return words
    }

    // MARK: - Refusals

    func requireVersion(_ server: LoadTarget, source: Int) throws(RepoError) {
        guard server.connection.version.major >= source else {
            throw RepoError(
                .usage, "the tables are of PostgreSQL \(source), and \(server.target) is \(server.connection.version)",
                advice: "They load into the same or a newer version. --target FILE writes SQL that you can look at.")
        }
    }

    static func requireFree(_ path: String, replaces: Bool) throws(RepoError) {
        var status = stat()
        guard lstat(path, &status) == 0 else {
            let folder = path.split(separator: "/", omittingEmptySubsequences: false).dropLast().joined(separator: "/")
            guard access(folder.isEmpty ? "/" : folder, W_OK | X_OK) == 0 else {
                throw RepoError(.usage, "cannot write into '\(folder.isEmpty ? "/" : folder)': \(String(cString: strerror(errno)))")
            }
            return
        }
        guard status.st_mode & S_IFMT == S_IFREG else {
            throw RepoError(.usage, "'\(path)' is no file", advice: "With --table, --target names a file of SQL to write.")
        }
        guard replaces else { throw RepoError(.conflict, "'\(path)' exists", advice: "Nothing was done. --overwrite always replaces it.") }
    }

    func requireThere(_ tables: [TableName], _ server: LoadTarget) throws(RepoError) {
        let absent = tables.filter { !server.has($0) }
        guard let first = absent.first else { return }
        throw RepoError(
            .notFound, "there is no \(first) in \(server.target) to append to\(absent.count > 1 ? ", nor \(absent.count - 1) others" : "")",
            advice: "Without --append it is made.")
    }

    func requireNone(_ conflicts: [String], _ server: LoadTarget) throws(RepoError) {
        guard !conflicts.isEmpty else { return }
        throw RepoError(
            .conflict, "\(Self.list(conflicts)) \(conflicts.count == 1 ? "exists" : "exist") in \(server.target)",
            advice: "Nothing was changed. --rename-to NAME gives the restored table another name, --append adds its rows, --clean drops what is there first.")
    }

    func requireNoDependents(_ tables: [TableName], _ server: LoadTarget) throws(RepoError) {
        let dependents = try server.dependents(tables)
        guard !dependents.isEmpty else { return }
        throw RepoError(
            .refused, "what is there cannot be dropped in \(server.target): \(Self.list(dependents)) depend\(dependents.count == 1 ? "s" : "") on it",
            advice: "Nothing was changed. Restore with --rename-to NAME and move the rows, or drop these yourself.")
    }

    private func requireLoadable(_ selection: TableSelection, _ server: LoadTarget) throws(RepoError) {
        try requireNone(server.conflicts(selection, drops: options.existing == .drop), server)
        if options.existing == .drop { try requireNoDependents(selection.tables, server) }
        let missing = try server.missing(selection, withOwners: options.withOwners)
        guard missing.isEmpty else {
            let isRole = missing.allSatisfy { $0.hasPrefix("role ") }
            throw RepoError(
                .failed, "\(server.target) has no \(Self.list(missing)), which the tables need",
                advice: "Nothing was changed. "
                    + (isRole ? "--no-owner leaves owners and rights out." : "Make it first, or restore it as well; --target FILE writes SQL that you can edit."))
        }
    }

    private func requireOwners(_ selection: TableSelection, _ server: LoadTarget) throws(RepoError) {
        guard options.withOwners else { return }
        let owners = try server.connection.outOfReach(DumpEntry.owners(of: selection.entries))
        guard !owners.isEmpty else { return }
        throw RepoError(
            .failed, "the role of \(server.target) may give nothing to \(Self.list(owners.map(TableName.shown))), whose the tables were",
            advice: "Nothing was changed. --no-owner leaves owners and rights out; or connect as a superuser, or as a member of "
                + (owners.count == 1 ? "that role." : "these roles."))
    }

    /// All of them where they are few.
    static func list(_ names: [String]) -> String {
        names.count <= 8 ? names.joined(separator: ", ") : names.prefix(7).joined(separator: ", ") + " and \(names.count - 7) others"
    }

    // MARK: - Loading

    /// Loads what `feed` gives of the archive, or an archive that is a file.
    /// - Parameter scratch: a folder of ours, for the list of entries.
    func run(_ prepared: Prepared, archive: String?, scratch: String, feed: ((UnsafeRawBufferPointer) throws -> Void) throws -> Void = { _ in }) throws {
        let list = "\(scratch)/entries.list"
        let owner = FileOwner.own
        try TextFile.write(list, prepared.selection.list, owner: owner)
        var command = [prepared.tools.restore, "--no-password", "--use-list=\(list)"] + prepared.arguments
        switch options.destination {
        case .server where options.existing == .drop: try replace(prepared, command, archive, feed)
        case .server:
            guard let target = prepared.server?.target else { return }
            command += ["--exit-on-error", "--single-transaction", "--dbname=\(target.argumentWithoutPassword)"]
            if let archive { command.append(archive) }
            try FedProgram.run(
                command, environment: prepared.environment, work, advice: "\(target) is as it was: it was one transaction, and was taken back.", feed: feed)
        case .script(let path, let replaces):
            try Script.publish(path, replaces: replaces) { partial in
                let drops = options.existing == .drop ? prepared.selection.drops : ""
                let body = drops.isEmpty ? partial : "\(scratch)/body.sql"
                command += ["--file=\(body)"]
                if let archive { command.append(archive) }
                try FedProgram.run(command, work, advice: "'\(path)' was not written.", feed: feed)
                guard !drops.isEmpty else { return }
                let out = try ScriptFile(partial)
                defer { out.close() }
                try out.write(drops)
                try TextFile.pieces(body) { try out.write($0) }
                try out.finish()
            }
        }
    }

    /// Drops what is there and loads, in one transaction of psql, to whose standard input pg_restore writes its SQL. The end of the input is no end of the
    /// transaction: COMMIT comes from us, when pg_restore has ended well.
    private func replace(
        _ prepared: Prepared, _ command: [String], _ archive: String?, _ feed: ((UnsafeRawBufferPointer) throws -> Void) throws -> Void
    ) throws {
        guard let target = prepared.server?.target else { return }
        var failure: (any Error)?
        let advice = "\(target) is as it was: it was one transaction, and was taken back."
        try FedProgram.run(psql(prepared, target) + ["--file=-"], environment: prepared.environment, work, advice: advice) { program in
            try program.write("BEGIN;\n" + prepared.selection.drops)
            do {
                try FedProgram.run(command + ["--file=\(try program.inputPath)"] + (archive.map { [$0] } ?? []), work, advice: advice, feed: feed)
            } catch {
                // psql that gave up is a reason for it, and says more.
                failure = error
                throw FedProgram.Hungup()
            }
            try program.write("COMMIT;\n")
        }
        if let failure { throw failure }
    }

    private func psql(_ prepared: Prepared, _ target: ConnectionTarget) -> [String] {
        [
            "\(prepared.tools.folder)/psql", "--no-psqlrc", "--quiet", "--no-password", "--set=ON_ERROR_STOP=1", "--output=/dev/null",
            "--dbname=\(target.argumentWithoutPassword)",
        ]
    }

    /// Runs a script of psql that is whole in a file: through a pipe, psql would take our own end for the script's, and commit the beginning of it.
    func run(script: String, _ prepared: Prepared) throws {
        switch options.destination {
        case .server:
            guard let target = prepared.server?.target else { return }
            try FedProgram.run(
                psql(prepared, target) + ["--single-transaction", "--file=\(script)"], environment: prepared.environment, work, advice: "\(target) is as it was: it was one transaction, and was taken back.")
        case .script(let path, let replaces):
            try Script.publish(path, replaces: replaces) { partial in
                let out = try ScriptFile(partial)
                defer { out.close() }
                try TextFile.pieces(script) {
                    try work.check()
                    try out.write($0)
                }
                try out.finish()
            }
        }
    }

    /// Counts rows in the target. Throws `.damaged` where a table that was just made has another number of them.
    func count(_ prepared: Prepared, _ tables: inout [ExtractedTable]) throws {
        guard let server = prepared.server, options.existing != .append else { return }
        try Self.count(server, &tables)
    }

    static func count(_ server: LoadTarget, _ tables: inout [ExtractedTable]) throws(RepoError) {
        for index in tables.indices {
            guard let rows = tables[index].rows else { continue }
            let found = try server.count(tables[index].table)
            tables[index].rowsInTarget = found
            guard rows == found else {
                throw RepoError(
                    .damaged, "\(tables[index].table) has \(found) rows in \(server.target), and \(rows) were loaded",
                    advice: "Did anybody write to it meanwhile? A trigger or a policy may hide or remove rows as well.")
            }
        }
    }
}

/// A file of SQL that is to be there whole or not at all.
enum Script {
    /// `body` writes another file, which takes the name when it is whole. Throws `.conflict` where there is one by now.
    static func publish(_ path: String, replaces: Bool, _ body: (String) throws -> Void) throws {
        let partial = "\(path).partial-\(getpid())"
        unlink(partial)
        // Rows of tables are nobody else's business, until somebody decides otherwise.
        let made = open(partial, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard made >= 0 else { throw TextFile.failure("write", path) }
        close(made)
        do {
            try body(partial)
            let descriptor = open(partial, O_RDONLY | O_CLOEXEC)
            guard descriptor >= 0 else { throw TextFile.failure("write", path) }
            defer { close(descriptor) }
            guard fsync(descriptor) == 0 else { throw TextFile.failure("write", path) }
            if replaces {
                guard rename(partial, path) == 0 else { throw TextFile.failure("write", path) }
            } else {
                // Unlike rename(2), never over what another one has put there meanwhile.
                guard link(partial, path) == 0 else {
                    if errno == EEXIST { throw RepoError(.conflict, "'\(path)' exists by now", advice: "--overwrite always replaces it.") }
                    throw TextFile.failure("write", path)
                }
                unlink(partial)
            }
        } catch {
            unlink(partial)
            throw error
        }
    }
}

extension FileOwner {
    /// Whoever we are.
    static var own: FileOwner { FileOwner(user: geteuid(), group: getegid()) }

    init(user: uid_t, group: gid_t) { (self.user, self.group) = (user, group) }
}
