import Glibc
public import PostgresFormats
import RepoBase

/// Starts a restored cluster and waits until it has recovered what was planned.
public struct ServerStart: Sendable {
    private let programs: ServerPrograms
    private let data: String
    private let plan: RecoveryPlan
    private let action: RecoveryAction
    private let launch: Launch

    /// How the server is started.
    private enum Launch: Sendable {
        /// By pg_ctl, to live on; with what its `-o` hands to the server.
        case control(String)
        /// As our own child.
        case child(Child)
    }

    /// A server that ends with us.
    struct Child: Sendable {
        var process: ServerProcess
        var arguments: [String]
        /// Asked whenever we wait; what it throws ends the waiting.
        var check: @Sendable () throws -> Void
        /// A value by SQL; nil while the server lets nobody in.
        var ask: @Sendable (String) -> String?
    }

    /// - Parameter serverOptions: what `pg_ctl start -o` hands to the server.
    public init(_ programs: ServerPrograms, data: String, plan: RecoveryPlan, action: RecoveryAction, serverOptions: String = "") {
        (self.programs, self.data, self.plan, self.action) = (programs, data, plan, action)
        launch = .control(serverOptions)
    }

    init(_ programs: ServerPrograms, data: String, plan: RecoveryPlan, action: RecoveryAction, child: Child) {
        (self.programs, self.data, self.plan, self.action) = (programs, data, plan, action)
        launch = .child(child)
    }

    /// What came of it.
    public struct Report: Hashable, Sendable {
        /// Behind the last byte that was replayed; nil where it could not be asked for.
        public var position: LogSequenceNumber?
        /// The new timeline; nil when the server was not promoted.
        public var timeline: UInt32?
        public var isRunning = true
        public var isPaused = false
        /// Seconds from the start to the first moment at which the data was consistent, and from there to the end.
        public var startSeconds: Double = 0
        public var replaySeconds: Double = 0
        public var log: String = ""
    }

    /// Where the server writes its messages until its own settings send them elsewhere.
    public var log: String {
        if case .child(let child) = launch { return child.process.log }
        return data + "/recovery.log"
    }

    /// Throws `.failed` with the end of the server's log when it does not come up, or ends elsewhere than planned.
    public func run() throws -> Report {
        let clock = ContinuousClock()
        let owner = try FileOwner(of: data + "/PG_VERSION")
        var report = Report()
        report.log = log
        let started = clock.now
        switch launch {
        case .control(let options):
            var command = [programs.control, "-D", data, "-l", log, "-w", "-t", "\(Self.patience)"]
            if !options.isEmpty { command += ["-o", options] }
            let start = try ChildRun.run(command + ["start"], as: owner, in: data)
            // With shutdown for an action a server that reached its target at once is down again before pg_ctl looks.
            if start.status != 0, try action != .shutdown || state() != .shutDownInRecovery {
                throw failure("the server did not start", start.output)
            }
        case .child(let child):
            try child.process.start(child.arguments)
            try wait(orThrow: "the server did not start") { try isUp() || action == .shutdown && state() == .shutDownInRecovery }
        }
        report.startSeconds = (clock.now - started) / .seconds(1)
        let consistent = clock.now
        switch action {
        case .promote:
            // The control file says so a moment before the server lets anybody in that it kept out of recovery.
            try wait { try state() == .inProduction && status()?.hasPrefix("ready") == true }
            let end = try newTimeline()
            (report.timeline, report.position) = (end.timeline, end.position)
            try requirePlanned(end.position)
        case .shutdown:
            try wait { try state() == .shutDownInRecovery && isGone }
            report.isRunning = false
            report.position = try controlFile().minimumRecoveryPoint
        case .pause:
            try wait { try isPaused(owner) }
            report.isPaused = true
            report.position = ask("SELECT pg_last_wal_replay_lsn()", owner).flatMap { LogSequenceNumber($0) }
            if let position = report.position { try requirePlanned(position) }
        }
        report.replaySeconds = (clock.now - consistent) / .seconds(1)
        return report
    }

    /// Seconds that pg_ctl waits: replay of days of log takes hours, and a server that fails ends the waiting by itself.
    private static let patience = 30 * 86_400

    // MARK: - Waiting

    /// Looks ten times a second. Throws when the server is gone before it is so.
    private func wait(orThrow message: String = "the server ended before recovery did", until isSo: () throws -> Bool) throws {
        while try !isSo() {
            if case .child(let child) = launch { try child.check() }
            if isGone {
                // It may have ended as it should between the two looks.
                if try isSo() { return }
                throw failure(message, "")
            }
            usleep(100_000)
        }
    }

    private var isGone: Bool {
        if case .child(let child) = launch { return child.process.hasEnded }
        return ClusterTarget.runningServer(data) == nil
    }

    /// As pg_ctl looks (`wait_for_postmaster_start`): line 8 of postmaster.pid is `ready`, or `standby` where nobody is let in before recovery has
    /// ended (utils/pidfile.h).
    private func isUp() throws -> Bool {
        guard let status = status() else { return false }
        return status.hasPrefix("ready") || status.hasPrefix("standby")
    }

    private func status() -> Substring? {
        guard let lines = TextFile.read(data + "/postmaster.pid")?.split(separator: "\n", omittingEmptySubsequences: false), lines.count > 7
        else { return nil }
        return lines[7]
    }

    /// With pg_ctl, a server that lets us ask nothing is taken to be there: somebody else looks after it.
    private func isPaused(_ owner: FileOwner) throws -> Bool {
        let answer = ask("SELECT pg_catalog.pg_is_wal_replay_paused()", owner)
        if case .child = launch { return answer == "t" }
        return answer.map { $0 == "t" } ?? true
    }

    private func controlFile() throws -> ControlFile {
        let path = data + "/" + ControlFile.path
        guard let bytes = TextFile.bytes(path) else { throw TextFile.failure("read", path) }
        return try bytes.withUnsafeBytes { try ControlFile($0, object: path) }
    }

    /// The server rewrites the file in place: a torn one is read again.
    private func state() throws -> ControlFile.State {
        for _ in 0..<20 {
            if let file = try? controlFile() { return file.state }
            usleep(20_000)
        }
        return try controlFile().state
    }

    /// A value by psql, as the server's user over its socket; nil where it does not let us in.
    private func ask(_ question: String, _ owner: FileOwner) -> String? {
        if case .child(let child) = launch { return child.ask(question) }
        // postmaster.pid: 4 port, 5 socket directory (utils/pidfile.h).
        guard let lines = TextFile.read(data + "/postmaster.pid")?.split(separator: "\n", omittingEmptySubsequences: false), lines.count > 4
        else { return nil }
        let answer = try? ChildRun.run(
            [
                programs.psql, "-X", "-A", "-t", "-w", "-v", "ON_ERROR_STOP=1", "-h", String(lines[4]), "-p", String(lines[3]), "-U",
                "postgres", "-d", "postgres", "-c", question,
            ], as: owner)
        guard let answer, answer.status == 0 else { return nil }
        return answer.output
    }

    // MARK: - Where it ended

    /// The timeline that the server went on with, and where it left the old one: the newest history's last line (`writeTimeLineHistory`).
    private func newTimeline() throws -> (timeline: UInt32, position: LogSequenceNumber) {
        var newest: TimelineHistory?
        guard let folder = opendir(data + "/pg_wal") else { throw TextFile.failure("open", data + "/pg_wal") }
        defer { closedir(folder) }
        while let record = readdir(folder) {
            let name = withUnsafePointer(to: &record.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            guard case .history(let timeline) = ArchivedFile(name: name), timeline > max(newest?.timeline ?? 0, plan.timeline),
                let bytes = TextFile.bytes("\(data)/pg_wal/\(name)")
            else { continue }
            newest = try TimelineHistory(bytes, timeline: timeline, object: name)
        }
        guard let newest, let last = newest.ancestors.last else {
            throw failure("the server went on without a new timeline", "")
        }
        return (newest.timeline, last.end)
    }

    /// Replay ends where it was told to, but for a page's header between two records (24 bytes, or 40 at the beginning of a segment).
    private func requirePlanned(_ position: LogSequenceNumber) throws {
        let isPlanned =
            switch plan.stop {
            case .before(let stop): position <= stop && stop.value - position.value <= 40
            case .after(let stop): position > stop
            case .consistency: position >= plan.backup.facts.stop
            }
        guard isPlanned else { throw failure("recovery ended at \(position), which is not what was planned", "") }
    }

    private func failure(_ message: String, _ output: String) -> RepoError {
        let tail = (TextFile.read(log) ?? "").split(separator: "\n").suffix(8).joined(separator: "\n")
        let detail = [tail.isEmpty ? output : tail].filter { !$0.isEmpty }.joined()
        if case .child = launch {
            return RepoError(.failed, detail.isEmpty ? message : "\(message):\n\(detail)", advice: "--keep keeps the restored files and all messages.")
        }
        return RepoError(
            .failed, detail.isEmpty ? message : "\(message):\n\(detail)",
            advice: "'\(data)' is restored; its messages are in \(log). Start it again with: \(startCommand)")
    }

    /// What starts it by hand.
    public var startCommand: String {
        "\(programs.control) -D \(ShellWord.quoted(data)) -l \(ShellWord.quoted(log)) start"
    }
}

/// A word of a POSIX shell's command line.
public enum ShellWord {
    /// Unchanged where nothing in it means anything to a shell.
    public static func quoted(_ text: String) -> String {
        let plain = text.utf8.allSatisfy { byte in
            (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte) || "_-./:=@,+".utf8.contains(byte)
        }
        if plain, !text.isEmpty { return text }
        return "'" + text.replacingScalars { $0 == "'" ? "'\\''" : nil } + "'"
    }
}
