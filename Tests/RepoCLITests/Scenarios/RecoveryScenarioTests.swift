import Foundation
import Glibc
import PostgresTesting
import Testing

/// PostgreSQL's own scenarios of recovery, re-told (src/test/recovery/t/003_recovery_targets.pl, 023_pitr_prepared_xact.pl, 024_archive_recovery.pl,
/// 033_replay_tsp_drops.pl).
@Suite("Scenarios: recovery", .serialized, .timeLimit(.minutes(10)))
struct RecoveryScenarioTests {
    @Test("003: targets exclude one another; targets of an earlier recovery, wherever they stand, do not disturb; one beyond the log is refused")
    func targets() throws {
        // Left over in the file that people edit, as PostgreSQL would refuse them together with another.
        let archived = try ArchivedServer(settings: [
            "wal_level = replica", "recovery_target_name = 'of long ago'", "recovery_target_inclusive = off", "recovery_target_timeline = '7'",
        ])
        let server = archived.server
        try server.start()
        try server.sql("CREATE TABLE t AS SELECT generate_series(1, 1000) AS i")
        try archived.snapshot()
        try server.sql("INSERT INTO t SELECT generate_series(1001, 2000)")
        try server.sql("ALTER SYSTEM SET recovery_target_xid = '99'")
        try archived.snapshot()
        let position = try server.sql("SELECT pg_current_wal_lsn()")
        try server.sql("INSERT INTO t SELECT generate_series(2001, 3000)")
        try server.sql("SELECT pg_create_restore_point('my target')")
        try server.sql("INSERT INTO t SELECT generate_series(3001, 4000)")
        try archived.archiveAll()
        let cluster = try RecoveredCluster()
        for both in ["--target-lsn \(position) --target-name 'my target'", "--latest --target-immediate", "--at '2026-01-01 00:00:00' --target-xid 700"] {
            let outcome = try archived.restore("--source main-db \(both)", into: cluster)
            #expect(outcome.status == 2, "\(both): \(outcome.output)")
        }
        for beyond in ["--target-name does_not_exist", "--target-lsn FF/0", "--target-xid 999999", "--at '2099-01-01 00:00:00Z'", "--timeline 9 --latest"] {
            let outcome = try archived.restore("--source main-db \(beyond)", into: cluster)
            #expect(outcome.status == 13, "\(beyond): \(outcome.output)")
        }
        #expect(!FileManager.default.fileExists(atPath: cluster.data))
        let outcome = try archived.restore("--source main-db --target-name 'my target' --start", into: cluster)
        #expect(outcome.status == 0, "\(outcome.output)")
        #expect(try cluster.sql("SELECT count(*) FROM t") == "3000")
    }

    @Test("023: a transaction that was prepared before the target and committed behind it is there, prepared, and can be committed")
    func preparedTransaction() throws {
        let archived = try ArchivedServer(settings: ["max_prepared_transactions = 10", "wal_level = replica"])
        let server = archived.server
        try server.start()
        try server.sql("CREATE TABLE foo(i int)")
        try archived.snapshot()
        // 'foo' commits, 'bar' is left, 'baz' is prepared before the target and committed behind it, over a checkpoint.
        try server.sql("BEGIN; INSERT INTO foo VALUES (1); PREPARE TRANSACTION 'fooinsert'")
        try server.sql("BEGIN; INSERT INTO foo VALUES (2); SAVEPOINT s; INSERT INTO foo VALUES (22); PREPARE TRANSACTION 'barinsert'")
        try server.sql("CHECKPOINT")
        try server.sql("SELECT pg_create_restore_point('rp')")
        try server.sql("COMMIT PREPARED 'fooinsert'")
        try archived.archiveAll()
        let cluster = try RecoveredCluster()
        let outcome = try archived.restore("--source main-db --target-name rp --start", into: cluster)
        #expect(outcome.status == 0, "\(outcome.output)")
        #expect(try cluster.sql("SELECT count(*) FROM foo") == "0")
        #expect(try cluster.sql("SELECT string_agg(gid, ',' ORDER BY gid) FROM pg_prepared_xacts") == "barinsert,fooinsert")
        _ = try cluster.sql("COMMIT PREPARED 'fooinsert'")
        _ = try cluster.sql("INSERT INTO foo VALUES (3)")
        // What it is now survives a crash.
        try cluster.stop()
        try cluster.start()
        #expect(try cluster.sql("SELECT string_agg(i::text, ',' ORDER BY i) FROM foo") == "1,3")
        _ = try cluster.sql("COMMIT PREPARED 'barinsert'")
        #expect(try cluster.sql("SELECT string_agg(i::text, ',' ORDER BY i) FROM foo") == "1,2,3,22")
    }

    @Test("024: log that was written with wal_level = minimal is refused before anything is touched; the next base backup has what follows")
    func minimalLog() throws {
        let archived = try ArchivedServer(settings: ["wal_level = replica", "wal_keep_size = 200"])
        let server = archived.server
        try server.start()
        try server.sql("CREATE TABLE t AS SELECT generate_series(1, 10) AS i")
        try archived.snapshot()
        let before = try server.sql("SELECT pg_current_wal_lsn()")
        try archived.archiveAll()
        try server.append("postgresql.conf", ["wal_level = minimal", "archive_mode = off", "max_wal_senders = 0"])
        try server.stop()
        try server.start()
        try server.sql("INSERT INTO t VALUES (11)")
        try server.sql("SELECT pg_switch_wal()")
        try server.append("postgresql.conf", ["wal_level = replica", "archive_mode = on", "max_wal_senders = 10"])
        try server.stop()
        try server.start()
        try server.sql("INSERT INTO t VALUES (12)")
        let last = try archived.archiveAll()
        // Segments that were finished without archiving are pushed by hand, as somebody would who sees the gap.
        for name in FileTree.names(server.data + "/pg_wal").sorted() where name.count == 24 && name <= last {
            _ = try archived.outcome("wal push --single pg_wal/\(name)", in: server.data)
        }
        let cluster = try RecoveredCluster()
        let refused = try archived.restore("--source main-db --latest --start", into: cluster)
        #expect(refused.status == 13 && refused.output.contains("wal_level = minimal"), "\(refused.output)")
        #expect(!FileManager.default.fileExists(atPath: cluster.data))
        try archived.snapshot()
        try server.sql("INSERT INTO t VALUES (13)")
        try archived.archiveAll()
        let later = try archived.restore("--source main-db --latest --start", into: cluster)
        #expect(later.status == 0, "\(later.output)")
        #expect(try cluster.sql("SELECT count(*) FROM t") == "13")
        let early = try RecoveredCluster()
        let first = try archived.restore("--source main-db --target-lsn \(before) --start", into: early)
        #expect(first.status == 0, "\(first.output)")
        #expect(try early.sql("SELECT count(*) FROM t") == "10")
    }

    @Test("settings that were raised after the base backup are raised before replay needs them, which would pause it for ever")
    func raisedSettings() throws {
        let archived = try ArchivedServer(settings: ["wal_level = replica", "max_connections = 20", "hot_standby = on"])
        let server = archived.server
        try server.start()
        try server.sql("CREATE TABLE t AS SELECT generate_series(1, 10) AS i")
        try archived.snapshot()
        try server.append("postgresql.conf", ["max_connections = 60", "max_prepared_transactions = 7", "max_worker_processes = 13"])
        try server.stop()
        try server.start()
        try server.sql("INSERT INTO t VALUES (11)")
        try archived.archiveAll()
        let cluster = try RecoveredCluster()
        let outcome = try archived.restore("--source main-db --latest --start", into: cluster)
        #expect(outcome.status == 0, "\(outcome.output)")
        #expect(try cluster.sql("SELECT count(*) FROM t") == "11")
        #expect(try cluster.sql("SELECT current_setting('max_connections') || current_setting('max_prepared_transactions')") == "607")
    }

    @Test("033: tablespaces and databases that come and go in the log are replayed, and never over a folder that is in use")
    func tablespacesThatComeAndGo() throws {
        let archived = try ArchivedServer(settings: ["wal_level = replica"])
        let server = archived.server
        try server.start()
        let (source, target) = (server.folder + "/source", server.folder + "/target")
        try PostgresServer.run(["/bin/mkdir", source, target])
        try server.sql("CREATE TABLE t AS SELECT 1 AS i")
        try archived.snapshot()
        try server.sql("CREATE TABLESPACE source LOCATION '\(source)'")
        try server.sql("CREATE TABLESPACE target LOCATION '\(target)'")
        try server.sql("CREATE DATABASE template TABLESPACE source IS_TEMPLATE true")
        try server.sql("CREATE TABLE kept TABLESPACE source AS SELECT generate_series(1, 100) AS i", database: "template")
        for strategy in ["wal_log", "file_copy"] {
            try server.sql("CREATE DATABASE moved_\(strategy) TEMPLATE template TABLESPACE source STRATEGY \(strategy)")
            try server.sql("ALTER DATABASE moved_\(strategy) SET TABLESPACE target")
            try server.sql("DROP DATABASE moved_\(strategy)")
        }
        try server.sql("SELECT pg_create_restore_point('with both')")
        // Beside the server that uses them, replay would delete its files: refused, and they are as they were.
        try archived.archiveAll()
        let cluster = try RecoveredCluster()
        let refused = try archived.restore("--source main-db --latest --start", into: cluster)
        #expect(refused.status == 15 && refused.output.contains(source), "\(refused.output)")
        #expect(!FileManager.default.fileExists(atPath: cluster.data))
        #expect(try server.sql("SELECT count(*) FROM kept", database: "template") == "100")
        try server.sql("ALTER DATABASE template IS_TEMPLATE false")
        try server.sql("DROP DATABASE template")
        try server.sql("DROP TABLESPACE source")
        try server.sql("DROP TABLESPACE target")
        try server.sql("INSERT INTO t VALUES (2)")
        try archived.archiveAll()
        // Emptied, and then even gone, as on another machine.
        let first = try archived.restore("--source main-db --latest --start", into: cluster)
        #expect(first.status == 0, "\(first.output)")
        #expect(try cluster.sql("SELECT count(*) FROM t") == "2")
        #expect(try cluster.sql("SELECT count(*) FROM pg_tablespace") == "2")
        try PostgresServer.run(["/bin/rm", "-rf", source, target])
        let other = try RecoveredCluster()
        let second = try archived.restore("--source main-db --target-name 'with both' --start", into: other)
        #expect(second.status == 0, "\(second.output)")
        #expect(try other.sql("SELECT count(*) FROM pg_tablespace") == "4")
        let count = try PostgresServer.run(
            [PostgresServer.binaries + "/psql", "-X", "-A", "-t", "-h", other.folder, "-U", "postgres", "-d", "template", "-c", "SELECT count(*) FROM kept"])
        #expect(count == "100")
    }
}
