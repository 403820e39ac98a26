import Foundation
import PostgresTesting
import Testing

/// As many moments as `REPO_RECOVERY_MOMENTS` says, 12 without it.
private let momentCount = ProcessInfo.processInfo.environment["REPO_RECOVERY_MOMENTS"].flatMap { Int($0) } ?? 12

/// Random moments over a real history: each is restored with exactly the right rows, or rightly refused before anything is touched.
///
/// Chosen from the seed `REPO_RECOVERY_SEED`. Two of three are restored over what the one before left, of which only differing blocks are written.
@Suite("Recovery to a moment", .serialized, .timeLimit(.minutes(max(60, momentCount / 4))))
struct RecoveryMomentsTests {
    private static let seed = ProcessInfo.processInfo.environment["REPO_RECOVERY_SEED"].flatMap { UInt64($0) } ?? UInt64(getpid())

    @Test("the history has everything that recovery to a moment could go wrong with")
    func history() throws {
        let history = try RecoveryHistory.shared.get()
        let first = history.oracles[1]!
        #expect(first.inversions > 20, "of \(first.ends.count)")
        #expect(first.longestPause > 1_400_000)
        for oracle in history.oracles.values {
            #expect(oracle.ends.count { $0.isPrepared && $0.isCommit } > 3 && oracle.ends.count { $0.isPrepared && !$0.isCommit } > 3)
            #expect(oracle.ends.count { $0.hasSubtransactions } > 3)
            #expect(oracle.ends.count { !$0.isCommit } > 10)
        }
        // Timeline 1 went on behind the promotion that made timeline 2, and was abandoned.
        let second = history.oracles[2]!
        let shared = zip(first.ends, second.ends).prefix { $0.lsn == $1.lsn && $0.xid == $1.xid }.count
        #expect(shared > 100 && shared + 10 < first.ends.count && shared + 10 < second.ends.count)
    }

    @Test("any moment comes back with exactly its rows, or is refused")
    func moments() throws {
        let history = try RecoveryHistory.shared.get()
        var numbers = SeededNumbers(seed: Self.seed)
        var restored = 0
        var cluster = try RecoveredCluster()
        let begun = ContinuousClock.now
        for number in 0..<momentCount {
            let timeline = Int.random(in: 1...2, using: &numbers)
            let end = history.ended[timeline]!
            var moment = Int64.random(in: history.started - 1_000_000...end + 1_500_000, using: &numbers)
            // Every other one at the very time of a commit, or a microsecond beside it.
            if number % 2 == 0, let near = history.oracles[timeline]!.ends.randomElement(using: &numbers) {
                moment = near.time + Int64.random(in: -1...1, using: &numbers)
            }
            if number % 3 == 0 { cluster = try RecoveredCluster() }
            if try check(history, moment, timeline, cluster, "seed \(Self.seed), moment \(number)") { restored += 1 }
            if number % 50 == 49 { print("\(number + 1) moments, \(restored) restored, \(ContinuousClock.now - begun)") }
        }
        #expect(restored > momentCount / 3, "seed \(Self.seed): only \(restored) of \(momentCount) could be restored")
    }

    /// True when it was restored.
    private func check(
        _ history: RecoveryHistory, _ moment: Int64, _ timeline: Int, _ cluster: RecoveredCluster, _ label: String
    ) throws -> Bool {
        try cluster.stop()
        let text = LogOracle.text(moment)
        let control = cluster.data + "/global/pg_control"
        let before = FileManager.default.contents(atPath: control)
        let over = before == nil ? "" : " --overwrite if-changed --delete"
        let outcome = try history.restore("--at '\(text)' --timeline \(timeline) --start\(over)", into: cluster)
        let comment: Comment = "\(label): \(text) on timeline \(timeline)\(over): \(outcome.output)"
        guard outcome.status != 13 else {
            #expect(FileManager.default.fileExists(atPath: cluster.data) == (before != nil), comment)
            #expect(FileManager.default.contents(atPath: control) == before, comment)
            // A second and more behind the first backup, and not behind the last thing that happened, every moment can be had.
            let ends = history.oracles[timeline]!.ends
            let last = ends.map(\.time).max()!
            // Nothing behind the last one proves its own time where later ones in the log have earlier times.
            let isUnproven = moment == last && ends.last!.time < last
            #expect(moment < history.firstBackupEnd + 2_500_000 || moment > last || isUnproven, comment)
            return false
        }
        #expect(outcome.status == 0, comment)
        guard outcome.status == 0 else { return false }
        let ids = try cluster.sql("SELECT id FROM ledger ORDER BY id").split(separator: "\n").map { Int($0)! }
        let expected = history.expected(timeline, at: moment)
        #expect(ids == expected, "\(Set(ids).symmetricDifference(expected).sorted()) \(comment)")
        #expect(try cluster.sql("SELECT pg_is_in_recovery()") == "f", comment)
        return true
    }
}
