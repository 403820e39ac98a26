import Glibc
public import Ingest
public import PostgresClient
import PostgresFormats
public import RepoBase
public import Repository

/// A PostgreSQL server for one question: restored into a folder of its own, recovered, asked, and removed.
///
/// It listens on a Unix socket that its own system user and root alone can open, archives nowhere, follows nobody, and runs no background jobs. As
/// root it runs as the owner that the base backup's files have; otherwise as whoever we are. Signals, errors: `remove` leaves nothing. When we are
/// killed, the kernel ends the server, and the next run removes the folder.
///
/// In order: `init`, `check`, `restore`, `start`, then `target`, `stop`, `remove`. To be used by one thread, which lives as long as the server; `cancel`
/// may be called by any.
///
/// Unchecked: `log` is reached by `check` and `restore` alone, and so by that one thread; all else is immutable or behind a monitor.
public final class ThrowawayServer: @unchecked Sendable {
    public let plan: RecoveryPlan
    public let programs: ServerPrograms
    /// What people should know of it: libraries that were left out, leftovers that were removed.
    public var notes: [String] { state.withLock { $0.notes } }

    static let dataName = "data"

    private let repository: OpenRepository
    private let log: ArchiveLog
    private let root: BlobID
    private let restoreCommand: String
    private let options: ThrowawayOptions
    private let cancellation: CancellationFlag
    private let state = Monitor(State())

    private struct State {
        var notes: [String] = []
        var folder: ThrowawayFolder?
        /// Where the socket is, when the folder's path is too long for one.
        var socketFolder: ThrowawayFolder?
        var restore: ClusterRestore?
        var process: ServerProcess?
        /// A program that runs beside the server.
        var program: ChildProcess?
        var user: String?
    }

    /// Looks for programs, room and leftovers; restores nothing.
    ///
    /// - Parameters:
    ///   - restoreCommand: what the server fetches its log with, with `%f` and `%p`.
    /// Throws `.usage` where PostgreSQL of that version or the scratch folder is missing, `.refused` where root would run the server, `.storeFull` where there is
    /// no room.
    public init(_ repository: OpenRepository, _ planned: ClusterHistory.Planned, restoreCommand: String, options: ThrowawayOptions) throws {
        (self.repository, self.options, self.restoreCommand) = (repository, options, restoreCommand)
        (plan, log, root) = (planned.plan, planned.log, planned.candidate.entry.snapshot.root)
        cancellation = try CancellationFlag()
        programs = try ServerPrograms(major: Int(plan.backup.facts.serverVersion / 10_000), folder: options.programs, isOptional: false)
        guard access(programs.server, X_OK) == 0 else {
            throw RepoError(.usage, "there is no server (postgres) in '\(programs.folder)'", advice: "Install the server's package, not the client's alone.")
        }
        if geteuid() == 0, try serverOwner().user == 0 {
            throw RepoError(
                .refused, "the base backup's files belong to root, and PostgreSQL does not run as root",
                advice: "Run this as the user who runs PostgreSQL.")
        }
        try ThrowawayFolder.requirePlace(options.scratch)
        for folder in Set([options.scratch, ThrowawaySocket.scratch]).sorted() {
            for path in try ThrowawayFolder.removeLeftovers(in: folder) { note("removed what a killed run had left: \(path)") }
        }
        try requireRoom()
    }

    // MARK: - Before

    /// Looks at everything that recovery needs: the base backup's blobs, every segment, and whether the server's user can fetch the log.
    ///
    /// Throws `.damaged`, or `.failed` where the log cannot be fetched. Nothing was restored then.
    public func check() throws {
        if let segment = plan.segments.first {
            let trial = try RestoreCommandTrial(restoreCommand, root: root, repository)
            let name = segment.name(log.segmentSize)
            if let failure = try trial.run(name) {
                // It may be the segment itself, which the check of the log names better.
                try restoring("/nonexistent").check(log)
                throw RepoError(
                    .failed, "\(trial.user.map { "user \($0)" } ?? "this user") cannot fetch the log: \(failure)",
                    advice: "Nothing was restored. The server's user must be able to run "
                        + "\(restoreCommand.split(separator: " ").first ?? "repo"), and to read the key and the repository.")
            }
        }
        try cancellation.check()
        try restoring("/nonexistent").check(log)
    }

    /// Whom the server runs as.
    private func serverOwner() throws -> FileOwner {
        FileOwner(recorded: try SnapshotPath.file(root, Array("PG_VERSION".utf8), BlobReader(repository)).metadata)
    }

    /// What the log takes beside the files at most: segments that were replayed go with the next restart point (`max_wal_size` is 1 GiB by default).
    private static let logRoom: UInt64 = 1 << 30

    private func requireRoom() throws(RepoError) {
        let segments = UInt64(plan.segments.count + 2) * UInt64(log.segmentSize.bytes)
        try ThrowawayFolder.requireRoom(options.scratch, plan.backup.bytes + min(Self.logRoom, segments), "the cluster")
    }

    private func note(_ text: String) { state.withLock { $0.notes.append(text) } }

    // MARK: - Restoring and starting

    /// Where everything of it is; nil before `restore`.
    public var folder: String? { state.withLock { $0.folder?.path } }
    /// The data directory.
    public var data: String? { folder.map { "\($0)/\(Self.dataName)" } }
    /// What the server said.
    public var serverLog: String? { folder.map { "\($0)/server.log" } }

    private func restoring(_ folder: String) -> ClusterRestore {
        var settings = ClusterRestoreOptions(target: "\(folder)/\(Self.dataName)", restoreCommand: restoreCommand)
        settings.action = options.action
        settings.verifies = options.verifies
        settings.verifiesLog = options.verifiesLog
        settings.check = { [cancellation] in try cancellation.check() }
        for tablespace in plan.backup.facts.tablespaces {
            settings.tablespaces["\(tablespace.oid)"] = "\(folder)/tablespaces/\(tablespace.oid)"
        }
        let restore = ClusterRestore(repository, plan, root: root, options: settings)
        state.withLock { $0.restore = restore }
        return restore
    }

    /// May be asked by any thread while `check` and `restore` run.
    public var progress: (restore: RestoreProgress, logChecked: (done: Int, total: Int)) {
        let restore = state.withLock { $0.restore }
        return (restore?.progress ?? RestoreProgress(), restore?.logChecked ?? (0, 0))
    }

    /// Makes the folder and restores the base backup into it. `check` comes first.
    public func restore() throws -> ClusterRestoreResult {
        try cancellation.check()
        let folder = try ThrowawayFolder(in: options.scratch)
        state.withLock { $0.folder = folder }
        return try restoring(folder.path).run(log, isChecked: true, now: .now())
    }

    /// Starts the server and waits until it has recovered what was planned, and nothing else; then it is promoted or paused as `action` says, or has ended.
    ///
    /// Throws `.failed` with the end of the server's log.
    public func start() throws -> ServerStart.Report {
        guard let folder = state.withLock({ $0.folder }) else { throw RepoError(.failed, "nothing was restored") }
        let data = "\(folder.path)/\(Self.dataName)"
        let owner = try FileOwner(of: data + "/PG_VERSION")
        var settings = try settings(folder, data)
        try ThrowawaySettings.writeFiles(folder.path, owner: owner)
        while true {
            try cancellation.check()
            let process = ServerProcess(programs.server, data: data, log: "\(folder.path)/server.log", owner: owner)
            state.withLock { $0.process = process }
            let child = ServerStart.Child(
                process: process, arguments: settings.arguments, check: { [cancellation] in try cancellation.check() },
                ask: { [self] question in
                    guard let connection = try? connect() else { return nil }
                    return (try? connection.query(question))?[0, 0]
                })
            do {
                let report = try ServerStart(programs, data: data, plan: plan, action: options.action, child: child).run()
                if report.isRunning { try findUser() }
                return report
            } catch {
                try cancellation.check()
                // The log may tell of settings that were raised after the base backup was made.
                let lacking = settings.lacking(TextFile.read(process.log) ?? "").filter { $0.value > settings.minimums[$0.key] ?? 0 }
                guard !lacking.isEmpty else { throw error }
                process.end()
                for (name, value) in lacking { settings.minimums[name] = value }
            }
        }
    }

    private func settings(_ folder: ThrowawayFolder, _ data: String) throws -> ThrowawaySettings {
        let facts = plan.backup.facts
        let path = data + "/" + ControlFile.path
        guard let bytes = TextFile.bytes(path) else { throw TextFile.failure("read", path) }
        let control = try bytes.withUnsafeBytes { try ControlFile($0, object: path) }
        let libraries = ThrowawaySettings.libraries(facts.settings["shared_preload_libraries"] ?? "", programs)
        for name in libraries.missing { note("the old server loaded the library \(name), which is not installed here: it was left out") }
        return ThrowawaySettings(
            folder: folder.path, socketFolder: try socketFolder(folder), bufferBytes: options.bufferBytes, isDurable: options.isDurable,
            isHotStandby: options.action == .pause, minimums: ThrowawaySettings.minimums(control, facts.settings),
            trackCommitTimestamp: control.trackCommitTimestamp, libraries: libraries.found, timeZone: facts.settings["TimeZone"])
    }

    // MARK: - The socket

    private func socketFolder(_ folder: ThrowawayFolder) throws -> String {
        if let made = state.withLock({ $0.socketFolder }) { return "\(made.path)/s" }
        let made = try ThrowawaySocket.make(in: folder, owner: FileOwner(of: "\(folder.path)/\(Self.dataName)/PG_VERSION"))
        state.withLock { $0.socketFolder = made.own }
        return made.path
    }

    // MARK: - Asking

    /// How to reach it as a superuser, in this database. Only while it runs.
    public func target(database: String = "postgres") throws(RepoError) -> ConnectionTarget {
        let (folder, socketFolder, user) = state.withLock { ($0.folder, $0.socketFolder, $0.user) }
        guard let folder = socketFolder ?? folder else { throw RepoError(.failed, "nothing was restored") }
        return try ThrowawaySocket.target("\(folder.path)/s", user: user ?? options.user ?? "postgres", database)
    }

    /// A connection as a superuser. Names resolve to the system's own objects (`search_path` is empty).
    public func connect(database: String = "postgres") throws -> PostgresConnection {
        try findUser()
        return try PostgresConnection(target(database: database), cancellation: cancellation)
    }

    /// The name of a superuser: usual ones first, then those that the cluster's files name.
    private func findUser() throws {
        guard let data, state.withLock({ $0.user }) == nil else { return }
        let owner = try FileOwner(of: data + "/PG_VERSION")
        var names = options.user.map { [$0] } ?? ["postgres"]
        if options.user == nil {
            if let entry = getpwuid(owner.user) { names.append(String(cString: entry.pointee.pw_name)) }
            names += SuperuserNames.read(data).filter { !names.contains($0) }
        }
        guard let folder = state.withLock({ $0.socketFolder ?? $0.folder }) else { return }
        var failure: RepoError?
        for name in names {
            for database in ["postgres", "template1"] {
                do {
                    let connection = try PostgresConnection(ThrowawaySocket.target("\(folder.path)/s", user: name, database), cancellation: cancellation)
                    guard connection.reported("is_superuser") == "on" else {
                        failure = failure ?? RepoError(.sourceFailed, "role '\(name)' is no superuser")
                        continue
                    }
                    state.withLock { $0.user = name }
                    return
                } catch {
                    if error.code == .interrupted { throw error }
                    failure = failure ?? error
                }
            }
        }
        throw RepoError(
            .failed, "the restored server lets none of \(names.joined(separator: ", ")) in as a superuser: \(failure?.message ?? "")",
            advice: "Name a superuser of the cluster with --superuser.")
    }

    /// Runs a program beside the server, or on its files, and waits for its end. `cancel` ends it.
    ///
    /// - Returns: what it wrote on both streams, of very much the first part.
    /// Throws `.sourceFailed` when it cannot be started, `.interrupted`.
    public func run(_ command: [String], outputLimit: Int = 4 << 20) throws -> (status: ChildProcess.Status, output: String) {
        // One pipe for both streams, and nothing of our environment that libpq would listen to.
        let forgotten = ["PGSERVICE", "PGSERVICEFILE", "PGHOST", "PGHOSTADDR", "PGDATABASE", "PGUSER", "PGOPTIONS", "PGSSLMODE", "PGPASSWORD"]
        let words = ["/usr/bin/env"] + forgotten.flatMap { ["-u", $0] } + ["LC_ALL=C", "/bin/sh", "-c", "exec \"$@\" 2>&1 </dev/null", "sh"] + command
        try cancellation.check()
        let child = try ChildProcess(words)
        state.withLock { $0.program = child }
        // It may have been cancelled in between.
        if cancellation.isCancelled { child.terminate() }
        let output = child.readAll(atMost: outputLimit)
        let status = child.wait()
        state.withLock { $0.program = nil }
        try cancellation.check()
        return (status, String(decoding: output, as: UTF8.self))
    }

    /// What PostgreSQL's programs need to reach it: host, port and user.
    public func connectionArguments() throws -> [String] {
        try findUser()
        let (folder, user) = state.withLock { ($0.socketFolder ?? $0.folder, $0.user) }
        guard let folder, let user else { throw RepoError(.failed, "nothing was restored") }
        return ["--host=\(folder.path)/s", "--port=\(ThrowawaySettings.port)", "--username=\(user)", "--no-password"]
    }

    // MARK: - The end

    /// Ends the server in order (a fast shutdown) and waits; the data directory is then consistent and closed. Throws `.failed` when it does not end so.
    public func stop() throws {
        guard let process = state.withLock({ $0.process }), !process.hasEnded else { return }
        process.send(SIGINT)
        while !process.wait(seconds: 0.5) { try cancellation.check() }
    }

    /// Makes whatever is going on throw `.interrupted` soon. `remove` is still to be called.
    public func cancel() {
        cancellation.cancel()
        state.withLock { $0.program }?.terminate()
    }

    public var isCancelled: Bool { cancellation.isCancelled }

    /// Ends the server at once and removes everything. Harmless when repeated. Throws `.failed` for what could not be removed.
    public func remove() throws {
        let (process, folder, socketFolder) = state.withLock { ($0.process, $0.folder, $0.socketFolder) }
        process?.end()
        defer { try? socketFolder?.remove() }
        try folder?.remove()
    }

    /// Ends the server in order and leaves its files for people to look at. Returns their folder.
    public func keep() throws -> String? {
        let (folder, socketFolder) = state.withLock { ($0.folder, $0.socketFolder) }
        try folder?.keep()
        try? stop()
        try socketFolder?.remove()
        return folder?.path
    }

    /// Runs `body` and removes everything, whatever comes of it; what cannot be removed is an error unless there was another.
    public func use<R>(_ body: (ThrowawayServer) throws -> R) throws -> R {
        let result: R
        do {
            result = try body(self)
        } catch {
            try? remove()
            throw cancellation.isCancelled ? RepoError(.interrupted, "interrupted") : error
        }
        try remove()
        return result
    }
}
