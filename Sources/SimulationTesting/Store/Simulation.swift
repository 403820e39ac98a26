import RepoBase
import RepositoryTesting
import StorageTesting

/// One simulated history: the scheduler, what goes wrong, and the trace of all operations.
package final class Simulation: @unchecked Sendable {
    package let scheduler: SimulationScheduler
    /// Decides what goes wrong with an operation; asked once for each, when its turn has come.
    package var plan: (SimulatedProcess, SimulatedOperation) -> SimulatedFault? = { _, _ in nil }
    /// FNV-1a of all operations, with their processes, times and outcomes.
    package private(set) var traceHash: UInt64 = 0xCBF2_9CE4_8422_2325
    package private(set) var operations = 0
    package private(set) var faults = 0
    /// What must not be.
    package private(set) var violations: [String] = []
    /// Every operation in words; nil: not kept.
    package private(set) var trace: [String]?
    /// Operations after which a history is taken for one that never ends.
    private static let operationLimit = 60_000

    package init(seed: UInt64, switchChance: Double, start: Int64 = 0, keepsTrace: Bool = false) {
        scheduler = SimulationScheduler(seed: seed, switchChance: switchChance, start: start)
        trace = keepsTrace ? [] : nil
    }

    package func violate(_ text: String) {
        violations.append(text)
        note("VIOLATION: \(text)")
    }

    package func note(_ text: @autoclosure () -> String) {
        if trace != nil { trace?.append("\(Self.time(scheduler.now)) \(text())") }
    }

    private static func time(_ nanoseconds: Int64) -> String {
        let milliseconds = nanoseconds / 1_000_000
        return "\(milliseconds / 86_400_000)d+\(milliseconds / 1000 % 86_400).\(String(milliseconds % 1000 + 1000).dropFirst())"
    }

    /// The beginning of every operation: waits for its turn, and says what goes wrong. Throws `ProcessDied`.
    func begin(_ operation: SimulatedOperation) throws -> (thread: SimulatedThread, fault: SimulatedFault?) {
        let thread = SimulationScheduler.current
        try alive(thread.owner)
        scheduler.yield(thread)
        try alive(thread.owner)
        operations += 1
        thread.owner.operations += 1
        if operations > Self.operationLimit {
            if operations == Self.operationLimit + 1 { violate("it goes on for ever: process \(thread.owner.number), \(thread.owner.title), at \(operation)") }
            kill(thread.owner)
            throw ProcessDied()
        }
        scheduler.spend(Int64.random(in: 1...30, using: &scheduler.choices) * 1_000_000)
        let fault = plan(thread.owner, operation)
        if fault != nil { faults += 1 }
        hash(thread.owner, operation)
        note("\(thread.owner.number) \(thread.owner.title): \(operation)\(fault.map { ", \($0)" } ?? "")")
        return (thread, fault)
    }

    /// The process is alive; at once and after each wait.
    func alive(_ process: SimulatedProcess) throws {
        if process.isDead { throw ProcessDied() }
    }

    func kill(_ process: SimulatedProcess) {
        process.die()
        note("\(process.number) \(process.title) is dead")
    }

    private func hash(_ process: SimulatedProcess, _ operation: SimulatedOperation) {
        func add(_ byte: UInt8) { traceHash = (traceHash ^ UInt64(byte)) &* 0x100_0000_01B3 }
        add(operation.kind.rawValue)
        for byte in operation.name.utf8 { add(byte) }
        for byte in operation.place.utf8 { add(byte) }
        traceHash = (traceHash ^ UInt64(truncatingIfNeeded: scheduler.now)) &* 0x100_0000_01B3
        traceHash = (traceHash ^ UInt64(process.number)) &* 0x100_0000_01B3
    }

    /// Mixes the outcome of an operation into the trace's hash.
    func hashOutcome(_ value: Int) { traceHash = (traceHash ^ UInt64(truncatingIfNeeded: value)) &* 0x100_0000_01B3 }
}
