import NumbersTesting
import RepoBase
import RepositoryTesting

/// A script whose middle part is killed at each of its operations in turn, beside somebody else at work.
package struct CrashScript: Sendable {
    package let name: String
    /// What was done before, one after the other.
    let before: [SimulatedAction]
    /// What is killed.
    let victim: SimulatedAction
    /// What others do meanwhile.
    let beside: [SimulatedAction]

    /// How an operation is the last one.
    package enum Way: String, Hashable, Sendable, CaseIterable {
        /// Before it worked.
        case before
        /// After it worked, and nobody learned of it.
        case after
        /// In the middle of it: of puts alone.
        case torn
        /// It arrives five minutes later: of changes alone.
        case late

        var fault: SimulatedFault {
            switch self {
            case .before: .dieBefore
            case .after: .dieAfter
            case .torn: .dieTorn
            case .late: .dieLate(300)
            }
        }
    }

    /// A point to crash at: an operation of the victim, from 1 on.
    package struct Point: Hashable, Sendable {
        package let operation: Int
        package let way: Way
    }

    /// The interleaving: the same seed gives the same one up to the crash.
    package struct Variant: Hashable, Sendable {
        package let seed: UInt64
        /// Whether the others are on the host of the victim, and see at once that it is dead.
        package var isOnSameHost: Bool { seed % 2 == 0 }
    }

    /// Every point of a variant, told by a run in which nothing goes wrong.
    package func points(_ variant: Variant) throws -> (points: [Point], outcome: SimulationOutcome) {
        let operations = Monitor<[SimulatedOperation]>([])
        let outcome = try run(variant, nil) { operation in operations.withLock { $0.append(operation) } }
        let points = operations.withLock { $0 }.enumerated().flatMap { index, operation in
            Way.allCases.filter { way in
                switch way {
                case .before, .after: true
                case .torn: operation.kind == .put || operation.kind == .create
                case .late: operation.isChange
                }
            }.map { Point(operation: index + 1, way: $0) }
        }
        return (points, outcome)
    }

    /// Runs it with a crash at this point, or none; then the victim's host runs the same once more.
    package func run(
        _ variant: Variant, _ point: Point?, keepsTrace: Bool = false, _ onOperation: @escaping (SimulatedOperation) -> Void = { _ in }
    ) throws -> SimulationOutcome {
        var numbers = SeededNumbers(seed: variant.seed &* 0x9E37_79B9_7F4A_7C15 &+ 7)
        let stage = try WorldStage.after(before)
        let simulation = Simulation(
            seed: numbers.next(), switchChance: [1, 0.3].randomElement(using: &numbers)!, start: stage.end, keepsTrace: keepsTrace)
        let world = try RepositoryWorld(simulation, stage, seed: 7)
        let host = world.makeHost("host1")
        let first = SimulatedActor(world, host)
        let second = SimulatedActor(world, variant.isOnSameHost ? host : world.makeHost("host2"))
        let victim = Monitor<SimulatedProcess?>(nil)
        var killed = first
        killed.label = "victim: "
        let doomed = killed
        simulation.plan = { process, operation in
            if victim.withLock({ $0 }) == nil, process.title.hasPrefix(doomed.label) { victim.withLock { $0 = process } }
            guard victim.withLock({ $0 === process }) else { return nil }
            onOperation(operation)
            return process.operations == point?.operation ? point?.way.fault : nil
        }
        let isDone =
            simulation.scheduler.run([
                ScheduledThread(simulation.scheduler.makeProcess(on: host, "victim's schedule"), { [self] in
                    doomed.run(self.victim)
                    // The next process of that host goes on.
                    first.run(self.victim)
                }),
                ScheduledThread(simulation.scheduler.makeProcess(on: second.host, "the other's schedule"), { [beside] in for action in beside { second.run(action) } }),
            ])
        if isDone {
            world.conclude()
        } else {
            simulation.violate("all wait for one another: \(simulation.scheduler.waiting.joined(separator: "; "))")
        }
        return SimulationOutcome(world, script: ["\(name), seed \(variant.seed), \(point.map { "\($0.way) operation \($0.operation)" } ?? "no crash")"])
    }
}
