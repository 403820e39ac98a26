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

    @Test("a server recovers by its own restore_command from what was fetched ahead, with the repository's own copies gone")
    func prefetched() throws {
        // One object for each, so that they can be taken away one by one.
        let archived = try ArchivedServer(options: "--single")
        let server = archived.server
        try server.start()
        try server.sql("CREATE TABLE t(i int)")
        let restored = try archived.restoredServer(settings: [])
        defer { restored.remove() }
        let begin = try PostgresServer.run(["/bin/sh", "-c", "sed -n 's/.*file \\([0-9A-F]*\\)).*/\\1/p' \(restored.data)/backup_label | head -1"])
            .trimmingCharacters(in: .whitespacesAndNewlines)
        try server.sql("INSERT INTO t SELECT generate_series(1, 60000)")
        let last = try archived.archiveAll()

        // As the server will ask for the first, from its data directory.
        try archived.run("wal get \(begin) pg_wal/RECOVERYXLOG", in: restored.data)
        let spool = archived.folder.path + "/cache/wal-spool"
        let following = FileTree.files(archived.folder.repository + "/wal").map { String($0.split(separator: "/").last!) }
            .filter { $0.utf8.count == 24 && $0 > begin && $0 <= last }
        try #require(following.count > 3 && following.count <= 16, "\(following)")
        for name in following { try waitForFile(named: name, in: spool) }
        for path in FileTree.files(archived.folder.repository + "/wal") {
            if following.contains(String(path.split(separator: "/").last!)) { FileTree.remove(path) }
        }

        try restored.start()
        try waitUntil(restored, "SELECT NOT pg_is_in_recovery()")
        #expect(try restored.sql("SELECT count(*) FROM t") == "60000")
        for name in following { #expect(!FileTree.files(spool).contains { $0.hasSuffix("/\(name)") }, "\(name)") }
    }

    private func waitForFile(named name: String, in folder: String) throws {
        for _ in 0..<600 {
            if FileTree.files(folder).contains(where: { $0.hasSuffix("/\(name)") }) { return }
            usleep(50_000)
        }
        Issue.record("\(name) was not fetched ahead")
    }

    @Test("the first base backup of a server that archives is no reason for a warning, and tells which cluster a source is")
    func firstBackup() throws {
        let archived = try ArchivedServer()
        try archived.server.start()
        let said = try archived.run("snapshot postgres --dsn '\(archived.server.connectionString)' --name main-db 2>&1")
        #expect(!said.contains("holds no log"), "\(said)")
        let name = try archived.archiveAll()
        let target = archived.folder.path + "/target"
        let program = archived.folder.program
        #expect(try program.run("wal", "get", "--source", "main-db", name, target).status == 0)
        #expect(FileTree.size(target) == 1 << 20)
        let unknown = try program.run("wal", "get", "--source", "other", name, target)
        #expect(unknown.status == 126 && unknown.errors.contains("source 'other' has no base backup"), "\(unknown)")

        let other = try PostgresServer(initdb: ["--wal-segsize=1"])
        defer { other.remove() }
        let first = try #require(FileTree.files(other.data + "/pg_wal").first { $0.split(separator: "/").last!.utf8.count == 24 })
        let refused = try program.run("wal", "push", "--source", "main-db", first)
        #expect(refused.status == 14 && refused.errors.contains("belongs to the cluster with system identifier"), "\(refused)")
        #expect(try program.run("wal", "push", "--source", "main-db", "--system-identifier", "5", first).status == 2)
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

    @Test("a history that was restored before is delivered again while the repository is away, and timeline 1 is known to have none")
    func restoredHistory() throws {
        let folder = try ProgramFolder()
        let away = try folder.program.with(["REPO_URL": "/nowhere"])
        let target = folder.path + "/pg_wal/RECOVERYHISTORY"
        try FileTree.write(folder.path + "/pg_wal/00000002.history", Array("1\t0/3000060\tno recovery target specified\n".utf8))
        try FileTree.write(folder.path + "/pg_wal/00000003.history", Array("nonsense".utf8))
        #expect(try away.run("wal", "get", "00000001.history", target).status == 1)
        #expect(try away.run("wal", "get", "00000003.history", target).status == 126)
        #expect(try away.run("wal", "get", "00000004.history", target).status == 126)
        #expect(access(target, F_OK) != 0)
        #expect(try away.run("wal", "get", "00000002.history", target).status == 0)
        #expect(try FileTree.read(target) == FileTree.read(folder.path + "/pg_wal/00000002.history"))
        // Asked, the repository says what it has.
        #expect(try folder.program.run("wal", "get", "00000002.history", target).status == 1)
    }

    private func waitUntil(_ server: PostgresServer, _ question: String) throws {
        for _ in 0..<600 {
            if (try? server.sql(question)) == "t" { return }
            usleep(50_000)
        }
        Issue.record("\(question) did not become true\n\(server.log())")
    }
}
