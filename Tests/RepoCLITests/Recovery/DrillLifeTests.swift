import Foundation
import Glibc
import PostgresTesting
import Testing

/// What is left when a restore test does not come to its end, and what it finds in data that were spoiled before they were backed up.
@Suite("Restore tests that end otherwise", .serialized, .timeLimit(.minutes(10)))
struct DrillLifeTests {
    /// Waits until a test's server answers a question of `sql` with `t`.
    private func wait(_ session: DrillSession, until sql: String) throws -> (folder: String, process: pid_t) {
        for _ in 0..<1200 {
            usleep(50_000)
            guard let name = session.leftovers.first else { continue }
            let folder = "\(session.scratch)/\(name)"
            guard let answer = try? PostgresServer.run(
                [PostgresServer.binaries + "/psql", "-X", "-A", "-t", "-h", folder + "/s", "-U", "postgres", "-d", "postgres", "-c", sql]), answer == "t",
                let text = try? String(contentsOfFile: folder + "/data/postmaster.pid", encoding: .utf8),
                let process = pid_t(text.split(separator: "\n")[0])
            else { continue }
            return (folder, process)
        }
        throw POSIXError(.ETIMEDOUT)
    }

    private func waitForEnd(of process: pid_t) -> Bool {
        for _ in 0..<200 {
            if kill(process, 0) != 0 { return true }
            usleep(50_000)
        }
        return false
    }

    private static let sleeping = "SELECT count(*) > 0 FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)' AND wait_event = 'PgSleep'"

    @Test("a killed test's server ends with it, and the next test removes its folder; an interrupted one leaves nothing", arguments: [SIGKILL, SIGTERM])
    func ends(_ signal: CInt) throws {
        let history = try RecoveryHistory.shared.get()
        let session = try DrillSession(history.archived, copying: true)
        // As root where the tests are: the server runs as its own user.
        let running = try session.program().start([
            "drill", "--source", "main-db", "--timeline", "1", "--scratch", session.scratch, "--no-amcheck", "--assert", "SELECT true FROM pg_sleep(600)",
        ])
        running.endInput()
        let (folder, process) = try wait(session, until: Self.sleeping)
        // Only the server's user and root get through.
        var status = stat()
        #expect(stat(folder + "/s", &status) == 0 && status.st_mode & 0o777 == 0o700)
        #expect(stat(folder + "/data", &status) == 0 && status.st_mode & 0o777 == 0o700)
        kill(running.process, signal)
        let outcome = try running.wait()
        #expect(waitForEnd(of: process), "the server runs on")
        guard signal == SIGKILL else {
            #expect(outcome.status == 130, "\(outcome)")
            #expect(session.leftovers.isEmpty)
            return
        }
        #expect(session.leftovers.count == 1)
        let next = try session.program().run(
            "drill", "--source", "main-db", "--timeline", "1", "--scratch", session.scratch, "--no-amcheck", "--json", "--assert", "SELECT true")
        #expect(next.status == 0 && next.text.contains("removed what a killed run had left: \(folder)"), "\(next) \(next.text)")
        #expect(session.leftovers.isEmpty)
    }

    @Test("a server whose settings were raised after the base backup comes back, prepared transactions included")
    func raisedSettings() throws {
        let archived = try ArchivedServer(settings: ["max_prepared_transactions = 0", "max_connections = 20"])
        let server = archived.server
        try server.start()
        try server.sql("CREATE DATABASE shop")
        try server.sql("CREATE TABLE orders (id int PRIMARY KEY)", database: "shop")
        try archived.run("snapshot postgres --dsn '\(server.connectionString)' --name main-db")
        try server.stop()
        try server.append("postgresql.conf", ["max_prepared_transactions = 20", "max_connections = 60"])
        // What ALTER SYSTEM has set counts over every file, and must not reach the server of a test.
        try server.start()
        try server.sql("ALTER SYSTEM SET listen_addresses = '*'")
        try server.sql("ALTER SYSTEM SET synchronous_standby_names = '*'")
        try server.sql("BEGIN; INSERT INTO orders VALUES (1); PREPARE TRANSACTION 'left over'", database: "shop")
        try server.sql("INSERT INTO orders VALUES (2)", database: "shop")
        try archived.archiveAll()
        let session = try DrillSession(archived)
        let outcome = try session.drill(
            "--source main-db --assert 'SELECT count(*) = 1 FROM orders' --assert 'SELECT count(*) = 1 FROM pg_prepared_xacts'")
        #expect(outcome.status == 0, "\(outcome)")
        #expect(session.leftovers.isEmpty)
    }

    @Test("pages that were damaged before they were backed up are found by checksums and by amcheck, and a wrong index by amcheck alone")
    func corruptPages() throws {
        let archived = try ArchivedServer(initdb: ["--wal-segsize=1", "--data-checksums"])
        let server = archived.server
        try server.start()
        try server.sql("CREATE DATABASE shop")
        try server.sql(
            """
            CREATE TABLE orders AS SELECT id, repeat('x', 500) AS text FROM generate_series(1, 200) AS id;
            CREATE FUNCTION compare(int, int) RETURNS int LANGUAGE sql IMMUTABLE STRICT AS 'SELECT btint4cmp($1, $2)';
            CREATE OPERATOR CLASS wayward FOR TYPE int4 USING btree AS OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3 =, OPERATOR 4 >=, OPERATOR 5 >,
              FUNCTION 1 compare(int, int);
            CREATE TABLE numbers AS SELECT id FROM generate_series(1, 1000) AS id;
            CREATE INDEX numbers_id ON numbers (id wayward);
            """, database: "shop")
        let path = try server.sql("SELECT pg_relation_filepath('orders')", database: "shop")
        try archived.run("snapshot postgres --dsn '\(server.connectionString)' --name main-db")
        let session = try DrillSession(archived)
        try archived.archiveAll()
        let whole = try session.drill("--source main-db --assert 'SELECT count(*) = 200 FROM orders'")
        #expect(whole.status == 0 && whole.result("checksums") == "passed" && whole.result("amcheck") == "passed", "\(whole)")

        try server.sql("CREATE OR REPLACE FUNCTION compare(int, int) RETURNS int LANGUAGE sql IMMUTABLE STRICT AS 'SELECT btint4cmp($2, $1)'", database: "shop")
        try archived.archiveAll()
        let wayward = try session.drill("--source main-db")
        #expect(wayward.status == 1 && wayward.result("checksums") == "passed" && wayward.result("amcheck") == "failed", "\(wayward)")
        #expect(wayward.findings("amcheck").contains("numbers_id"), "\(wayward)")

        try server.stop()
        let file = "\(server.data)/\(path)"
        let descriptor = open(file, O_WRONLY)
        try #require(descriptor >= 0)
        // The third page's tuples, and not its checksum.
        try #require(pwrite(descriptor, "spoiled", 7, 2 * 8192 + 8000) == 7)
        close(descriptor)
        try server.start()
        let backup = try archived.run("snapshot postgres --dsn '\(server.connectionString)' --name main-db 2>&1 || true")
        #expect(backup.contains("orders"), "\(backup)")
        try archived.archiveAll()
        let spoiled = try session.drill("--source main-db")
        #expect(spoiled.status == 1 && spoiled.json["outcome"] as? String == "failed", "\(spoiled)")
        #expect(spoiled.findings("checksums").contains("block 2") && spoiled.findings("checksums").contains(path), "\(spoiled)")
        #expect(spoiled.findings("amcheck").contains("orders"), "\(spoiled)")
        #expect(session.leftovers.isEmpty)
    }

    @Test("a snapshot of files is restored, read again and removed; damage ends with 12")
    func files() throws {
        let folder = try ProgramFolder()
        try FileTree.write("\(folder.path)/source/one", Array("one\n".utf8))
        var numbers = SeededNumbers(seed: 5)
        try FileTree.write("\(folder.path)/source/two", numbers.bytes(300_000))
        for _ in 0..<2 {
            let made = try folder.program.run("snapshot", "files", "\(folder.path)/source", "--name", "uploads")
            try #require(made.status == 0, "\(made)")
        }
        let scratch = "\(folder.path)/scratch"
        mkdir(scratch, 0o700)
        let passed = try folder.program.run("drill", "--source", "uploads", "--random", "--scratch", scratch, "--json")
        #expect(passed.status == 0 && passed.text.contains("\"outcome\":\"passed\"") && passed.text.contains("\"kind\":\"files\""), "\(passed) \(passed.text)")
        #expect(FileTree.names(scratch).isEmpty)
        let misplaced = try folder.program.run("drill", "--source", "uploads", "--scratch", scratch, "--assert", "SELECT true")
        #expect(misplaced.status == 2 && misplaced.errors.contains("--assert"), "\(misplaced)")
        let early = try folder.program.run("drill", "--source", "uploads", "--scratch", scratch, "--at", "1999-01-01 00:00:00Z")
        #expect(early.status == 13, "\(early)")
        for pack in FileTree.files(folder.repository + "/packs") {
            var bytes = try FileTree.read(pack)
            bytes[bytes.count / 2] ^= 1
            chmod(pack, 0o600)
            try FileTree.write(pack, bytes)
        }
        let damaged = try folder.program.run("drill", "--source", "uploads", "--scratch", scratch)
        #expect(damaged.status == 12 && damaged.text.contains("DAMAGED"), "\(damaged) \(damaged.text)")
        #expect(FileTree.names(scratch).isEmpty)
        let list = try folder.program.run("drill", "--list")
        #expect(list.status == 0 && list.text.contains("passed") && list.text.contains("damaged"), "\(list)")
    }
}
