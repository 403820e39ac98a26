import Foundation
import Glibc
import PostgresTesting
import Testing

/// `repo restore` of a cluster, by the real program on a real history.
@Suite("Restoring a cluster", .serialized, .timeLimit(.minutes(15)))
struct RecoveryCommandTests {
    private let history: RecoveryHistory

    init() throws { history = try RecoveryHistory.shared.get() }

    private func ids(_ cluster: RecoveredCluster) throws -> [Int] {
        try cluster.sql("SELECT id FROM ledger ORDER BY id").split(separator: "\n").map { Int($0)! }
    }

    private func number(_ name: String, _ output: String) -> Int? {
        guard let range = output.range(of: "\"\(name)\":") else { return nil }
        return Int(output[range.upperBound...].prefix { $0.isNumber || $0 == "-" })
    }

    private func text(_ name: String, _ output: String) -> String? {
        guard let range = output.range(of: "\"\(name)\":\"") else { return nil }
        return String(output[range.upperBound...].prefix { $0 != "\"" })
    }

    /// Rows of a timeline when the first `count` ends of its log are part of it.
    private func expected(_ timeline: Int, ends count: Int) -> [Int] {
        let committed = Set(history.oracles[timeline]!.ends.prefix(count).filter(\.isCommit).map(\.xid))
        return history.rows[timeline]!.filter { committed.contains($0.made) && !committed.contains($0.deleted) }.map(\.id)
    }

    /// In the middle of what the first backup can reach before the second one.
    private var middle: Int {
        let ends = history.oracles[1]!.ends
        let usable = ends.indices.filter { ends[$0].time > history.firstBackupEnd + 2_200_000 && ends[$0].time < history.secondBackup }
        return usable[usable.count / 2]
    }
    private var middleTime: String { LogOracle.text(history.oracles[1]!.ends[middle].time) }

    @Test("a position and a transaction are recovered up to and with themselves, or without")
    func positionsAndTransactions() throws {
        let end = history.oracles[1]!.ends[middle]
        for (arguments, count) in [
            ("--target-lsn \(end.lsn) --action pause", middle + 1), ("--target-xid \(end.xid)", middle + 1),
            ("--target-xid \(end.xid) --target-exclusive", middle),
        ] {
            let cluster = try RecoveredCluster()
            let outcome = try history.restore("--source main-db --timeline 1 --start \(arguments)", into: cluster)
            #expect(outcome.status == 0, "\(arguments): \(outcome.output)")
            #expect(try ids(cluster) == expected(1, ends: count), "\(arguments): \(outcome.output)")
            #expect(try cluster.sql("SELECT pg_is_in_recovery()") == (arguments.contains("pause") ? "t" : "f"))
        }
    }

    @Test("a restore point is found, one that was made several times is refused, and one that is not there too")
    func restorePoints() throws {
        let cluster = try RecoveredCluster()
        let outcome = try history.restore("--source main-db --target-name 'before the fork' --timeline 1 --action shutdown --start", into: cluster)
        #expect(outcome.status == 0, "\(outcome.output)")
        #expect(outcome.output.contains("\"is_running\":false"), "\(outcome.output)")
        cluster.adopt(running: false)
        let other = try RecoveredCluster()
        let several = try history.restore("--source main-db --target-name 'round 0'", into: other)
        #expect(several.status == 2 && several.output.contains("--target-lsn"), "\(several.output)")
        let none = try history.restore("--source main-db --target-name 'nowhere'", into: other)
        #expect(none.status == 13, "\(none.output)")
        #expect(!FileManager.default.fileExists(atPath: other.data))
    }

    @Test("everything there is comes back without a target, on the newest timeline")
    func latest() throws {
        let cluster = try RecoveredCluster()
        let outcome = try history.restore("--source main-db --start", into: cluster)
        #expect(outcome.status == 0, "\(outcome.output)")
        #expect(try ids(cluster) == expected(2, ends: .max), "\(outcome.output)")
        #expect(number("new_timeline", outcome.output) == 3, "\(outcome.output)")
        #expect(try cluster.sql("SHOW archive_mode") == "off")
    }

    @Test("a base backup with its own log comes back alone, from a repository that has lost all other log")
    func immediate() throws {
        let repository = try history.copyOfRepository()
        for file in FileTree.files(repository + "/wal") where !file.hasSuffix(".history") { unlink(file) }
        let cluster = try RecoveredCluster()
        let outcome = try history.restore("--source main-db --target-immediate --start", into: cluster, repository: repository)
        #expect(outcome.status == 0, "\(outcome.output)")
        #expect(try Int(cluster.sql("SELECT count(*) FROM ledger"))! > 0)
        try PostgresServer.run(["/bin/rm", "-rf", repository])
    }

    @Test("a gap is refused by name, with the moments around it, and nothing is touched")
    func gap() throws {
        let cluster = try RecoveredCluster()
        let plan = try history.restore("--source main-db --timeline 1 --at '\(middleTime)' --dry-run", into: cluster)
        try #require(plan.status == 0, "\(plan.output)")
        let last = try #require(text("last_segment", plan.output))
        let repository = try history.copyOfRepository()
        let objects = history.objects(of: last, in: repository)
        #expect(!objects.isEmpty)
        for object in objects { unlink(object) }
        let outcome = try history.restore("--source main-db --timeline 1 --at '\(middleTime)' --start", into: cluster, repository: repository)
        #expect(outcome.status == 13, "\(outcome.output)")
        #expect(outcome.output.contains("is missing") && outcome.output.contains("latest moment before is"), "\(outcome.output)")
        #expect(outcome.output.contains("from base backup"), "\(outcome.output)")
        #expect(!FileManager.default.fileExists(atPath: cluster.data))
        try PostgresServer.run(["/bin/rm", "-rf", repository])
    }

    @Test("a damaged segment is refused by name before anything is touched")
    func damagedSegment() throws {
        let cluster = try RecoveredCluster()
        let plan = try history.restore("--source main-db --timeline 1 --at '\(middleTime)' --dry-run", into: cluster)
        let first = try #require(text("first_segment", plan.output))
        for place in [0.03, 0.9] {
            let repository = try history.copyOfRepository()
            for object in history.objects(of: first, in: repository) {
                var bytes = try FileTree.read(object)
                bytes[Int(Double(bytes.count) * place)] ^= 1
                chmod(object, 0o600)
                try FileTree.write(object, bytes)
                try PostgresServer.own(object)
            }
            let outcome = try history.restore("--source main-db --timeline 1 --at '\(middleTime)'", into: cluster, repository: repository)
            #expect(outcome.status == 12 && outcome.output.contains(first.prefix(16)), "\(place): \(outcome.output)")
            #expect(!FileManager.default.fileExists(atPath: cluster.data))
            try PostgresServer.run(["/bin/rm", "-rf", repository])
        }
    }

    @Test("the log of another cluster is not taken for this one's")
    func otherCluster() throws {
        let repository = try history.copyOfRepository()
        let system = try #require(FileTree.names(repository + "/wal").first)
        #expect(rename("\(repository)/wal/\(system)", "\(repository)/wal/4711") == 0)
        let cluster = try RecoveredCluster()
        let outcome = try history.restore("--source main-db --at '\(middleTime)'", into: cluster, repository: repository)
        #expect(outcome.status == 13 && outcome.output.contains("no log of cluster \(system)") && outcome.output.contains("4711"), "\(outcome.output)")
        #expect(!FileManager.default.fileExists(atPath: cluster.data))
        try PostgresServer.run(["/bin/rm", "-rf", repository])
    }

    @Test("a dry run tells the plan and makes nothing")
    func dryRun() throws {
        let cluster = try RecoveredCluster()
        let outcome = try history.restore("--source main-db --at '\(middleTime)' --timeline 1 --dry-run", into: cluster)
        #expect(outcome.status == 0, "\(outcome.output)")
        for name in ["snapshot_id", "segments", "first_segment", "stop_lsn", "bytes", "estimated_seconds", "estimate_rests_on", "next_transaction"] {
            #expect(outcome.output.contains("\"\(name)\":"), "\(name): \(outcome.output)")
        }
        #expect(!FileManager.default.fileExists(atPath: cluster.data))
    }

    @Test("an existing cluster becomes the restored one, only what differs is written, and never while its server runs")
    func overExisting() throws {
        let cluster = try RecoveredCluster()
        let first = try history.restore("--source main-db --at '\(middleTime)' --timeline 1 --start", into: cluster)
        try #require(first.status == 0, "\(first.output)")
        _ = try cluster.sql("CREATE TABLE later AS SELECT 1; CHECKPOINT")
        let arguments = "--source main-db --timeline 1 --at '\(LogOracle.text(history.oracles[1]!.ends[middle - 20].time))'"
        let running = try history.restore("\(arguments) --overwrite if-changed --delete", into: cluster)
        #expect(running.status == 15 && running.output.contains("running"), "\(running.output)")
        try cluster.stop()
        let refused = try history.restore(arguments, into: cluster)
        #expect(refused.status == 1 && refused.output.contains("not empty"), "\(refused.output)")
        let again = try history.restore("\(arguments) --overwrite if-changed --delete --start", into: cluster)
        #expect(again.status == 0, "\(again.output)")
        let files = try #require(number("files", again.output))
        let unchanged = try #require(number("files_unchanged", again.output))
        #expect(unchanged > files / 2, "\(again.output)")
        #expect(try ids(cluster) == history.expected(1, at: history.oracles[1]!.ends[middle - 20].time))
        #expect(try cluster.sql("SELECT to_regclass('later') IS NULL") == "t")
    }

    @Test("a folder that is no cluster is never emptied")
    func notACluster() throws {
        let cluster = try RecoveredCluster()
        try PostgresServer.run(["/bin/sh", "-c", "mkdir \(cluster.data) && echo precious > \(cluster.data)/file"])
        let outcome = try history.restore("--source main-db --at '\(middleTime)' --overwrite always --delete", into: cluster)
        #expect(outcome.status == 15 && outcome.output.contains("PG_VERSION"), "\(outcome.output)")
        #expect(try FileTree.read(cluster.data + "/file") == Array("precious\n".utf8))
        let kept = try history.restore("--source main-db --at '\(middleTime)' --safety-copy", into: cluster)
        #expect(kept.status == 0, "\(kept.output)")
        let copy = try #require(FileTree.names(cluster.folder).first { $0.hasPrefix("data.before-restore-") })
        #expect(try FileTree.read("\(cluster.folder)/\(copy)/file") == Array("precious\n".utf8))
        #expect(kept.output.contains(copy), "\(kept.output)")
    }

    @Test("root restores for the server's user, and starts as that user")
    func asRoot() throws {
        guard geteuid() == 0 else { return }
        let cluster = try RecoveredCluster()
        let program = try history.archived.folder.program.with(["REPO_CONFIG": "/dev/null", "PATH": "/usr/bin:/bin:/usr/sbin:/sbin"])
        let outcome = try program.run(
            "restore", "--source", "main-db", "--at", middleTime, "--timeline", "1", "--target", cluster.folder + "/new/data", "--start",
            "--server-options", cluster.serverOptions, "--json", "--key-file", history.archived.folder.path + "/machine.key")
        // The program beside the test bundle may be out of that user's reach, which is told before anything is touched.
        if outcome.status == 1, outcome.errors.contains("cannot fetch the log") {
            #expect(!FileManager.default.fileExists(atPath: cluster.folder + "/new"))
            return
        }
        #expect(outcome.status == 0, "\(outcome)")
        var status = stat()
        #expect(stat(cluster.folder + "/new/data", &status) == 0 && status.st_mode & 0o777 == 0o700)
        #expect(status.st_uid == getpwnam("postgres").pointee.pw_uid)
        #expect(stat(cluster.folder + "/new/data/recovery.log", &status) == 0 && status.st_uid == getpwnam("postgres").pointee.pw_uid)
        #expect(try ids(cluster) == history.expected(1, at: history.oracles[1]!.ends[middle].time))
        try PostgresServer.run([PostgresServer.binaries + "/pg_ctl", "-D", cluster.folder + "/new/data", "-m", "immediate", "-w", "stop"])
    }
}
