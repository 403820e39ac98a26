import Foundation
import Testing

/// Random moments over a real history: each is restored with exactly the right rows, or rightly refused before anything is touched.
///
/// As many as `REPO_RECOVERY_MOMENTS` says (12 without it), from the seed `REPO_RECOVERY_SEED`.
@Suite("Recovery to a moment", .serialized, .timeLimit(.minutes(60)))
struct RecoveryMomentsTests {
    private static let count = ProcessInfo.processInfo.environment["REPO_RECOVERY_MOMENTS"].flatMap { Int($0) } ?? 12
    private static let seed = ProcessInfo.processInfo.environment["REPO_RECOVERY_SEED"].flatMap { UInt64($0) } ?? UInt64(getpid())

    @Test("any moment comes back with exactly its rows, or is refused")
    func moments() throws {
        let history = try RecoveryHistory.shared.get()
        var numbers = SeededNumbers(seed: Self.seed)
        var restored = 0
        for number in 0..<Self.count {
            let timeline = Int.random(in: 1...2, using: &numbers)
            let end = history.ended[timeline]!
            var moment = Int64.random(in: history.started - 1_000_000...end + 1_500_000, using: &numbers)
            // Every other one at the very time of a commit, or a microsecond beside it.
            if number % 2 == 0, let near = history.oracles[timeline]!.ends.randomElement(using: &numbers) {
                moment = near.time + Int64.random(in: -1...1, using: &numbers)
            }
            if try check(history, moment, timeline, "seed \(Self.seed), moment \(number)") { restored += 1 }
        }
        #expect(restored > Self.count / 3, "seed \(Self.seed): only \(restored) of \(Self.count) could be restored")
    }

    /// True when it was restored.
    private func check(_ history: RecoveryHistory, _ moment: Int64, _ timeline: Int, _ label: String) throws -> Bool {
        let cluster = try RecoveredCluster()
        let text = LogOracle.text(moment)
        let outcome = try history.restore("--at '\(text)' --timeline \(timeline) --start", into: cluster)
        let comment: Comment = "\(label): \(text) on timeline \(timeline): \(outcome.output)"
        guard outcome.status != 13 else {
            #expect(!FileManager.default.fileExists(atPath: cluster.data), comment)
            // A second and more behind the first backup, and not behind the last thing that happened, every moment can be had.
            let last = history.oracles[timeline]!.ends.last!.time
            #expect(moment < history.firstBackupEnd + 2_500_000 || moment > last, comment)
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
