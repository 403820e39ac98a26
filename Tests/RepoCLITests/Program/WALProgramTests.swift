import Foundation
import PostgresTesting
import Testing

@Suite("A server's log in a repository", .serialized)
struct WALProgramTests {
    @Test("what a server archives, another recovers from: to a moment, over a promotion, and on the new timeline")
    func archiveAndRecover() throws {
        let archived = try ArchivedServer()
        let server = archived.server
        try server.start()
        try server.sql("CREATE TABLE t(i int)")
        try server.sql("INSERT INTO t SELECT generate_series(1, 1000)")
        let first = try archived.restoredServer(settings: [
            "recovery_target_name = 'before'", "recovery_target_action = promote",
        ])
        defer { first.remove() }
        let second = try archived.restoredServer(settings: ["recovery_target_timeline = latest"])
        defer { second.remove() }
        try server.sql("INSERT INTO t SELECT generate_series(1, 40000)")
        try server.sql("SELECT pg_create_restore_point('before')")
        try server.sql("DELETE FROM t")
        try archived.archiveAll()
        try server.sql("SELECT pg_create_physical_replication_slot('standby', true)")
        let status = try archived.run("wal status --dsn '\(server.connectionString)' --json")
        #expect(status.contains("\"archive_mode\" : \"on\"") && status.contains("\"failing\" : false"))
        #expect(status.contains("\"name\" : \"standby\""))

        // Up to the restore point, promoted there, and archiving into the same repository on timeline 2.
        try first.start()
        try waitUntil(first, "SELECT NOT pg_is_in_recovery()")
        #expect(try first.sql("SELECT count(*) FROM t") == "41000")
        try first.sql("INSERT INTO t SELECT generate_series(1, 500)")
        try archived.archiveAll(first)
        try first.stop()

        // From the same base backup along timeline 2.
        try second.start()
        try waitUntil(second, "SELECT NOT pg_is_in_recovery()")
        #expect(try second.sql("SELECT count(*) FROM t") == "41500")
    }

    @Test("get tells a missing file from every other failure")
    func exitStatuses() throws {
        let folder = try ProgramFolder()
        let program = folder.program
        let name = "000000010000000000000001"
        let target = folder.path + "/target"
        func get(_ arguments: String...) throws -> Int32? { try program.run(["wal", "get"] + arguments).status }
        #expect(try get(name, target) == 1)
        #expect(try get("00000002.history", target) == 1)
        #expect(try get("--system-identifier", "5", name, target) == 1)
        #expect(try get("nonsense", target) == 126)
        #expect(try get(name) == 126)
        #expect(try get(name, target, "--nonsense") == 126)
        #expect(try program.with(["REPO_URL": "/nowhere"]).run("wal", "get", name, target).status == 126)
        #expect(try program.with(["REPO_KEY_FILE": "/nowhere"]).run("wal", "get", name, target).status == 126)
        #expect(try program.with(["REPO_CONFIG": "/nowhere"]).run("--json", "wal", "get", name, target).status == 126)
        #expect(access(target, F_OK) != 0)
    }

    private func waitUntil(_ server: PostgresServer, _ question: String) throws {
        for _ in 0..<600 {
            if (try? server.sql(question)) == "t" { return }
            usleep(50_000)
        }
        Issue.record("\(question) did not become true\n\(server.log())")
    }
}
