import Glibc
import PostgresClient
import PostgresTesting
import Recovery
import RepoBase
import Repository
import Testing

@testable import RepoCLI

/// Servers for one question, on a real history.
@Suite("Throwaway servers", .serialized, .timeLimit(.minutes(10)))
struct ThrowawayServerTests {
    private let history: RecoveryHistory

    init() throws { history = try RecoveryHistory.shared.get() }

    private func server(at moment: Int64, timeline: UInt32, in scratch: String, action: RecoveryAction = .promote) throws -> ThrowawayServer {
        let folder = history.archived.folder
        let environment = [
            "REPO_URL": folder.repository, "REPO_KEY_FILE": "\(folder.path)/machine.key", "REPO_CONFIG": "/dev/null",
            "REPO_CACHE_DIR": "\(folder.path)/cache-of-tests",
        ]
        let context = CommandContext(console: Console(environment: environment), options: try GlobalOptions.parse([]))
        let repository = try context.openRepository()
        let candidates = try SnapshotCatalog(repository).all().compactMap { try ClusterHistory.Candidate($0) }
        let time = FileTime(seconds: moment / 1_000_000, nanoseconds: UInt32(moment % 1_000_000) * 1000)
        let planned = try ClusterHistory(repository, candidates).plan(.time(time), timeline: .number(timeline), excludesTarget: false)
        var options = ThrowawayOptions(scratch: scratch)
        options.action = action
        let command = history.archived.command("wal get --system-identifier \(planned.plan.backup.facts.systemIdentifier) %f %p")
        return try ThrowawayServer(repository, planned, restoreCommand: command, options: options)
    }

    private func scratch() throws -> String {
        var template = Array("/tmp/scratch-XXXXXX".utf8CString)
        try #require(mkdtemp(&template) != nil)
        let path = template.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
        chmod(path, 0o755)
        return path
    }

    private var moment: Int64 {
        let ends = history.oracles[1]!.ends.filter { $0.time > history.firstBackupEnd + 2_500_000 }
        return ends[ends.count / 2].time
    }

    @Test("a server is recovered to the moment, promoted or paused, answers on its own socket alone, and is gone afterwards", arguments: [false, true])
    func answers(_ isPaused: Bool) throws {
        // With a path that has no room for a socket, once.
        let scratch = try scratch()
        defer { FileTree.remove(scratch) }
        let place = isPaused ? scratch + "/" + String(repeating: "x", count: 60) : scratch
        if isPaused { mkdir(place, 0o755) }
        let throwaway = try server(at: moment, timeline: 1, in: place, action: isPaused ? .pause : .promote)
        try throwaway.check()
        #expect(FileTree.names(place).isEmpty)
        let ids = try throwaway.use { throwaway in
            let restored = try throwaway.restore()
            #expect(restored.files > 100)
            let report = try throwaway.start()
            #expect(report.isPaused == isPaused)
            let connection = try throwaway.connect()
            for (setting, value) in [("listen_addresses", ""), ("archive_mode", "off"), ("is_superuser", "on"), ("primary_conninfo", "")] {
                #expect(try connection.query("SELECT pg_catalog.current_setting('\(setting)')")[0, 0] == value)
            }
            #expect(try connection.query("SELECT pg_catalog.pg_is_in_recovery()")[0, 0] == (isPaused ? "t" : "f"))
            return try connection.query("SELECT id FROM public.ledger ORDER BY id").rows.map { Int($0[0]!)! }
        }
        #expect(ids == history.expected(1, at: moment))
        #expect(FileTree.names(place).isEmpty)
    }
}
