import Glibc
import RepoBase

/// Which part of the work this process does, where several share it: one for each core.
package struct SimulationShare: Sendable {
    package let number: UInt64
    package let count: UInt64

    package init(number: UInt64, count: UInt64) { (self.number, self.count) = (number, max(1, count)) }

    /// `REPO_SIMULATION_SHARE=1/2`: the second of two.
    package static func fromEnvironment() -> SimulationShare {
        let parts = getenv("REPO_SIMULATION_SHARE").map { String(cString: $0) }?.split(separator: "/").compactMap { UInt64($0) } ?? []
        return parts.count == 2 ? SimulationShare(number: parts[0], count: parts[1]) : SimulationShare(number: 0, count: 1)
    }

    package func isMine(_ index: UInt64) -> Bool { index % count == number }
}

/// Random histories with seeds in a row; ends at the first that must not be.
package struct RandomRuns {
    private let count: UInt64
    private let firstSeed: UInt64
    private let share: SimulationShare
    private let keepsTrace = getenv("REPO_SIMULATION_TRACE") != nil

    package init(count: UInt64, firstSeed: UInt64, share: SimulationShare) {
        (self.count, self.firstSeed, self.share) = (count, firstSeed, share)
    }

    /// The exit status.
    package func run() -> Int32 {
        let start = SystemClock.elapsed()
        var tally = SimulationTally()
        for index in 0..<count where share.isMine(index) {
            let seed = firstSeed + index
            CrashNotice.say("seed \(seed)")
            guard let outcome = outcome(of: seed) else { return 1 }
            tally.add(outcome)
            guard outcome.violations.isEmpty else {
                for line in outcome.trace { print(line) }
                Self.report(seed, outcome)
                return 1
            }
            if tally.runs % 1000 == 0 {
                print("\(tally.runs) runs, the last with seed \(seed)")
                fflush(nil)
            }
        }
        tally.show(SystemClock.elapsed() - start)
        return 0
    }

    /// Runs each twice, in another order the second time, and compares the traces of all operations. The exit status.
    package func compare() -> Int32 {
        let seeds = (0..<count).map { firstSeed + $0 }
        var hashes: [UInt64: UInt64] = [:]
        for seed in seeds { hashes[seed] = outcome(of: seed)?.traceHash }
        var traces: [UInt64: [String]] = [:]
        for seed in seeds { traces[seed] = outcome(of: seed)?.trace }
        let different = seeds.reversed().filter { seed in
            let second = outcome(of: seed)
            if second?.traceHash != hashes[seed], keepsTrace {
                let (a, b) = (traces[seed]!, second!.trace)
                let at = zip(a, b).enumerated().first { $0.element.0 != $0.element.1 }?.offset ?? 0
                print("seed \(seed)"); for line in a[max(0, at-3)...at] { print("  A", line) }; print("  B", b[at], a.count, b.count)
            }
            return second?.traceHash != hashes[seed]
        }
        print("\(different.count) of \(count) seeds gave two traces\(different.isEmpty ? "" : ": \(different)")")
        return different.isEmpty ? 0 : 1
    }

    private func outcome(of seed: UInt64) -> SimulationOutcome? {
        var history = RandomHistory(seed: seed)
        history.keepsTrace = keepsTrace
        do { return try history.run() } catch {
            print("seed \(seed): \(error)")
            return nil
        }
    }

    /// One seed, with every operation in words.
    package static func replay(_ seed: UInt64) -> Int32 {
        var history = RandomHistory(seed: seed)
        history.keepsTrace = true
        CrashNotice.say("seed \(seed)")
        guard let outcome = try? history.run() else { return 1 }
        for line in outcome.trace { print(line) }
        report(seed, outcome)
        return outcome.violations.isEmpty ? 0 : 1
    }

    private static func report(_ seed: UInt64, _ outcome: SimulationOutcome) {
        print("seed \(seed): \(outcome.operations) operations, \(outcome.faults) faults, trace \(String(outcome.traceHash, radix: 16))")
        for line in outcome.script { print("  \(line)") }
        for violation in outcome.violations { print("  VIOLATION: \(violation)") }
        if !outcome.violations.isEmpty { print("  REPO_SIMULATION_SEED=\(seed) tools/verify simulation repeats it alone, with every operation in words") }
    }
}

/// What many histories came to.
struct SimulationTally {
    private(set) var runs = 0
    private var operations = 0
    private var faults = 0
    private var outcomes: [String: Int] = [:]

    mutating func add(_ outcome: SimulationOutcome) {
        runs += 1
        operations += outcome.operations
        faults += outcome.faults
        outcomes.merge(outcome.outcomes) { $0 + $1 }
    }

    func show(_ time: Duration) {
        let seconds = time / .seconds(1)
        print("\(runs) runs without a loss, \(operations) operations, \(faults) faults, \(Int(seconds)) s, \(Int(Double(runs) / max(seconds, 0.001))) runs a second")
        for (kind, count) in outcomes.sorted(by: { $0.key < $1.key }) { print("  \(count) × \(kind)") }
    }
}

/// Says which history was under way when the process is killed by a trap of its own.
enum CrashNotice {
    private static let capacity = 256
    nonisolated(unsafe) private static let text: UnsafeMutablePointer<CChar> = {
        let text = UnsafeMutablePointer<CChar>.allocate(capacity: capacity)
        text.initialize(repeating: 0, count: capacity)
        for number in [SIGILL, SIGTRAP, SIGSEGV, SIGBUS, SIGABRT] {
            signal(number) { number in
                write(2, "died in ", 8)
                write(2, CrashNotice.text, strlen(CrashNotice.text))
                write(2, "\n", 1)
                signal(number, SIG_DFL)
                raise(number)
            }
        }
        return text
    }()

    static func say(_ what: String) {
        _ = what.withCString { strncpy(text, $0, capacity - 1) }
    }
}
