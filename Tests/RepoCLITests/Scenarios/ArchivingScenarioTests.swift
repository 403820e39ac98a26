import Foundation
import Glibc
import PostgresTesting
import Testing

/// PostgreSQL's own scenarios of archiving, re-told (src/test/recovery/t/020_archive_status.pl, 026_overwrite_contrecord.pl, 042_low_level_backup.pl).
@Suite("Scenarios: archiving", .serialized, .timeLimit(.minutes(10)))
struct ArchivingScenarioTests {
    /// Names in `archive_status` that end so.
    private func status(_ server: PostgresServer, _ ending: String) -> Set<String> {
        Set(FileTree.names(server.data + "/pg_wal/archive_status").filter { $0.hasSuffix(ending) }.map { String($0.dropLast(ending.count)) })
    }

    private func waitUntil(_ server: PostgresServer, _ question: String) throws {
        for _ in 0..<1200 {
            if (try? server.sql(question)) == "t" { return }
            usleep(50_000)
        }
        Issue.record("\(question) did not become true\n\(server.log().suffix(3000))")
    }

    @Test("020: while the archive is away nothing is given up, over crashes and checkpoints; a standby may archive the same again")
    func archiveStatus() throws {
        let archived = try ArchivedServer(settings: ["max_wal_size = 32MB", "wal_level = replica", "hot_standby = on"])
        let server = archived.server
        try server.start()
        try server.sql("CREATE TABLE t AS SELECT generate_series(1, 10) AS i")
        try archived.archiveAll()
        try archived.snapshot()
        try archived.archiveAll()
        for _ in 0..<600 where !status(server, ".ready").isEmpty { usleep(50_000) }

        // The repository is away: the segment stays, marked as ready, and the failure is counted.
        let away = archived.folder.repository + ".away"
        #expect(rename(archived.folder.repository, away) == 0)
        try server.sql("INSERT INTO t SELECT generate_series(11, 20)")
        let segment = try server.sql("SELECT pg_walfile_name(pg_current_wal_lsn())")
        try server.sql("SELECT pg_switch_wal()")
        try waitUntil(server, "SELECT failed_count > 0 AND last_failed_wal = '\(segment)' FROM pg_stat_archiver")
        try server.sql("CHECKPOINT")
        #expect(status(server, ".ready").contains(segment) && FileTree.names(server.data + "/pg_wal").contains(segment))
        // Neither a crash nor what the server does after it takes the mark away.
        try server.stop(mode: "immediate")
        try server.start()
        try server.sql("INSERT INTO t SELECT generate_series(21, 30)")
        try server.sql("SELECT pg_switch_wal()")
        try server.sql("CHECKPOINT")
        #expect(status(server, ".ready").contains(segment) && FileTree.names(server.data + "/pg_wal").contains(segment))
        #expect(!status(server, ".done").contains(segment))
        #expect(rename(away, archived.folder.repository) == 0)
        try archived.archiveAll()
        #expect(!status(server, ".ready").contains(segment))
        #expect(try archived.outcome("wal status").output.contains("gap") == false)

        // Standbys that recover the log out of the archive: with 'always' they archive it once more, and that is no conflict.
        for mode in ["on", "always"] {
            let standby = try archived.restoredServer(settings: ["archive_mode = \(mode)", "hot_standby = on"])
            defer { standby.remove() }
            try PostgresServer.run(["/bin/mv", standby.data + "/recovery.signal", standby.data + "/standby.signal"])
            try server.sql("INSERT INTO t SELECT generate_series(31, 40)")
            let last = try archived.archiveAll()
            try standby.start()
            let rows = try server.sql("SELECT count(*) FROM t")
            try waitUntil(standby, "SELECT count(*) = \(rows) FROM t")
            // Only 'always' hands what was restored to archive_command.
            try standby.stop()
            try standby.start()
            if mode == "always" {
                for _ in 0..<600 where !status(standby, ".done").contains(last) { usleep(50_000) }
            }
            #expect(status(standby, ".done").contains(last), "\(mode): \(standby.log().suffix(1500))")
            #expect(!standby.log().contains("other content"))
        }
        let check = try archived.outcome("check --read-data")
        #expect(check.status == 0, "\(check.output)")
    }

    @Test("026: a record that a crash left unfinished across two segments is archived, planned and recovered over")
    func overwrittenContinuation() throws {
        let archived = try ArchivedServer(settings: ["max_wal_size = 64MB", "wal_level = replica"])
        let server = archived.server
        try server.start()
        try server.sql("CREATE TABLE filler (a int, b text)")
        try archived.snapshot()
        try archived.archiveAll()
        // Up to a few pages before the segment's end, then a record that goes on in the next one.
        try server.sql(
            """
            DO $$ DECLARE room int; BEGIN LOOP
              room := 1048576 - (pg_current_wal_insert_lsn() - '0/0') % 1048576;
              EXIT WHEN room < 20000 AND room > 8192;
              INSERT INTO filler SELECT g, repeat('x', CASE WHEN room > 60000 THEN 2000 ELSE 300 END) FROM generate_series(1, 5) g;
            END LOOP; END $$;
            """)
        let first = try server.sql("SELECT pg_walfile_name(pg_current_wal_insert_lsn())")
        try server.sql("SELECT pg_logical_emit_message(true, 'unfinished', repeat('xyzxz', 12345))")
        let second = try server.sql("SELECT pg_walfile_name(pg_current_wal_insert_lsn())")
        try #require(first != second)
        try server.stop(mode: "immediate")
        #expect(unlink("\(server.data)/pg_wal/\(second)") == 0)
        try server.start()
        try server.sql("INSERT INTO filler VALUES (4711, 'after the crash')")
        try archived.archiveAll()
        #expect(server.log().contains("successfully skipped missing contrecord") || server.log().contains("redo done"), "\(server.log().suffix(2000))")
        let check = try archived.outcome("check --read-data")
        #expect(check.status == 0, "\(check.output)")
        let cluster = try RecoveredCluster()
        let outcome = try archived.restore("--source main-db --latest --start", into: cluster)
        #expect(outcome.status == 0, "\(outcome.output)")
        #expect(try cluster.sql("SELECT count(*) FROM filler WHERE a = 4711") == "1")
        #expect(try cluster.sql("SELECT count(*) FROM filler") == server.sql("SELECT count(*) FROM filler"))
        let log = try String(contentsOfFile: cluster.data + "/recovery.log", encoding: .utf8)
        #expect(log.contains("successfully skipped missing contrecord"), "\(log)")
    }

    @Test("042: a copy made by hand between backup_start and backup_stop recovers from the archive, which has its label")
    func lowLevelBackup() throws {
        let archived = try ArchivedServer(settings: ["wal_level = replica"])
        let server = archived.server
        try server.start()
        try server.sql("CREATE TABLE canary AS SELECT 'before' AS id")
        let copy = try PostgresServer.makeFolder() + "/data"
        let label = try PostgresServer.run(
            [
                "/bin/sh", "-c",
                """
                \(PostgresServer.binaries)/psql -X -q -A -t -v ON_ERROR_STOP=1 -h \(server.folder) -U postgres -d postgres <<'SQL'
                SELECT 'start', pg_backup_start('by hand', true);
                CHECKPOINT;
                \\! cp -a \(server.data) \(copy)
                INSERT INTO canary VALUES ('during');
                SELECT labelfile FROM pg_backup_stop(false);
                SQL
                """,
            ])
        try server.sql("INSERT INTO canary VALUES ('after')")
        try archived.archiveAll()
        let backups = FileTree.files(archived.folder.repository + "/wal").filter { $0.hasSuffix(".backup") }
        #expect(backups.count == 1)
        let name = try #require(backups.first?.split(separator: "/").last)
        let history = try archived.run("wal get --data-directory \(server.data) \(name) \(archived.folder.path)/history && cat \(archived.folder.path)/history")
        #expect(history.contains("LABEL: by hand") && history.contains("STOP WAL LOCATION"), "\(history)")

        for path in FileTree.files(copy + "/pg_wal") where !path.contains("archive_status") { unlink(path) }
        unlink(copy + "/postmaster.pid")
        let lines = label.split(separator: "\n").drop { !$0.hasPrefix("START WAL LOCATION") }
        try Data((lines.joined(separator: "\n") + "\n").utf8).write(to: URL(fileURLWithPath: copy + "/backup_label"))
        try Data().write(to: URL(fileURLWithPath: copy + "/recovery.signal"))
        try PostgresServer.own(copy)
        let restored = try PostgresServer(
            adopting: copy, settings: ["restore_command = '\(archived.command("wal get %f %p"))'", "archive_mode = off"])
        defer { restored.remove() }
        try restored.start()
        try waitUntil(restored, "SELECT NOT pg_is_in_recovery()")
        #expect(try restored.sql("SELECT string_agg(id, ',' ORDER BY id) FROM canary") == "after,before,during", "\(restored.log().suffix(2000))")
        // Where nothing of the log is left at the place it needs, the archive delivers it all.
        #expect(restored.log().contains("restored log file"))
        try PostgresServer.run(["/bin/rm", "-rf", String(copy.dropLast(5))])
    }
}
