import Foundation
import Glibc
import PostgresTesting
import RepoBase
import Testing

/// A real server whose log the real program receives, and nothing else archives.
final class ReceivedServer {
    let archived: ArchivedServer
    var server: PostgresServer { archived.server }
    var repository: String { archived.folder.repository }
    /// Where the log is kept until the repository has it.
    let spool: String
    private let program: ProgramUnderTest

    /// - Parameter settings: of the server, which keeps its log unless they say otherwise.
    init(settings: [String] = [], keepsLog: Bool = true) throws {
        archived = try ArchivedServer(
            settings: (keepsLog ? ["wal_keep_size = 4GB"] : ["wal_keep_size = 0", "max_wal_size = 8MB", "min_wal_size = 2MB"])
                + ["max_wal_senders = 10", "wal_sender_timeout = 20s"] + settings,
            archives: false)
        spool = archived.folder.path + "/spool"
        var program = ProgramUnderTest(
            folder: archived.folder.path,
            environment: [
                "REPO_URL": archived.folder.repository, "REPO_CACHE_DIR": archived.folder.path + "/cache",
                "REPO_KEY_FILE": archived.folder.path + "/machine.key", "REPO_CONFIG": "/dev/null",
            ], executable: archived.program)
        if geteuid() == 0 { program = program.through(["/usr/bin/setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"]) }
        self.program = program
        try server.start()
    }

    var dsn: String { "host=\(server.folder) user=postgres" }

    /// Starts a receiver.
    func receive(_ arguments: String..., spool: String? = nil) throws -> RunningProgram {
        try program.start(["wal", "receive", "--dsn", dsn, "--spool", spool ?? self.spool, "--verbose"] + arguments)
    }

    /// Receives what the server has now, and ends.
    @discardableResult
    func receiveAll(_ arguments: String..., sourceLocation: SourceLocation = #_sourceLocation) throws -> ProgramUnderTest.Outcome {
        let outcome = try program.run(
            ["wal", "receive", "--dsn", dsn, "--spool", spool, "--slot", "repo", "--until-idle", "--verbose"] + arguments)
        #expect(outcome.status == 0, "\(outcome)", sourceLocation: sourceLocation)
        return outcome
    }

    func run(_ arguments: String...) throws -> ProgramUnderTest.Outcome { try program.run(arguments) }

    /// Ends a receiver in order.
    @discardableResult
    func stop(_ receiver: RunningProgram, sourceLocation: SourceLocation = #_sourceLocation) throws -> ProgramUnderTest.Outcome {
        kill(receiver.process, SIGTERM)
        let outcome = try receiver.wait()
        #expect(outcome.status == 0, "\(outcome)", sourceLocation: sourceLocation)
        return outcome
    }

    /// Load of many small transactions, for so many seconds.
    func load(seconds: Int, clients: Int = 4) throws -> ServerProcess {
        try ServerProcess(
            [
                PostgresServer.binaries + "/pgbench", "-n", "-h", server.folder, "-U", "postgres", "-c", "\(clients)", "-j", "1", "-T", "\(seconds)",
                "postgres",
            ], output: archived.folder.path + "/pgbench.log")
    }

    func prepareLoad() throws {
        try PostgresServer.run([PostgresServer.binaries + "/pgbench", "-i", "-q", "-s", "1", "-h", server.folder, "-U", "postgres", "postgres"])
    }

    /// Fills about so many segments of 1 MiB.
    func fill(_ segments: Int) throws {
        try server.sql("CREATE TABLE IF NOT EXISTS filling (i int, t text)")
        try server.sql("INSERT INTO filling SELECT i, repeat(md5(i::text), 31) FROM generate_series(1, \(segments * 950)) i")
    }

    /// Waits until a question is answered with `t`.
    func wait(_ question: String, sourceLocation: SourceLocation = #_sourceLocation) throws {
        for _ in 0..<600 {
            if (try? server.sql(question)) == "t" { return }
            usleep(50_000)
        }
        Issue.record("\(question) did not become true\n\(server.log())", sourceLocation: sourceLocation)
    }

    /// Waits until the receiver streams through the slot.
    func waitForStream(sourceLocation: SourceLocation = #_sourceLocation) throws {
        try wait("SELECT count(*) = 1 FROM pg_stat_replication WHERE state = 'streaming'", sourceLocation: sourceLocation)
    }

    /// Waits until the server knows that everything up to now is safe.
    func waitUntilFlushed(sourceLocation: SourceLocation = #_sourceLocation) throws {
        let position = try server.sql("SELECT pg_current_wal_flush_lsn()")
        try wait("SELECT coalesce(max(flush_lsn), '0/0') >= '\(position)'::pg_lsn FROM pg_stat_replication", sourceLocation: sourceLocation)
    }

    // MARK: What was received

    /// The names of objects of the log, sorted.
    func names() -> [String] { FileTree.files(repository + "/wal").map { String($0.split(separator: "/").last!) }.sorted() }

    func segments(timeline: Int = 1) -> [String] {
        names().filter { $0.utf8.count == 24 && $0.hasPrefix("0000000\(timeline)") }
    }

    /// Compares every segment, whole or in part, with the server's own file of it, and finds no gap among those of a timeline.
    @discardableResult
    func compare(timeline: Int = 1, with folder: String? = nil, sourceLocation: SourceLocation = #_sourceLocation) throws -> Int {
        let whole = segments(timeline: timeline)
        let numbers = whole.map { UInt64($0.dropFirst(8).prefix(8), radix: 16)! << 12 | UInt64($0.suffix(8), radix: 16)! }
        if let first = numbers.first, let last = numbers.last {
            #expect(numbers == Array(first...last), "there is a gap", sourceLocation: sourceLocation)
        }
        let parts = names().filter { $0.hasSuffix(".received") && $0.hasPrefix("0000000\(timeline)") }.map { String($0.prefix(24)) }
        let target = archived.folder.path + "/fetched"
        for name in whole + parts {
            FileTree.remove(target)
            let outcome = try run("wal", "get", "--no-prefetch", "--system-identifier", system(), name, target)
            #expect(outcome.status == 0, "\(outcome)", sourceLocation: sourceLocation)
            let own = try FileTree.read((folder ?? server.data + "/pg_wal") + "/" + name)
            let got = try FileTree.read(target)
            let length = parts.contains(name) ? Int(names().last { $0.hasPrefix(name + ".") }!.dropFirst(25).prefix(8), radix: 16)! : got.count
            #expect(got.prefix(length) == own.prefix(length), "\(name) differs from the server's", sourceLocation: sourceLocation)
        }
        return whole.count
    }

    func system() -> String { FileTree.names(repository + "/wal").first ?? "0" }
}
