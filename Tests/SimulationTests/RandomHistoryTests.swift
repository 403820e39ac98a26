import Glibc
import RepoBase
import Testing

@testable import SimulationTesting

/// A few of the histories that `tools/verify simulation` runs by the hundred thousand, with a release build.
@Suite(.serialized) struct RandomHistoryTests {
    private static func number(_ name: String) -> UInt64? { getenv(name).flatMap { UInt64(String(cString: $0)) } }

    /// `REPO_SIMULATION_SEED=N` runs that one alone; `REPO_SIMULATION_RUNS` how many there are.
    private static var seeds: [UInt64] {
        if let seed = number("REPO_SIMULATION_SEED") { return [seed] }
        return Array(1...(number("REPO_SIMULATION_RUNS") ?? 50))
    }

    @Test func nothingThatWasReportedAsDoneIsLost() throws {
        for seed in Self.seeds {
            let outcome = try RandomHistory(seed: seed).run()
            let script = outcome.script.joined(separator: "\n")
            #expect(outcome.violations == [], "REPO_SIMULATION_SEED=\(seed)\n\(script)")
        }
    }

    /// In another order the second time, so that nothing of the one before is left.
    @Test func theSameSeedGivesTheSameHistory() throws {
        let seeds = Self.seeds.prefix(20)
        let first = try seeds.map { try RandomHistory(seed: $0).run().traceHash }
        let second = try seeds.reversed().map { try RandomHistory(seed: $0).run().traceHash }
        #expect(first == second.reversed())
        #expect(Set(first).count == seeds.count)
    }
}
