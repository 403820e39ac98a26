import NumbersTesting
import RepoBase
import RepositoryTesting

/// A history that a seed decides: some hosts, what they run one after the other, what goes wrong, and in which order everything happens.
package struct RandomHistory: Sendable {
    package let seed: UInt64
    package var keepsTrace = false

    package init(seed: UInt64) { self.seed = seed }

    private struct Step {
        var wait: Duration
        var action: SimulatedAction
    }

    /// What was done before, so that there is something to lose and something to collect.
    private static func beginnings(_ copies: SimulatedAction.Site?) -> [[SimulatedAction]] {
        let copied = copies.map { [SimulatedAction.copy($0)] } ?? []
        let some: [SimulatedAction] = [
            .snapshot(source: 1), .snapshot(source: 2), .snapshot(source: 1), .pushLog(first: 0, count: 1), .snapshot(source: 3),
        ] + copied
        let more = some + [.snapshot(source: 1), .snapshot(source: 2), .snapshot(source: 1)]
        let garbage = more + copied + [.forget(.primary, count: 3)] + (copies.map { [.forget($0, count: 2)] } ?? [])
        return [[], some, garbage, garbage, garbage + [.rotateKeys, .snapshot(source: 2)]]
    }

    package func run() throws -> SimulationOutcome {
        var numbers = SeededNumbers(seed: seed &* 0x9E37_79B9_7F4A_7C15 &+ 1)
        let switchChance = [1, 0.5, 0.1, 0.03].randomElement(using: &numbers)!
        let copies = [nil, nil, SimulatedAction.Site.twin, .other].randomElement(using: &numbers)!
        let beginning = Self.beginnings(copies).randomElement(using: &numbers)!
        let stage = try WorldStage.after(beginning)
        let simulation = Simulation(seed: numbers.next(), switchChance: switchChance, start: stage.end, keepsTrace: keepsTrace)
        let world = try RepositoryWorld(simulation, stage, seed: numbers.next())
        let faults = SimulatedFaultPlan(&numbers)
        simulation.plan = { _, operation in faults.fault(operation, &simulation.scheduler.choices) }
        var script = ["before: \(beginning)", "faults: \(faults); another thread takes its turn with chance \(switchChance)"]
        var bodies: [ScheduledThread] = []
        var hosts: [SimulatedHost] = []
        for number in 1...Int.random(in: 2...3, using: &numbers) {
            // Some run on the same host, whose processes see at once which of them are dead.
            let isShared = !hosts.isEmpty && Int.random(in: 0..<3, using: &numbers) == 0
            let host = isShared ? hosts[0] : world.makeHost("host\(number)", processors: Int.random(in: 1...2, using: &numbers))
            hosts.append(host)
            var actor = SimulatedActor(world, host)
            actor.isRetrying = Int.random(in: 0..<3, using: &numbers) > 0
            actor.opensAnew = Int.random(in: 0..<3, using: &numbers) == 0
            actor.keepsCopies = Int.random(in: 0..<4, using: &numbers) == 0
            actor.isWriter = number > 1 && !isShared && Int.random(in: 0..<5, using: &numbers) == 0
            let steps = (0..<Int.random(in: 2...4, using: &numbers)).map { _ in
                Step(
                    wait: [Duration.zero, .zero, .seconds(1), .seconds(7_200), .seconds(8 * 86_400)].randomElement(using: &numbers)!,
                    action: action(number, isWriter: actor.isWriter, copies: copies, &numbers))
            }
            world.hasHastyPrunes = world.hasHastyPrunes || steps.contains { $0.action.isHasty }
            let kind = "\(actor.isWriter ? ", writer key" : "")\(actor.isRetrying ? ", tries again" : "")\(actor.keepsCopies ? ", copies of objects" : "")"
            script.append(
                "\(host.name)\(kind): " + steps.map { $0.wait == .zero ? "\($0.action)" : "after \($0.wait.components.seconds) s \($0.action)" }.joined(separator: "; "))
            let (running, mine) = (actor, steps)
            bodies.append(
                ScheduledThread(simulation.scheduler.makeProcess(on: host, "\(host.name)'s schedule")) {
                    for step in mine {
                        if step.wait > .zero { SimulationScheduler.current.sleep(step.wait) }
                        running.run(step.action)
                    }
                })
        }
        if !simulation.scheduler.run(bodies) {
            simulation.violate("all wait for one another: \(simulation.scheduler.waiting.joined(separator: "; "))")
        } else {
            world.conclude()
        }
        return SimulationOutcome(world, script: script)
    }

    private func action(
        _ host: Int, isWriter: Bool, copies: SimulatedAction.Site?, _ numbers: inout SeededNumbers
    ) -> SimulatedAction {
        let source = Int.random(in: 1...2, using: &numbers) == 1 ? host : 1
        if isWriter {
            return Int.random(in: 0..<3, using: &numbers) == 0
                ? .pushLog(first: Int.random(in: 0..<4, using: &numbers), count: 1) : .snapshot(source: 10 + host)
        }
        // Copies make their own garbage.
        let site = copies != nil && Int.random(in: 0..<4, using: &numbers) == 0 ? copies! : .primary
        switch Int.random(in: 0..<100, using: &numbers) {
        case 0..<34: return .snapshot(source: source)
        case 34..<42: return .pushLog(first: Int.random(in: 0..<4, using: &numbers), count: Int.random(in: 1...3, using: &numbers))
        case 42..<54: return .forget(site, count: Int.random(in: 1...2, using: &numbers))
        case 54..<78:
            var pruning = SimulatedAction.Pruning()
            pruning.site = site
            pruning.maximumUnused = [0, 0, 5, 100].randomElement(using: &numbers)!
            pruning.minimumAgeHours = [24, 24, 0].randomElement(using: &numbers)!
            pruning.fenceAfterHours = [168, 168, 168, 1, 0].randomElement(using: &numbers)!
            pruning.endsRotation = Int.random(in: 0..<8, using: &numbers) == 0
            return .prune(pruning)
        case let choice where (78..<84).contains(choice): return copies.map { .copy($0, readsOnly: choice < 80) } ?? .snapshot(source: source)
        case 84..<88: return .rotateKeys
        case 88..<91: return .repairIndex(site)
        case 91..<93: return .repairPacks(site)
        case 93..<96: return .check(site)
        default: return .restore(site)
        }
    }
}

extension SimulatedAction {
    /// A prune that does not wait for long for who is silent.
    var isHasty: Bool {
        if case .prune(let pruning) = self { return pruning.fenceAfterHours < 24 }
        return false
    }
}
