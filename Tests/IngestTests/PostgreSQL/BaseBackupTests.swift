import Glibc
import PostgresClient
import PostgresFormats
import PostgresTesting
import RepoBase
import Testing

@testable import Ingest
@testable import Repository

@Suite("Base backups of a running cluster", .serialized)
struct BaseBackupTests {
    @Test func aSnapshotWithItsLogRestoresAloneAndIsTheSame() throws {
        let server = try BackedUpServer.server()
        let place = try ClusterRepository()
        let outcome = try place.snapshot(server) { $0.includesLog = true }
        #expect(outcome.problems.isEmpty)
        let facts = try place.facts(outcome)
        #expect(facts.method == .physical && facts.includesLog && facts.hasChecksums && !facts.isFromStandby)
        #expect(facts.timeline == 1 && facts.start < facts.stop && facts.segmentSize.bytes == 1 << 20)
        #expect("\(facts.systemIdentifier)" == (try server.sql("SELECT system_identifier FROM pg_control_system()")))
        #expect(facts.startTime < facts.stopTime)
        #expect(facts.settings["cluster_name"] == "shop/main")
        let sizes = Dictionary(uniqueKeysWithValues: facts.databases.map { ($0.name, $0.bytes) })
        #expect(Set(sizes.keys) == ["postgres", "template0", "template1", "shop"])
        // All but the unlogged table.
        #expect((sizes["shop"] ?? 0) > 10 << 20)
        let space = try #require(facts.tablespaces.first)
        #expect(facts.tablespaces.count == 1 && space.location == server.folder + "/space")

        let restored = try place.restore(outcome.snapshot, "restored")
        try PostgresServer.run([PostgresServer.binaries + "/pg_verifybackup", restored])
        // Tablespaces stand in the tree; a server wants them outside.
        let moved = place.folder + "/moved"
        #expect(rename("\(restored)/pg_tblspc/\(space.oid)", moved) == 0)
        let map = TablespaceMap([TablespaceMap.Entry(oid: space.oid, path: Array(moved.utf8))])
        let file = open("\(restored)/tablespace_map", O_WRONLY | O_TRUNC)
        #expect(map.bytes.withUnsafeBytes { write(file, $0.baseAddress, $0.count) } == map.bytes.count)
        close(file)
        let copy = try PostgresServer(adopting: restored)
        defer { copy.remove() }
        try copy.start()
        #expect(try copy.sql("SELECT count(*), sum(id) FROM orders", database: "shop") == "60000|1800030000")
        #expect(try copy.sql("SELECT count(*) FROM archived", database: "shop") == "60000")
        #expect(try copy.sql("SELECT count(*) FROM sessions", database: "shop") == "0")
        try server.sql("TRUNCATE sessions", database: "shop")
        #expect(try copy.dump() == server.dump())
        try server.sql("INSERT INTO sessions SELECT * FROM orders", database: "shop")
    }

    @Test func theSecondSnapshotCostsWhatHasChanged() throws {
        // Tests beside this one make databases in the server that they share.
        let server = try BackedUpServer.make()
        defer { server.remove() }
        let place = try ClusterRepository()
        let first = try place.snapshot(server)
        #expect(first.snapshot.statistics.filesNew > 900)
        try server.sql("UPDATE orders SET text = 'changed' WHERE id % 20000 = 0; CHECKPOINT", database: "shop")
        let second = try place.snapshot(server)
        let statistics = second.snapshot.statistics
        #expect(statistics.filesNew < 10 && statistics.filesUnmodified > 900)
        #expect(statistics.logicalBytes > 30 << 20)
        #expect(statistics.bytesAdded < first.snapshot.statistics.bytesAdded / 30)
        #expect(second.snapshot.parent == first.id)
    }

    @Test func ofUnloggedTablesOnlyTheInitForkComes() throws {
        let server = try BackedUpServer.server()
        let place = try ClusterRepository()
        let outcome = try place.snapshot(server)
        let path = try server.path(of: "sessions")
        #expect(try place.paths(outcome.snapshot, below: path) == [path + "_init"])
        let paths = Set(try place.paths(outcome.snapshot))
        // What a server makes anew, and what must not come along (backup/basebackup.c, excludeDirContents, excludeFiles).
        for directory in ["pg_notify", "pg_replslot", "pg_serial", "pg_snapshots", "pg_stat_tmp", "pg_subtrans", "pg_dynshmem", "pg_wal"] {
            #expect(paths.contains(directory))
            let below = try place.paths(outcome.snapshot, below: directory + "/").filter { $0 != "pg_wal/archive_status" }
            #expect(below.isEmpty)
        }
        #expect(!paths.contains("postmaster.pid") && !paths.contains("postmaster.opts"))
        #expect(paths.isSuperset(of: ["backup_label", "tablespace_map", "backup_manifest", "global/pg_control", "PG_VERSION"]))
    }

    @Test func aDamagedPageIsNamedAndTheRestIsTaken() throws {
        let server = try BackedUpServer.server()
        let place = try ClusterRepository()
        // Nothing writes the pages again: frozen, without autovacuum, on disk.
        try server.sql("CREATE TABLE harmed WITH (autovacuum_enabled = off) AS SELECT * FROM orders LIMIT 5000", database: "shop")
        try server.sql("VACUUM (FREEZE) harmed", database: "shop")
        try server.sql("CHECKPOINT", database: "shop")
        defer { _ = try? server.sql("DROP TABLE harmed", database: "shop") }
        let path = try server.path(of: "harmed")
        for block in [3, 7] { try flip("\(server.data)/\(path)", at: 8192 * block + 5000) }
        let outcome = try place.snapshot(server)
        #expect(outcome.problems.map(\.path) == [Array(path.utf8)])
        #expect(
            outcome.problems.first?.message.hasPrefix(
                "table public.harmed of database shop, main fork (\(path)): blocks 3, 7 are damaged on the server") == true)
        #expect(outcome.snapshot.statistics.errors == 2)
        #expect(outcome.snapshot.problems.count == 1)
        // The file is in the snapshot as it is.
        #expect(try place.paths(outcome.snapshot, below: path).contains(path))
    }

    @Test func aPageChangedSinceTheBackupBeganIsNoDamage() {
        let findings = PageFindings(start: LogSequenceNumber(0x1000), blockSize: 8192)
        let path = Array("base/5/16384.1".utf8)
        let inspection = RelationInspection(path, findings)
        var page = [UInt8](repeating: 7, count: 8192)
        func inspect(lsn: UInt32, at offset: UInt64) {
            withUnsafeBytes(of: lsn.littleEndian) { bytes in
                page.replaceSubrange(0..<4, with: [0, 0, 0, 0])
                page.replaceSubrange(4..<8, with: bytes)
            }
            page.withUnsafeBytes { inspection?.inspect($0, at: offset) }
        }
        inspect(lsn: 0x1800, at: 0)
        #expect(findings.damage(stop: LogSequenceNumber(0x2000)).list.isEmpty)
        // Later than any log there was.
        #expect(findings.damage(stop: LogSequenceNumber(0x1700)).count == 1)
        inspect(lsn: 0x0800, at: 8192)
        let damage = findings.damage(stop: LogSequenceNumber(0x2000))
        #expect(damage.list.map(\.block) == [131_073] && damage.count == 1)
    }

    @Test func aCancelledBackupLeavesNoSnapshot() throws {
        let server = try BackedUpServer.server()
        let place = try ClusterRepository()
        let flag = try CancellationFlag()
        let error = #expect(throws: RepoError.self) {
            try place.snapshot(server, cancellation: flag) { $0.maximumRate = 1 << 20 } onStart: { _ in flag.cancel() }
        }
        #expect(error?.code == .interrupted)
        #expect(try place.snapshotCount == 0)
    }

    @Test func aRoleWithReplicationAloneSuffices() throws {
        let server = try BackedUpServer.server()
        try server.sql("DO $$ BEGIN CREATE ROLE keeper LOGIN REPLICATION; EXCEPTION WHEN duplicate_object THEN NULL; END $$")
        let place = try ClusterRepository()
        let outcome = try place.snapshot(server, user: "keeper") { $0.includesLog = true }
        #expect(outcome.problems.isEmpty)
        #expect(try place.facts(outcome).databases.count == 4)
    }

    /// Changes one byte of a file.
    private func flip(_ path: String, at offset: Int) throws {
        let file = open(path, O_RDWR)
        try #require(file >= 0)
        defer { close(file) }
        var byte: UInt8 = 0
        #expect(pread(file, &byte, 1, off_t(offset)) == 1)
        byte ^= 0x10
        #expect(pwrite(file, &byte, 1, off_t(offset)) == 1)
    }
}
