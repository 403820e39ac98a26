import Foundation
import Glibc
import PostgresTesting
import RepoBase
import Testing

/// As many outages as `REPO_OUTAGES` says, 6 without it.
private let outageCount = ProcessInfo.processInfo.environment["REPO_OUTAGES"].flatMap { Int($0) } ?? 6

/// The repository is taken away in the middle of a recovery: the server stops and, started again when the repository is back, reaches exactly its
/// target. It never takes the outage for the end of the log.
///
/// Chosen from the seed `REPO_OUTAGE_SEED`.
@Suite("Recovery while the repository is away", .serialized, .timeLimit(.minutes(max(10, outageCount))))
struct OutageTests {
    private static let seed = ProcessInfo.processInfo.environment["REPO_OUTAGE_SEED"].flatMap { UInt64($0) } ?? UInt64(getpid())

    /// What becomes of the repository. The server's user does it, who is not root.
    enum Outage: String, CaseIterable {
        /// Its folder is gone, as a disk that was pulled.
        case gone = "mv $R $R.away"
        /// An empty folder is in its place, as where a file system is not mounted.
        case unmounted = "mv $R $R.away && mkdir $R"
        case aFileInItsPlace = "mv $R $R.away && echo > $R"
        /// A link that leads nowhere.
        case aLoop = "mv $R $R.away && ln -s $R $R"
        case unreadable = "chmod 000 $R"
        /// Its configuration reads, its log does not.
        case logUnreadable = "chmod 000 $R/wal"
        case segmentsUnreadable = "find $R/wal -type f -exec chmod 000 {} +"
        case segmentFoldersUnreadable = "find $R/wal -depth -mindepth 2 -type d -exec chmod 000 {} ';'"
        case keysUnreadable = "chmod 000 $R/keys $R/configs"

        /// How it comes back.
        var end: String {
            switch self {
            case .gone: "mv $R.away $R"
            case .unmounted: "rmdir $R && mv $R.away $R"
            case .aFileInItsPlace, .aLoop: "rm -f $R && mv $R.away $R"
            case .unreadable: "chmod 700 $R"
            case .logUnreadable: "chmod 700 $R/wal"
            case .segmentsUnreadable: "find $R/wal -type f -exec chmod 600 {} +"
            case .segmentFoldersUnreadable:
                "chmod 700 $R/wal/*; chmod 700 $R/wal/*/*; chmod 700 $R/wal/*/*/*; find $R/wal -type f -exec chmod 600 {} +"
            case .keysUnreadable: "chmod 700 $R/keys $R/configs"
            }
        }
    }

    /// A cluster's log with a restore point in it and more behind it, and a restored data directory that was never started.
    private final class Recovery {
        let archived: ArchivedServer
        let template: RecoveredCluster
        let rows: String
        let calls: Int
        /// The command that `repo restore` wrote, for a shell.
        let command: String

        init() throws {
            archived = try ArchivedServer(settings: ["wal_level = replica", "max_wal_size = 1GB"])
            let server = archived.server
            try server.start()
            try server.sql("CREATE TABLE t (i int, x text)")
            try archived.snapshot()
            for round in 0..<40 {
                try server.sql("INSERT INTO t SELECT \(round) * 1000 + g, repeat(md5(g::text), 12) FROM generate_series(1, 1000) g")
            }
            try server.sql("DELETE FROM t WHERE i % 13 = 0")
            rows = try server.sql("SELECT count(*), sum(i) FROM t")
            try server.sql("SELECT pg_create_restore_point('target')")
            try server.sql("INSERT INTO t SELECT g, 'too late' FROM generate_series(1, 5000) g")
            try archived.archiveAll()
            template = try RecoveredCluster()
            let outcome = try archived.restore("--source main-db --target-name target", into: template)
            try #require(outcome.status == 0, "\(outcome.output)")
            calls = Int(outcome.output.firstMatch(of: /"segments":(\d+)/)?.1 ?? "") ?? 0
            try #require(calls >= 12, "\(outcome.output)")
            let settings = try String(contentsOfFile: template.data + "/postgresql.auto.conf", encoding: .utf8)
            command = try Self.command(settings)
            try server.stop()
        }

        /// A restore_command for a shell that gets name and path as its arguments.
        static func command(_ settings: String) throws -> String {
            let line = try #require(settings.split(separator: "\n").last { $0.hasPrefix("restore_command") })
            let value = String(line.drop { $0 != "'" }.dropFirst().dropLast())
            return value.replacing("''", with: "'").replacing("%f", with: "\"$1\"").replacing("%p", with: "\"$2\"").replacing("%%", with: "%")
        }
    }

    /// PostgreSQL has put recovery.signal away by then: were it to end there, its next start would be a crash recovery that loses what the archive has.
    @Test("the repository goes away when recovery has ended and the server asks once more for the history of its timeline")
    func lastQuestion() throws {
        let history = try RecoveryHistory.shared.get()
        let repository = try history.copyOfRepository()
        defer { _ = try? PostgresServer.run(["/bin/rm", "-rf", repository, repository + ".away"], asServer: false) }
        let cluster = try RecoveredCluster()
        let outcome = try history.restore("--source main-db --timeline 2 --latest", into: cluster, repository: repository)
        try #require(outcome.status == 0, "\(outcome.output)")
        let settings = cluster.data + "/postgresql.auto.conf"
        let text = try String(contentsOfFile: settings, encoding: .utf8)
        // Away from the moment at which the server asks for a timeline that there is none of yet.
        let script = """
            #!/bin/sh
            echo "$1" >> \(cluster.folder)/calls
            if [ -e \(cluster.folder)/asked ]; then mv \(repository) \(repository).away 2>/dev/null; fi
            [ "$1" = 00000003.history ] && touch \(cluster.folder)/asked
            REPO_CACHE_DIR=\(cluster.folder)/cache; export REPO_CACHE_DIR
            \(try Recovery.command(text)) --no-prefetch

            """
        try Data(script.utf8).write(to: URL(fileURLWithPath: cluster.folder + "/command"))
        try Data((text + "restore_command = '/bin/sh \(cluster.folder)/command %f %p'\n").utf8)
            .write(to: URL(fileURLWithPath: settings))
        try PostgresServer.own(cluster.folder)
        _ = try? cluster.start()
        let isDone = waitForEnd(cluster)
        let calls = try String(contentsOfFile: cluster.folder + "/calls", encoding: .utf8)
        let log = (try? String(contentsOfFile: cluster.folder + "/log", encoding: .utf8)) ?? ""
        if !isDone {
            // Stopped while it could still recover: it goes on when the repository is back.
            #expect(FileManager.default.fileExists(atPath: cluster.data + "/recovery.signal"), "\(calls)\n\(log.suffix(2000))")
            _ = try PostgresServer.run(["/bin/mv", repository + ".away", repository])
            unlink(cluster.folder + "/asked")
            cluster.adopt(running: false)
            do { try cluster.start() } catch {
                let log = (try? String(contentsOfFile: cluster.folder + "/log", encoding: .utf8)) ?? ""
                Issue.record("\(error)\n\(calls)\n\(log.suffix(4000))")
                throw error
            }
            #expect(waitForEnd(cluster))
        }
        let ids = try cluster.sql("SELECT id FROM ledger ORDER BY id").split(separator: "\n").map { Int($0)! }
        #expect(ids == history.expected(2, at: .max), "\(calls)\n\(log.suffix(2000))")
    }

    @Test("recovery stops while the repository is away, and reaches its target when it is back")
    func outages() throws {
        let recovery = try Recovery()
        var numbers = SeededNumbers(seed: Self.seed)
        var struck = 0
        for number in 0..<outageCount {
            let outage = Outage.allCases[(number + Int(Self.seed % 9)) % Outage.allCases.count]
            let call = Int.random(in: 1...recovery.calls, using: &numbers)
            // At the beginning of a call, or somewhere in the middle of it.
            let delay = number % 2 == 0 ? nil : Int.random(in: 0...60, using: &numbers)
            let isPrefetching = number % 3 != 0
            if try run(recovery, outage, call, delay, isPrefetching, "seed \(Self.seed), outage \(number): \(outage) at call \(call), delay \(delay ?? -1)") {
                struck += 1
            }
            if number % 10 == 9 { print("\(number + 1) outages, \(struck) of them stopped the recovery") }
        }
        #expect(struck > outageCount / 3, "only \(struck) of \(outageCount) outages were met")
        print("\(outageCount) outages, \(struck) of them stopped the recovery, seed \(Self.seed)")
    }

    /// True where the recovery met the outage and stopped.
    private func run(_ recovery: Recovery, _ outage: Outage, _ call: Int, _ delay: Int?, _ isPrefetching: Bool, _ label: String) throws -> Bool {
        let cluster = try RecoveredCluster()
        let repository = recovery.archived.folder.repository
        try PostgresServer.run(["/bin/cp", "-a", recovery.template.data, cluster.data])
        let strike = outage.rawValue.replacing("$R", with: repository)
        let script = """
            #!/bin/sh
            echo "$1" >> \(cluster.folder)/calls
            export REPO_CACHE_DIR=\(cluster.folder)/cache
            if [ $(wc -l < \(cluster.folder)/calls) = \(call) ]; then
              touch \(cluster.folder)/struck
              \(delay.map { "(sleep \(Double($0) / 1000); \(strike)) & " } ?? strike)
            fi
            \(recovery.command)\(isPrefetching ? "" : " --no-prefetch")
            code=$?
            echo "$1 $code" >> \(cluster.folder)/codes
            exit $code

            """
        try Data(script.utf8).write(to: URL(fileURLWithPath: cluster.folder + "/command"))
        let settings = cluster.data + "/postgresql.auto.conf"
        let text = try String(contentsOfFile: settings, encoding: .utf8) + "restore_command = '/bin/sh \(cluster.folder)/command %f %p'\n"
        try Data(text.utf8).write(to: URL(fileURLWithPath: settings))
        try PostgresServer.own(cluster.folder)
        func comment() -> Comment {
            let log = (try? String(contentsOfFile: cluster.folder + "/log", encoding: .utf8)) ?? ""
            let codes = (try? String(contentsOfFile: cluster.folder + "/codes", encoding: .utf8)) ?? ""
            return "\(label)\n\(codes)\n\(log.suffix(3000))"
        }

        var hasStopped = false
        if (try? cluster.start()) == nil || !waitForEnd(cluster) {
            hasStopped = true
            // It stopped because of the outage, and nothing was taken for the log's end.
            #expect(FileManager.default.fileExists(atPath: cluster.folder + "/struck"), comment())
            let codes = try String(contentsOfFile: cluster.folder + "/codes", encoding: .utf8).split(separator: "\n")
            #expect(codes.last?.hasSuffix(" 126") == true, comment())
            #expect(!codes.contains { $0.hasSuffix(" 1") && !$0.contains(".history") }, comment())
            let log = try String(contentsOfFile: cluster.folder + "/log", encoding: .utf8)
            #expect(!log.contains("recovery ended before") && !log.contains("archive recovery complete"), comment())
            #expect(FileManager.default.fileExists(atPath: cluster.data + "/recovery.signal"), comment())
            cluster.adopt(running: false)
        }
        // A strike that was only just under way.
        for _ in 0..<100 where isUnder(outage, repository) == false && delay != nil && hasStopped == false { usleep(2_000) }
        if FileManager.default.fileExists(atPath: cluster.folder + "/struck") {
            try PostgresServer.run(["/bin/sh", "-c", outage.end.replacing("$R", with: repository)])
        }
        if hasStopped {
            try cluster.start()
            #expect(waitForEnd(cluster), comment())
        }
        #expect(try cluster.sql("SELECT count(*), sum(i) FROM t") == recovery.rows, comment())
        try cluster.stop()
        return hasStopped
    }

    /// Whether the outage has begun.
    private func isUnder(_ outage: Outage, _ repository: String) -> Bool {
        var status = stat()
        switch outage {
        case .gone, .unmounted, .aFileInItsPlace, .aLoop: return access(repository + ".away", F_OK) == 0
        case .unreadable: return stat(repository, &status) == 0 && status.st_mode & 0o700 == 0
        case .logUnreadable: return stat(repository + "/wal", &status) == 0 && status.st_mode & 0o700 == 0
        case .keysUnreadable: return stat(repository + "/configs", &status) == 0 && status.st_mode & 0o700 == 0
        case .segmentsUnreadable, .segmentFoldersUnreadable: return false
        }
    }

    /// True when recovery has ended with a promotion, false when the server is gone.
    private func waitForEnd(_ cluster: RecoveredCluster) -> Bool {
        for _ in 0..<2400 {
            if (try? cluster.sql("SELECT pg_is_in_recovery()")) == "f" { return true }
            if !FileManager.default.fileExists(atPath: cluster.data + "/postmaster.pid") { return false }
            usleep(25_000)
        }
        return false
    }
}
