import Foundation
import Glibc
import PostgresTesting
import Testing

/// A primary that waits for the receiver, killed under load: every row that a client was told of comes back from the repository.
///
/// As often as `REPO_RECEIVE_CRASHES` says (3 without it).
@Suite("Receiving the log as a synchronous standby", .serialized, .timeLimit(.minutes(240)))
struct SynchronousReceiveTests {
    private static let crashes = ProcessInfo.processInfo.environment["REPO_RECEIVE_CRASHES"].flatMap { Int($0) } ?? 3
    private static let clients = 4

    @Test("no acknowledged row is lost when the primary is killed")
    func crashes() throws {
        let received = try ReceivedServer(settings: ["hot_standby = on", "synchronous_commit = on"])
        let server = received.server
        try server.sql("CREATE TABLE ledger (client int, number bigint, PRIMARY KEY (client, number))")
        let snapshot = try received.run(
            "snapshot", "postgres", "--dsn", server.connectionString, "--name", "main-db", "--with-wal", "--quiet")
        #expect(snapshot.status == 0, "\(snapshot)")
        var told = [Int](repeating: 0, count: Self.clients)
        var sent = 0
        var numbers = SeededNumbers(seed: UInt64(getpid()))
        for round in 0..<Self.crashes {
            let receiver = try received.receive("--create-slot", "--partial-interval", "1")
            try received.waitForStream()
            try server.sql("ALTER SYSTEM SET synchronous_standby_names = 'repo'")
            try server.sql("SELECT pg_reload_conf()")
            try received.wait("SELECT bool_or(sync_state = 'sync') FROM pg_stat_replication")
            let clients = try (0..<Self.clients).map { try client($0, from: told[$0] + 1, received) }
            usleep(useconds_t.random(in: 500_000...1_500_000, using: &numbers))
            try killServer(server)
            for client in clients { client.wait() }
            for client in 0..<Self.clients { told[client] = try acknowledged(client, received) ?? told[client] }
            // The machine of the primary is gone; this is what there is.
            try received.stop(receiver)
            #expect(told.allSatisfy { $0 > 0 } && told.reduce(0, +) > sent, "no client got anywhere in round \(round)")
            sent = told.reduce(0, +)
            try check(told, received, round)
            // The primary recovers, and goes on: what it has is what was received.
            try server.start()
        }
        try server.sql("ALTER SYSTEM RESET synchronous_standby_names")
        try server.sql("SELECT pg_reload_conf()")
        try received.receiveAll()
        try received.compare()
    }

    /// Inserts numbers one by one, each its own transaction, and writes down each one that was committed.
    private func client(_ client: Int, from first: Int, _ received: ReceivedServer) throws -> ServerProcess {
        let script = "\(received.archived.folder.path)/client\(client).sql"
        let lines = (first..<first + 20_000).map { "INSERT INTO ledger VALUES (\(client), \($0)) ON CONFLICT DO NOTHING RETURNING number;\n" }
        try Data(lines.joined().utf8).write(to: URL(fileURLWithPath: script))
        try PostgresServer.own(script)
        return try ServerProcess(
            [
                PostgresServer.binaries + "/psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", received.server.folder, "-U", "postgres",
                "-d", "postgres", "-f", script,
            ], output: output(client, received))
    }

    private func output(_ client: Int, _ received: ReceivedServer) -> String { "\(received.archived.folder.path)/client\(client).out" }

    /// The last number that a client was told of; nil when there was none.
    private func acknowledged(_ client: Int, _ received: ReceivedServer) throws -> Int? {
        let text = String(decoding: try FileTree.read(output(client, received)), as: UTF8.self)
        #expect(!text.contains("WARNING"), "a wait was cancelled")
        return text.split(separator: "\n").compactMap { Int($0) }.last
    }

    /// SIGKILL to the server and everything that it started.
    private func killServer(_ server: PostgresServer) throws {
        let text = String(decoding: try FileTree.read(server.data + "/postmaster.pid"), as: UTF8.self)
        let postmaster = try #require(pid_t(text.split(separator: "\n")[0]))
        // Stopped first, so that it starts no more.
        kill(postmaster, SIGSTOP)
        while !Self.isIn("T", postmaster) { usleep(1000) }
        let children = String(decoding: try Self.children(postmaster), as: UTF8.self).split(separator: " ").compactMap { pid_t($0) }
        kill(postmaster, SIGKILL)
        for child in children { kill(child, SIGKILL) }
        for process in [postmaster] + children {
            // Until nothing has this number any more: a new server takes a dead one that nobody has asked for its status for one that runs.
            for _ in 0..<1000 where kill(process, 0) == 0 { usleep(10_000) }
        }
        server.wasKilled()
    }

    /// Files of /proc have no size.
    private static func children(_ process: pid_t) throws -> [UInt8] {
        [UInt8](try Data(contentsOf: URL(fileURLWithPath: "/proc/\(process)/task/\(process)/children")))
    }

    /// Whether the process is in this state: T stopped, Z dead, though nobody has asked for its status yet.
    private static func isIn(_ state: String, _ process: pid_t) -> Bool {
        guard let status = try? String(contentsOfFile: "/proc/\(process)/stat", encoding: .utf8) else { return true }
        return status.contains(") \(state) ")
    }

    private func check(_ told: [Int], _ received: ReceivedServer, _ round: Int) throws {
        let cluster = try RecoveredCluster()
        let outcome = try received.run(
            "restore", "--source", "main-db", "--latest", "--target", cluster.data, "--start", "--server-options", cluster.serverOptions, "--json")
        #expect(outcome.status == 0, "\(outcome) \(outcome.text)")
        guard outcome.status == 0 else { return }
        cluster.adopt(running: true)
        for (client, last) in told.enumerated() {
            let found = try cluster.sql("SELECT count(*) || ' ' || max(number) FROM ledger WHERE client = \(client)")
            let parts = found.split(separator: " ").compactMap { Int($0) }
            // Rows that were not told of may be there too: at most the one that was under way, in each round.
            #expect(parts[1] >= last, "round \(round): client \(client) was told of \(last), and the last that came back is \(parts[1])")
            #expect(parts[0] == parts[1], "round \(round): rows in between are missing")
        }
    }
}
