import Foundation
import Glibc
import PostgresTesting
import Testing

/// PostgreSQL's own scenarios of timelines, re-told (src/test/recovery/t/025_stuck_on_old_timeline.pl, 028_pitr_timelines.pl).
@Suite("Scenarios: timelines", .serialized, .timeLimit(.minutes(10)))
struct TimelineScenarioTests {
    private func wait(_ what: String, _ isSo: () throws -> Bool) throws {
        for _ in 0..<1200 {
            if (try? isSo()) == true { return }
            usleep(50_000)
        }
        Issue.record("\(what) did not come about")
    }

    @Test("025: a cascading standby whose archive has only the history of the new timeline streams the rest")
    func onlyTheHistoryIsArchived() throws {
        let archived = try ArchivedServer(settings: ["wal_level = replica", "hot_standby = on", "max_wal_senders = 8", "wal_keep_size = 200"])
        let primary = archived.server
        // Only histories are archived, as in a cluster whose log goes another way.
        let command = archived.command("wal push %p").replacing("'", with: "''")
        try primary.append("postgresql.conf", ["archive_command = 'case %f in *.history) \(command) ;; esac'", "archive_mode = always"])
        try primary.start()
        func standby(of source: PostgresServer) throws -> PostgresServer {
            let made = try archived.restoredServer(settings: ["primary_conninfo = '\(source.connectionString)'", "recovery_target_timeline = latest"])
            try PostgresServer.run(["/bin/mv", made.data + "/recovery.signal", made.data + "/standby.signal"])
            return made
        }
        let standby = try standby(of: primary)
        defer { standby.remove() }
        try standby.start()
        // Made from the primary, on timeline 1, and told to follow the standby.
        let cascade = try self.makeCascade(archived, of: standby)
        defer { cascade.remove() }
        try standby.promote()
        try wait("the history in the archive") { FileTree.files(archived.folder.repository + "/wal").contains { $0.hasSuffix("00000002.history") } }
        #expect(FileTree.files(archived.folder.repository + "/wal").count == 1)
        try cascade.start()
        try standby.sql("CREATE TABLE tab_int AS SELECT 1 AS a")
        try wait("the row on the cascading standby") { try cascade.sql("SELECT a FROM tab_int") == "1" }
        #expect(try cascade.sql("SELECT received_tli FROM pg_stat_wal_receiver") == "2")
        #expect(!cascade.log().contains("exit code 126") && !cascade.log().contains("FATAL:  could not restore"))
    }

    private func makeCascade(_ archived: ArchivedServer, of standby: PostgresServer) throws -> PostgresServer {
        let made = try archived.restoredServer(settings: ["primary_conninfo = '\(standby.connectionString)'", "recovery_target_timeline = latest"])
        try PostgresServer.run(["/bin/mv", made.data + "/recovery.signal", made.data + "/standby.signal"])
        return made
    }

    @Test("028: what stands on the old timeline in the segment in which the new one begins comes from the new one's file")
    func sharedSegment() throws {
        let archived = try ArchivedServer(settings: ["wal_level = replica", "hot_standby = on", "wal_keep_size = 200"])
        let server = archived.server
        try server.start()
        try server.sql("CREATE TABLE foo(i int)")
        try archived.snapshot()
        try archived.archiveAll()
        // A standby, promoted in the middle of a segment of which the primary never archives its own part.
        let standby = try archived.restoredServer(settings: ["primary_conninfo = '\(server.connectionString)'", "archive_mode = on"])
        defer { standby.remove() }
        try PostgresServer.run(["/bin/mv", standby.data + "/recovery.signal", standby.data + "/standby.signal"])
        try server.sql("INSERT INTO foo VALUES (1)")
        let first = try server.sql("SELECT pg_create_restore_point('rp one')")
        try server.sql("INSERT INTO foo VALUES (2)")
        try standby.start()
        let position = try server.sql("SELECT pg_current_wal_lsn()")
        try wait("the standby to catch up") { try standby.sql("SELECT pg_last_wal_replay_lsn() >= '\(position)'") == "t" }
        try server.stop(mode: "immediate")
        try standby.promote()
        try standby.sql("INSERT INTO foo VALUES (3)")
        _ = first
        try archived.archiveAll(standby)
        // A second promotion, of a restored server at the restore point on timeline 1, found in timeline 2's first segment.
        let one = try RecoveredCluster()
        for file in FileTree.files(archived.folder.repository + "/wal") where file.hasSuffix(".partial") { unlink(file) }
        let early = try archived.restore("--source main-db --target-name 'rp one' --start --keep-archiving", into: one)
        #expect(early.status == 0, "\(early.output)")
        #expect(try one.sql("SELECT string_agg(i::text, ',' ORDER BY i) FROM foo") == "1")
        let two = try RecoveredCluster()
        let all = try archived.restore("--source main-db --timeline 2 --latest --start", into: two)
        #expect(all.status == 0, "\(all.output)")
        #expect(try two.sql("SELECT string_agg(i::text, ',' ORDER BY i) FROM foo") == "1,2,3")
        // It was told to follow 2, and left it before 2 began: its history descends. It is archived and followed all the same.
        let history = try String(contentsOfFile: one.data + "/pg_wal/00000003.history", encoding: .utf8)
        _ = try one.sql("INSERT INTO foo VALUES (33)")
        let name = try one.sql("SELECT pg_walfile_name(pg_current_wal_lsn())")
        _ = try one.sql("SELECT pg_switch_wal()")
        try wait("the new timeline in the archive") { try one.sql("SELECT last_archived_wal >= '\(name)' FROM pg_stat_archiver") == "t" }
        let three = try RecoveredCluster()
        let latest = try archived.restore("--source main-db --timeline 3 --latest --start", into: three)
        #expect(latest.status == 0, "\(history)\n\(latest.output)")
        #expect(try three.sql("SELECT string_agg(i::text, ',' ORDER BY i) FROM foo") == "1,33")
        let check = try archived.outcome("check --read-data")
        #expect(check.status == 0, "\(check.output)")
    }

    @Test("a server that was told to follow a later timeline and stops before that begins writes a history that descends, and it is recovered along")
    func descendingHistory() throws {
        let archived = try ArchivedServer(settings: ["wal_level = replica", "hot_standby = on"])
        let server = archived.server
        try server.start()
        try server.sql("CREATE TABLE foo(i int)")
        try archived.snapshot()
        let byHand = try archived.restoredServer(settings: [
            "recovery_target_name = 'early'", "recovery_target_timeline = 2", "recovery_target_action = promote", "archive_mode = on",
        ])
        defer { byHand.remove() }
        try server.sql("INSERT INTO foo VALUES (1)")
        try server.sql("SELECT pg_create_restore_point('early')")
        try archived.archiveAll()
        try server.sql("INSERT INTO foo VALUES (2)")
        try archived.archiveAll()
        // Timeline 2 begins behind both.
        let second = try RecoveredCluster()
        let outcome = try archived.restore("--source main-db --latest --start --keep-archiving", into: second)
        try #require(outcome.status == 0, "\(outcome.output)")
        try wait("the history of timeline 2") { FileTree.files(archived.folder.repository + "/wal").contains { $0.hasSuffix("00000002.history") } }
        // Timeline 3 is made by a server that follows 2 and stops on 1.
        try byHand.start()
        try wait("the promotion") { try byHand.sql("SELECT NOT pg_is_in_recovery()") == "t" }
        try byHand.sql("INSERT INTO foo VALUES (3)")
        try archived.archiveAll(byHand)
        let lines = try String(contentsOfFile: byHand.data + "/pg_wal/00000003.history", encoding: .utf8).split(separator: "\n")
        let ends = lines.map { LogOracle.position(String($0.split(separator: "\t")[1])) }
        try #require(ends.count == 2 && ends[1] < ends[0], "\(lines)")
        let third = try RecoveredCluster()
        let latest = try archived.restore("--source main-db --latest --start", into: third)
        #expect(latest.status == 0, "\(latest.output)")
        #expect(try third.sql("SELECT string_agg(i::text, ',' ORDER BY i) FROM foo") == "1,3")
        let status = try archived.outcome("wal status")
        #expect(status.status == 0, "\(status.output)")
    }

    @Test("a server that was promoted before it archived is recovered along its own timeline, and its next base backup brings the history along")
    func historyThatWasNeverArchived() throws {
        let archived = try ArchivedServer(settings: ["wal_level = replica", "hot_standby = on"])
        let server = archived.server
        try server.start()
        try server.sql("CREATE TABLE foo(i int)")
        try archived.snapshot()
        try archived.archiveAll()
        // Timeline 2 begins without archiving, as 'repo restore' leaves it; then it archives.
        let second = try RecoveredCluster()
        let outcome = try archived.restore("--source main-db --latest --start", into: second)
        try #require(outcome.status == 0, "\(outcome.output)")
        _ = try second.sql("ALTER SYSTEM RESET archive_mode")
        try second.stop()
        try second.start()
        _ = try second.sql("INSERT INTO foo VALUES (1)")
        let dsn = "host=\(second.folder) user=postgres dbname=postgres"
        func archiveAll() throws {
            let name = try second.sql("SELECT pg_walfile_name(pg_current_wal_lsn())")
            _ = try second.sql("SELECT pg_switch_wal()")
            try wait(name) { try second.sql("SELECT last_archived_wal >= '\(name)' FROM pg_stat_archiver") == "t" }
        }
        try archiveAll()
        func histories() -> [String] { FileTree.files(archived.folder.repository + "/wal").filter { $0.hasSuffix("00000002.history") } }
        #expect(histories().isEmpty)
        try archived.run("snapshot postgres --dsn '\(dsn)' --name main-db --quiet")
        #expect(histories().count == 1)
        _ = try second.sql("INSERT INTO foo VALUES (2)")
        try archiveAll()
        // With the history, and without it: never along the timeline that was left.
        for _ in 0..<2 {
            let cluster = try RecoveredCluster()
            let latest = try archived.restore("--source main-db --latest --start", into: cluster)
            #expect(latest.status == 0, "\(latest.output)")
            #expect(try cluster.sql("SELECT string_agg(i::text, ',' ORDER BY i) FROM foo") == "1,2", "\(latest.output)")
            for path in histories() { unlink(path) }
        }
    }
}
