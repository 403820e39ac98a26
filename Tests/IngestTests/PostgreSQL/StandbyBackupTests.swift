import Glibc
import PostgresClient
import PostgresFormats
import PostgresTesting
import RepoBase
import Testing

@testable import Ingest
@testable import Repository

@Suite("Base backups of a standby", .serialized)
struct StandbyBackupTests {
    /// A primary with a standby that was restored from a snapshot.
    private final class Pair {
        let place: ClusterRepository
        let primary: PostgresServer
        let standby: PostgresServer

        init() throws {
            place = try ClusterRepository()
            primary = try PostgresServer(settings: ["wal_level = replica", "max_wal_senders = 6", "wal_keep_size = 64"])
            try primary.start()
            try primary.sql("CREATE TABLE t AS SELECT generate_series(1, 1000) AS id")
            let restored = try place.restore(place.snapshot(primary) { $0.includesLog = true }.snapshot, "standby")
            close(open("\(restored)/standby.signal", O_CREAT | O_WRONLY, 0o600))
            try PostgresServer.own("\(restored)/standby.signal")
            standby = try PostgresServer(
                adopting: restored, settings: ["primary_conninfo = 'host=\(primary.folder) user=postgres'", "hot_standby = on"])
            try standby.start()
        }

        deinit {
            standby.remove()
            primary.remove()
        }

        func snapshot(
            _ change: (inout BaseBackupOptions) -> Void = { _ in }, onStart: (SnapshotWriter) -> Void = { _ in }
        ) throws -> SourceOutcome {
            var options = BaseBackupOptions()
            change(&options)
            let cluster = try ClusterConnection(ConnectionTarget("host=\(standby.folder) user=postgres"))
            let description = SourceDescription(name: "standby", host: "host", user: "user")
            return try BaseBackupSource(description, cluster: cluster, options: options).run(place.repository, onStart: onStart)
        }
    }

    @Test func itIsBackedUpAndThenPromotedInTheMiddle() throws {
        let pair = try Pair()
        try pair.primary.sql("INSERT INTO t SELECT generate_series(1001, 2000); CHECKPOINT")
        let outcome = try pair.snapshot { $0.includesLog = true }
        let facts = try pair.place.facts(outcome)
        #expect(facts.isFromStandby && facts.timeline == 1 && facts.includesLog)
        let restored = try pair.place.restore(outcome.snapshot, "copy")
        try PostgresServer.run([PostgresServer.binaries + "/pg_verifybackup", restored])
        let copy = try PostgresServer(adopting: restored)
        defer { copy.remove() }
        try PostgresServer.run(["/bin/rm", "-f", restored + "/standby.signal"])
        try copy.start()
        #expect(try copy.sql("SELECT count(*) >= 1000 FROM t") == "t")

        let before = try pair.place.snapshotCount
        let error = #expect(throws: RepoError.self) {
            try pair.snapshot { $0.maximumRate = 1 << 20 } onStart: { _ in try? pair.standby.promote() }
        }
        #expect(error?.code == .sourceFailed)
        #expect(error?.message.contains("promoted") == true, "\(error.map { "\($0)" } ?? "")")
        #expect(try pair.place.snapshotCount == before)
    }
}
