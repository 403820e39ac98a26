import Glibc
import RepoBase

/// Every operation of every script as the point to crash at, in every way, in some interleavings.
package struct CrashRuns {
    private let variants: UInt64
    private let share: SimulationShare
    private let script: String?

    /// - Parameter script: a part of the names of scripts; nil: all.
    package init(variants: UInt64, share: SimulationShare, script: String? = nil) {
        (self.variants, self.share, self.script) = (variants, share, script)
    }

    /// The exit status.
    package func run() -> Int32 {
        let start = SystemClock.elapsed()
        var tally = SimulationTally()
        var index: UInt64 = 0
        var isFine = true
        for script in CrashScript.all where self.script.map({ script.name.contains($0) }) ?? true {
            var points = 0
            for seed in 1...variants {
                let variant = CrashScript.Variant(seed: seed)
                do {
                    CrashNotice.say("\(script.name), seed \(seed), no crash")
                    let (all, outcome) = try script.points(variant)
                    guard judge(outcome) else { return 1 }
                    for point in all {
                        index += 1
                        guard share.isMine(index) else { continue }
                        CrashNotice.say("\(script.name), seed \(seed), \(point.way) operation \(point.operation)")
                        let outcome = try script.run(variant, point)
                        tally.add(outcome)
                        points += 1
                        isFine = judge(outcome) && isFine
                        guard isFine else {
                            _ = try script.run(variant, point, keepsTrace: true).trace.suffix(2000).map { print($0) }
                            return 1
                        }
                    }
                } catch {
                    print("\(script.name), seed \(seed): \(error)")
                    return 1
                }
            }
            print("\(points) crashes: \(script.name)")
            fflush(nil)
        }
        tally.show(SystemClock.elapsed() - start)
        return 0
    }

    private func judge(_ outcome: SimulationOutcome) -> Bool {
        guard !outcome.violations.isEmpty else { return true }
        for line in outcome.script { print(line) }
        for violation in outcome.violations { print("  VIOLATION: \(violation)") }
        return false
    }
}
