import Glibc
import RepoBase
import SimulationTesting

// What tools/verify runs. `simulation runs COUNT [FIRST-SEED]`, `simulation crashes [VARIANTS [SCRIPT]]`, `simulation seed N`.
let arguments = CommandLine.arguments.dropFirst()
let numbers = arguments.dropFirst().compactMap { UInt64($0) }
let share = SimulationShare.fromEnvironment()
switch arguments.first {
case "runs":
    exit(RandomRuns(count: numbers.first ?? 100, firstSeed: numbers.dropFirst().first ?? 1, share: share).run())
case "compare":
    exit(RandomRuns(count: numbers.first ?? 200, firstSeed: numbers.dropFirst().first ?? 1, share: share).compare())
case "crashes":
    exit(CrashRuns(variants: numbers.first ?? 1, share: share, script: arguments.dropFirst(2).first).run())
case "seed":
    exit(RandomRuns.replay(numbers.first ?? 1))
default:
    let usage = "simulation: runs COUNT [FIRST-SEED] | compare COUNT [FIRST-SEED] | crashes [VARIANTS [SCRIPT]] | seed N\n"
    write(2, usage, usage.utf8.count)
    exit(2)
}
