import Glibc
import PostgresClient
import PostgresFormats
import PostgresTesting
import RepoBase
import Testing

@testable import Ingest
@testable import Repository

/// What PostgreSQL's own tests ask of pg_basebackup (src/bin/pg_basebackup/t/010_pg_basebackup.pl), asked of a snapshot.
@Suite("What a base backup contains", .serialized)
struct BackupContentsTests {
    private func make(_ path: String, _ text: String = "DONOTCOPY") {
        let file = open(path, O_CREAT | O_WRONLY | O_TRUNC, 0o600)
        #expect(file >= 0, "\(path)")
        _ = write(file, text, text.utf8.count)
        close(file)
        #expect(throws: Never.self) { try PostgresServer.own(path) }
    }

    private func entry(_ path: String, _ snapshot: Snapshot, _ place: ClusterRepository) throws -> TreeEntry {
        let found = try SnapshotPath.find(snapshot.root, Array(path.utf8), BlobReader(place.repository))
        guard case .entry(let entry) = found else { throw RepoError(.notFound, path) }
        return entry
    }

    @Test func temporaryFilesAndRelationsStayOut() throws {
        let server = try BackedUpServer.server()
        let place = try ClusterRepository()
        let database = try server.sql("SELECT oid FROM pg_database WHERE datname = 'shop'")
        let space = try server.sql("SELECT oid FROM pg_tablespace WHERE spcname = 'fast'")
        let catalogue = try server.sql("SELECT pg_relation_filepath('archived')", database: "shop").split(separator: "/")[2]
        let inSpace = "pg_tblspc/\(space)/\(catalogue)/\(database)"
        let temporary = [
            "base/\(database)/t999_999", "base/\(database)/t9999_999.1", "base/\(database)/t999_9999_vm", "base/\(database)/t99999_99999_vm.1",
            "\(inSpace)/t888_888", "base/pgsql_tmp/pgsql_tmp.1", "backup_label", "tablespace_map", "postgresql.auto.conf.tmp",
            "current_logfiles.tmp", "global/pg_internal.init", "base/\(database)/pg_internal.init.123", "pg_notify/0001", "pg_subtrans/0009",
            "pg_stat_tmp/x", "pg_snapshots/x", "pg_serial/0001",
        ]
        mkdir(server.data + "/base/pgsql_tmp", 0o700)
        try PostgresServer.own(server.data + "/base/pgsql_tmp")
        let kept = ["base/\(database)/999999", "base/\(database)/t999_x", "ordinary.file", "empty.file"]
        var made: [String] = []
        defer { for path in made { unlink("\(server.data)/\(path)") } }
        for path in temporary + kept where access("\(server.data)/\(path)", F_OK) != 0 {
            make("\(server.data)/\(path)", path == "empty.file" ? "" : "DONOTCOPY")
            made.append(path)
        }
        let outcome = try place.snapshot(server)
        let paths = Set(try place.paths(outcome.snapshot))
        for path in temporary where path != "backup_label" && path != "tablespace_map" { #expect(!paths.contains(path), "\(path)") }
        #expect(paths.isSuperset(of: kept))
        // Those two are the backup's own.
        for path in ["backup_label", "tablespace_map"] {
            let found = try entry(path, outcome.snapshot, place)
            var text: [UInt8] = []
            try ContentStream(place.repository).read(try #require(found.content), size: found.metadata.size) { text += $0 }
            #expect(!String(decoding: text, as: UTF8.self).contains("DONOTCOPY"))
        }
        #expect(try entry("empty.file", outcome.snapshot, place).content == .empty)
    }

    @Test func everyDamagedBlockIsNamedAndNotOnlyTheFirstFive() throws {
        let server = try BackedUpServer.server()
        let place = try ClusterRepository()
        try server.sql(
            "CREATE TABLE spoilt AS SELECT * FROM orders LIMIT 9000; ALTER TABLE spoilt ADD long text; CREATE INDEX worse ON spoilt (id); CHECKPOINT",
            database: "shop")
        defer { _ = try? server.sql("DROP TABLE spoilt", database: "shop") }
        for (relation, blocks) in [("spoilt", Array(1...9)), ("worse", [4])] {
            let path = "\(server.data)/\(try server.path(of: relation))"
            let file = open(path, O_RDWR)
            defer { close(file) }
            for block in blocks {
                var bytes: [UInt8] = [0xAA, 0x55, 0xAA]
                #expect(pwrite(file, &bytes, 3, off_t(8192 * block + 8000)) == 3)
            }
        }
        let outcome = try place.snapshot(server)
        #expect(outcome.snapshot.statistics.errors == 10)
        let messages = outcome.problems.map(\.message).sorted()
        #expect(messages.count == 2)
        #expect(messages.first?.hasPrefix("index public.worse of database shop, main fork") == true)
        #expect(messages.last?.contains("blocks 1, 2, 3, 4, 5 and 4 more are damaged") == true)
    }

    @Test func aCallThatIsBrokenOffLeavesNoSlot() throws {
        let server = try BackedUpServer.server()
        let place = try ClusterRepository()
        let flag = try CancellationFlag()
        #expect(throws: RepoError.self) {
            try place.snapshot(server, cancellation: flag) {
                $0.includesLog = true
                $0.maximumRate = 1 << 20
            } onStart: { _ in flag.cancel() }
        }
        for _ in 0..<100 where try server.sql("SELECT count(*) FROM pg_replication_slots") != "0" { usleep(50_000) }
        #expect(try server.sql("SELECT count(*) FROM pg_replication_slots") == "0")
    }

    @Test func groupAccessALinkedLogAndLongNames() throws {
        let wal = try PostgresServer.makeFolder()
        defer { _ = try? PostgresServer.run(["/bin/rm", "-rf", wal], asServer: false) }
        let server = try PostgresServer(initdb: ["--allow-group-access", "--waldir=\(wal)/wal"])
        defer { server.remove() }
        try server.start()
        let place = try ClusterRepository()
        let outcome = try place.snapshot(server) { $0.includesLog = true }
        #expect(try entry("base", outcome.snapshot, place).metadata.permissions == 0o750)
        #expect(try entry("PG_VERSION", outcome.snapshot, place).metadata.permissions == 0o640)
        #expect(try entry("backup_manifest", outcome.snapshot, place).metadata.permissions & 0o007 == 0)
        let log = try entry("pg_wal", outcome.snapshot, place)
        #expect(log.subtree != nil && log.metadata.userName == Array("postgres".utf8))
        #expect(try place.facts(outcome).settings["data_directory_mode"] == "0750")
        #expect(try place.paths(outcome.snapshot, below: "pg_wal/0").isEmpty == false)

        // A name that the server's archives cannot hold: the server gives up, and so do we.
        let long = server.data + "/" + String(repeating: "x", count: 120)
        make(long)
        let error = #expect(throws: RepoError.self) { try place.snapshot(server) }
        #expect(error?.message.contains("too long") == true, "\(error.map { "\($0)" } ?? "")")
        unlink(long)
        #expect(try place.snapshotCount == 1)

        let died = #expect(throws: RepoError.self) {
            try place.snapshot(server) { $0.maximumRate = 1 << 20 } onStart: { _ in try? server.stop(mode: "immediate") }
        }
        #expect(died?.code == .sourceFailed)
        #expect(try place.snapshotCount == 1)
    }
}
