import Foundation
import Glibc
import PostgresTesting
import Testing

/// `repo drill` of a cluster, by the real program on a real history.
@Suite("Restore tests", .serialized, .timeLimit(.minutes(15)))
struct DrillCommandTests {
    private let history: RecoveryHistory

    init() throws { history = try RecoveryHistory.shared.get() }

    /// A moment of the first timeline that can be recovered, and how many rows it has.
    private var middle: (time: String, rows: Int) {
        let ends = history.oracles[1]!.ends.filter { $0.time > history.firstBackupEnd + 2_500_000 && $0.time < history.secondBackup }
        let time = ends[ends.count / 2].time
        return (LogOracle.text(time), history.expected(1, at: time).count)
    }

    @Test("a test that passes says how long recovery takes, is kept, listed and shown, and leaves nothing behind")
    func passes() throws {
        let session = try DrillSession(history.archived, copying: true)
        let (time, rows) = middle
        try PostgresServer.run(
            ["/bin/sh", "-c", "printf 'SET work_mem = 4096; -- a; b\\nSELECT true;\\nSELECT count(*) > 0 FROM ledger;' > \(session.scratch)/checks.sql"])
        let outcome = try session.drill(
            "--source main-db --at '\(time)' --timeline 1 --heapallindexed --assert 'SELECT count(*) = \(rows) FROM ledger' --sql-file \(session.scratch)/checks.sql")
        #expect(outcome.status == 0 && outcome.json["outcome"] as? String == "passed", "\(outcome)")
        for check in ["recovery", "amcheck", "assertion SELECT count(*) = \(rows) FROM ledger", "assertion \(session.scratch)/checks.sql"] {
            #expect(outcome.result(check) == "passed", "\(check): \(outcome)")
        }
        // initdb before PostgreSQL 18 makes none unless it is told to.
        #expect(outcome.result("checksums") == "skipped", "\(outcome)")
        let phases = try #require(outcome.json["phases"] as? [String: Double])
        #expect(Set(phases.keys) == ["plan", "check", "restore", "start", "replay", "verification", "total"], "\(outcome)")
        let seconds = try #require(outcome.json["seconds_to_recovery"] as? Double)
        #expect(seconds >= phases["restore"]! && seconds <= phases["total"]!)
        #expect((outcome.json["databases"] as? [[String: Any]])?.contains { $0["name"] as? String == "postgres" && $0["tables"] as? Int == 2 } == true, "\(outcome)")
        #expect(session.leftovers.isEmpty)

        let id = try #require(outcome.json["id"] as? String)
        let list = try session.run("drill --list")
        #expect(list.status == 0 && list.output.contains(id.prefix(8)) && list.output.contains("passed"), "\(list)")
        #expect(try session.run("drill --list --source other").output.contains(id.prefix(8)) == false)
        for name in [id, String(id.prefix(6)), "latest"] {
            let shown = try session.run("drill --show \(name)")
            #expect(shown.status == 0 && shown.output.contains("assertion SELECT") && shown.output.contains("to recovery"), "\(shown)")
        }
        let shown = try session.run("drill --show \(id) --json")
        let json = try #require(try JSONSerialization.jsonObject(with: Data(shown.output.utf8)) as? [String: Any])
        #expect(NSDictionary(dictionary: json) == NSDictionary(dictionary: outcome.json))
        #expect(try session.run("check").status == 0)
    }

    @Test("an assertion that is not true, not one row, or an error fails the test, which is kept all the same")
    func failingAssertions() throws {
        let session = try DrillSession(history.archived, copying: true)
        let wrong = [
            ("SELECT count(*) < 0 FROM ledger", "false"), ("SELECT NULL::boolean", "NULL"), ("SELECT 1 WHERE false", "no row"),
            ("SELECT true FROM generate_series(1, 2)", "2 rows"), ("SELECT true, true", "2 columns"), ("SELECT 4711", "not true or false"),
            ("SELECT * FROM nowhere", "does not exist"), ("SELECT true; SELECT false", "answer 2 of 2"), ("SET work_mem = 4096", "answered nothing"),
            ("COPY ledger TO STDOUT", "COPY"),
        ]
        let arguments = wrong.map { "--assert '\($0.0)'" }.joined(separator: " ")
        let outcome = try session.drill("--source main-db --timeline 1 --no-amcheck --assert 'SELECT true' \(arguments)")
        #expect(outcome.status == 1 && outcome.json["outcome"] as? String == "failed", "\(outcome)")
        for (sql, finding) in wrong {
            #expect(outcome.result("assertion \(sql)") == "failed" && outcome.findings("assertion \(sql)").contains(finding), "\(sql): \(outcome)")
        }
        #expect(!outcome.findings("assertion SELECT 4711").contains("4711"))
        #expect(outcome.result("assertion SELECT true") == "passed" && outcome.result("amcheck") == "skipped")
        #expect(session.leftovers.isEmpty)
        let list = try session.run("drill --list --json")
        #expect(list.status == 0 && list.output.contains("\"exit_status\" : 1"), "\(list)")
    }

    @Test("what cannot be recovered ends with 13, a damaged repository with 12, and both are reported")
    func missingAndDamaged() throws {
        let session = try DrillSession(history.archived, copying: true)
        let (time, _) = middle
        let plan = try session.drill("--source main-db --timeline 1 --at '\(time)' --no-amcheck --assert 'SELECT pg_walfile_name(pg_current_wal_lsn()) IS NOT NULL'")
        try #require(plan.status == 0, "\(plan)")
        // Damage that only reading finds: every pack's data, somewhere in its middle.
        let packs = FileTree.files(session.repository + "/packs")
        for pack in packs { try session.damage(pack, at: 0.4) }
        let damaged = try session.drill("--source main-db --timeline 1 --at '\(time)'")
        #expect(damaged.status == 12 && damaged.json["outcome"] as? String == "damaged", "\(damaged)")
        #expect(session.leftovers.isEmpty)
        for pack in packs { try session.damage(pack, at: 0.4) }
        // The log's.
        let stop = try #require(plan.json["stop_lsn"] as? String)
        let name = String(format: "00000001%08X%08X", LogOracle.position(stop) >> 32, (LogOracle.position(stop) & 0xFFFF_FFFF) >> 20)
        let objects = history.objects(of: name, in: session.repository)
        try #require(!objects.isEmpty, "\(name)")
        for object in objects { try session.damage(object, at: 0.9) }
        let log = try session.drill("--source main-db --timeline 1 --at '\(time)'")
        #expect(log.status == 12 && "\(log)".contains(name.prefix(16)), "\(log)")
        for object in objects { unlink(object) }
        let missing = try session.drill("--source main-db --timeline 1 --at '\(time)'")
        #expect(missing.status == 13 && missing.json["outcome"] as? String == "not recoverable", "\(missing)")
        #expect((missing.json["message"] as? String)?.contains("is missing") == true, "\(missing)")
        #expect(session.leftovers.isEmpty)
        let list = try session.run("drill --list")
        #expect(["damaged", "not recoverable", "passed"].allSatisfy(list.output.contains), "\(list)")
    }

    @Test("a moment picked by chance lies on any timeline, and what comes back is what was there")
    func random() throws {
        let session = try DrillSession(history.archived, copying: true)
        let rounds = ProcessInfo.processInfo.environment["REPO_DRILL_ROUNDS"].flatMap { Int($0) } ?? 3
        for round in 0..<rounds {
            // The last rows are told by a check that cannot fail, for the comparison.
            let outcome = try session.drill(
                "--source main-db --random --no-amcheck --keep --assert 'SELECT count(*) > 0 FROM ledger' \(round < 2 ? "--timeline \(round + 1)" : "")")
            #expect(outcome.status == 0 && outcome.json["asked"] as? String == "random", "\(outcome)")
            let kept = try #require(outcome.json["kept"] as? String, "\(outcome)")
            let timeline = try #require(outcome.json["timeline"] as? Int)
            let moment = try #require(outcome.json["moment"] as? String)
            let server = try PostgresServer(adopting: kept + "/data")
            defer { server.remove() }
            try server.start()
            let ids = try server.sql("SELECT id FROM ledger ORDER BY id").split(separator: "\n").map { Int($0)! }
            #expect(ids == history.expected(timeline, at: LogOracle.moment(moment)), "\(outcome)")
        }
        #expect(session.leftovers.count == rounds, "what is kept stays")
    }

    @Test("a report that is damaged is named, and the others are listed")
    func damagedReport() throws {
        let session = try DrillSession(history.archived, copying: true)
        let missing = "--source main-db --at '1999-01-01 00:00:00Z'"
        let first = try session.drill(missing)
        let second = try session.drill(missing)
        try #require(first.status == 13 && second.status == 13, "\(first)")
        let ids = try [first, second].map { try #require($0.json["id"] as? String) }
        #expect(try session.run("drill --list").status == 0)
        try session.damage("\(session.repository)/reports/\(ids[0])", at: 0.9)
        let list = try session.run("drill --list")
        #expect(list.status == 12 && list.output.contains(ids[1].prefix(8)) && list.output.contains("reports/\(ids[0]) is damaged"), "\(list)")
        #expect(try session.run("drill --show \(ids[0])").status == 12)
        #expect(try session.run("drill --show \(ids[1])").status == 0)
        let checked = try session.run("check")
        #expect(checked.status == 12 && checked.output.contains("reports/\(ids[0])"), "\(checked)")
    }

    @Test("what cannot be done is refused before anything is restored, and no report is made")
    func refusals() throws {
        let session = try DrillSession(history.archived, copying: true)
        let refusals = [
            ("--source main-db --postgres-bin /nowhere", 2, "no pg_ctl"), ("--source main-db --scratch /nowhere", 2, "--scratch"),
            ("--source nothing", 1, "no snapshot of source"), ("--source main-db --sql-file /nowhere", 2, "/nowhere"),
            ("--source main-db --at '2026-11-03' --random", 2, "exclude each other"), ("--list --random", 2, "--list"),
            ("--source main-db --buffers tiny", 2, "--buffers"),
        ]
        for (arguments, status, text) in refusals {
            let outcome = try session.drill(arguments)
            #expect(outcome.status == status && outcome.output.contains(text), "\(arguments): \(outcome)")
        }
        #expect(session.leftovers.isEmpty && FileTree.names(session.repository + "/reports").isEmpty)
    }
}
