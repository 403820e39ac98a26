import Foundation
import Glibc
import PostgresTesting
import RepoBase
import Testing

/// A cluster with a past, archived by the real program: concurrent commits whose times do not ascend, aborts, subtransactions, prepared transactions, restore points, an idle
/// stretch, a promotion after which the old server went on for a while, and base backups in between. Made once.
final class RecoveryHistory: @unchecked Sendable {
    static let shared = Result { try RecoveryHistory() }

    let archived: ArchivedServer
    /// Each timeline's log.
    private(set) var oracles: [Int: LogOracle] = [:]
    /// Rows of each timeline's end: id, transaction that made it, transaction that deleted it or 0.
    private(set) var rows: [Int: [(id: Int, made: UInt32, deleted: UInt32)]] = [:]
    private(set) var started: Int64 = 0
    private(set) var firstBackupEnd: Int64 = 0
    private(set) var secondBackup: Int64 = 0
    private(set) var ended: [Int: Int64] = [:]
    private let promoted: RecoveredCluster

    private init() throws {
        archived = try ArchivedServer(settings: [
            "max_prepared_transactions = 10", "wal_keep_size = 500", "archive_timeout = 60", "checkpoint_timeout = 30",
            "wal_level = replica", "hot_standby = on",
        ])
        promoted = try RecoveredCluster()
        let server = archived.server
        server.environment = try ShiftedClocks.environment(in: archived.folder.path)
        try server.start()
        try server.sql(
            """
            CREATE TABLE ledger (id bigserial PRIMARY KEY, made bigint NOT NULL DEFAULT pg_current_xact_id()::text::bigint);
            CREATE TABLE truth (id bigint NOT NULL, made bigint NOT NULL DEFAULT pg_current_xact_id()::text::bigint, deleted boolean NOT NULL);
            CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
              IF TG_OP = 'INSERT' THEN INSERT INTO truth (id, deleted) VALUES (NEW.id, false); RETURN NEW; END IF;
              INSERT INTO truth (id, deleted) VALUES (OLD.id, true); RETURN OLD; END $$;
            CREATE TRIGGER keep BEFORE INSERT OR DELETE ON ledger FOR EACH ROW EXECUTE FUNCTION keep();
            """)
        started = Self.now()
        try work({ try server.sql($0) }, rounds: 4)
        try archived.run("snapshot postgres --dsn '\(server.connectionString)' --name main-db")
        firstBackupEnd = Self.now()
        // For two seconds behind its checkpoint a first backup cannot be used.
        try work({ try server.sql($0) }, rounds: 4)
        usleep(2_200_000)
        try concurrentWork(server)
        // Nothing happens, and then something does.
        usleep(1_500_000)
        try work({ try server.sql($0) }, rounds: 3)
        try server.sql("CHECKPOINT")
        secondBackup = Self.now()
        try archived.run("snapshot postgres --dsn '\(server.connectionString)' --name main-db --with-wal")
        try work({ try server.sql($0) }, rounds: 4)
        try server.sql("SELECT pg_create_restore_point('before the fork')")
        try archived.archiveAll()

        // A promotion of a copy, by our own means; both go on.
        try archived.run(
            "restore --source main-db --target-name 'before the fork' --target \(promoted.data) --keep-archiving --start --quiet "
                + "--server-options '\(promoted.serverOptions)'")
        promoted.adopt(running: true)
        try work({ try server.sql($0) }, rounds: 3)
        try work({ [promoted] in try promoted.sql($0) }, rounds: 4)
        try archived.run("snapshot postgres --dsn 'host=\(promoted.folder) user=postgres dbname=postgres' --name main-db")
        try work({ [promoted] in try promoted.sql($0) }, rounds: 3)
        try settle(1) { try server.sql($0) }
        try settle(2) { [promoted] in try promoted.sql($0) }
        let folder = try mergedLog()
        let first = try LogOracle(folder, timeline: 1)
        let history = String(decoding: try FileTree.read(promoted.data + "/pg_wal/00000002.history"), as: UTF8.self)
        let fork = String(history.split(separator: "\t")[1])
        oracles = [1: first, 2: try LogOracle(folder, timeline: 2, parent: (first, LogOracle.position(fork)))]
        try server.stop()
        try promoted.stop()
    }

    static func now() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1000
    }

    /// Some transactions of every kind, with pauses.
    private func work(_ sql: (String) throws -> String, rounds: Int) throws {
        for round in 0..<rounds {
            _ = try sql("INSERT INTO ledger SELECT FROM generate_series(1, 3)")
            _ = try sql("BEGIN; INSERT INTO ledger DEFAULT VALUES; SAVEPOINT a; INSERT INTO ledger DEFAULT VALUES; ROLLBACK TO a; SAVEPOINT b; INSERT INTO ledger DEFAULT VALUES; COMMIT")
            _ = try sql("BEGIN; INSERT INTO ledger DEFAULT VALUES; DELETE FROM ledger WHERE id % 7 = \(round % 7); ROLLBACK")
            _ = try sql("BEGIN; INSERT INTO ledger DEFAULT VALUES; PREPARE TRANSACTION 'p\(round)'")
            usleep(useconds_t(20_000 * (round % 3)))
            _ = try sql("DELETE FROM ledger WHERE id = (SELECT min(id) FROM ledger WHERE id % 5 = \(round % 5))")
            _ = try sql(round % 2 == 0 ? "COMMIT PREPARED 'p\(round)'" : "ROLLBACK PREPARED 'p\(round)'")
            _ = try sql("SELECT pg_create_restore_point('round \(round)')")
            if round % 3 == 2 { _ = try sql("SELECT pg_switch_wal()") }
        }
    }

    /// Many commits at once: their times do not ascend in the log. Not by time (-T): alarms may be blocked here.
    private func concurrentWork(_ server: PostgresServer) throws {
        let script = archived.folder.path + "/ledger.sql"
        try Data("INSERT INTO ledger DEFAULT VALUES;\n".utf8).write(to: URL(fileURLWithPath: script))
        try PostgresServer.run(
            [
                PostgresServer.binaries + "/pgbench", "-n", "-h", server.folder, "-U", "postgres", "-c", "8", "-j", "2", "-t", "60", "-f", script,
                "postgres",
            ])
    }

    /// Notes what a timeline has come to, and archives the rest of it.
    private func settle(_ timeline: Int, _ sql: (String) throws -> String) throws {
        ended[timeline] = Self.now()
        let text = try sql(
            "SELECT id, min(made) FILTER (WHERE NOT deleted), coalesce(min(made) FILTER (WHERE deleted), 0) FROM truth GROUP BY id ORDER BY id")
        rows[timeline] = text.split(separator: "\n").map { line in
            let parts = line.split(separator: "|")
            return (Int(parts[0])!, UInt32(parts[1])!, UInt32(parts[2])!)
        }
        let name = try sql("SELECT pg_walfile_name(pg_current_wal_lsn())")
        _ = try sql("SELECT pg_switch_wal()")
        for _ in 0..<600 {
            if try sql("SELECT coalesce(last_archived_wal, '') >= '\(name)' FROM pg_stat_archiver") == "t" { return }
            usleep(50_000)
        }
        throw RepoError(.failed, "\(name) was not archived\n\(archived.server.log())")
    }

    /// The promoted server's own segments beside its parent's.
    private func mergedLog() throws -> String {
        let folder = archived.folder.path + "/merged"
        try PostgresServer.run(["/bin/sh", "-c", "mkdir \(folder) && cp \(archived.server.data)/pg_wal/0000* \(folder)/ && cp \(promoted.data)/pg_wal/00000002* \(folder)/"])
        return folder
    }

    /// Ids that are to be seen at a moment of a timeline.
    func expected(_ timeline: Int, at moment: Int64) -> [Int] {
        let committed = oracles[timeline]!.committed(at: moment)
        return rows[timeline]!.filter { committed.contains($0.made) && !committed.contains($0.deleted) }.map(\.id)
    }

    /// Runs the restore as the server's user; its exit status, and what it said.
    ///
    /// - Parameter repository: another than the history's own.
    func restore(_ arguments: String, into cluster: RecoveredCluster, repository: String? = nil) throws -> (status: Int, output: String) {
        try archived.restore(arguments, into: cluster, repository: repository)
    }

    /// A copy of the repository to spoil.
    func copyOfRepository() throws -> String {
        let copy = archived.folder.path + "/copy-\(UInt32.random(in: 0 ... .max))"
        try PostgresServer.run(["/bin/cp", "-a", archived.folder.repository, copy])
        return copy
    }

    /// The files of a repository's log that hold a segment.
    func objects(of segment: String, in repository: String) -> [String] {
        FileTree.files(repository + "/wal").filter { $0.hasSuffix("/" + segment) || Self.isBatch($0, holding: segment) }
    }

    private static func isBatch(_ path: String, holding segment: String) -> Bool {
        let halves = (path.split(separator: "/").last ?? "").split(separator: "-").map(String.init)
        return halves.count == 2 && halves[0] <= segment && segment <= halves[1]
    }
}
