import RepoBase
import Repository
import RepositoryTesting

/// What repositories hold after some work in which nothing went wrong: where histories begin. Made once for each such beginning, and kept.
package struct WorldStage: Sendable {
    let places: [SimulatedAction.Site: SimulatedPlace]
    let ledgers: [SimulatedAction.Site: Ledger]
    let attempts: [Int64: Attempt]
    let current: [Int: MemoryFiles]
    /// What opens them, by host and key.
    let keys: [SimulatedAction.Site: KeyRing]
    /// Nanoseconds of the simulations' clocks.
    package let end: Int64

    private static let kept = Monitor<[[SimulatedAction]: WorldStage]>([:])

    /// After these, one after the other, by one host.
    package static func after(_ actions: [SimulatedAction]) throws -> WorldStage {
        try kept.withLock { kept in
            if let stage = kept[actions] { return stage }
            let stage = try make(actions)
            kept[actions] = stage
            return stage
        }
    }

    private static func make(_ actions: [SimulatedAction]) throws -> WorldStage {
        let template = try RepositoryTemplate.make()
        let empty = WorldStage(
            places: [.primary: template.primary, .twin: template.twin, .other: template.other], ledgers: [:], attempts: [:], current: [:], keys: [:],
            end: template.end)
        let simulation = Simulation(seed: 1, switchChance: 1, start: template.end)
        let world = try RepositoryWorld(simulation, empty, seed: 1)
        let host = world.makeHost("stage")
        let isDone = simulation.scheduler.run([
            ScheduledThread(simulation.scheduler.makeProcess(on: host, "stage")) {
                for action in actions { SimulatedActor(world, host).run(action) }
            }
        ])
        guard isDone, simulation.violations.isEmpty else {
            throw RepoError(.failed, "what histories begin with could not be made: \(simulation.violations.joined(separator: "; "))")
        }
        return world.stage
    }
}

extension RepositoryWorld {
    /// As it is now.
    var stage: WorldStage {
        WorldStage(
            places: sites.mapValues { $0.place.copy() }, ledgers: sites.mapValues(\.ledger), attempts: attempts, current: current, keys: sites.compactMapValues(\.keys),
            end: simulation.scheduler.now)
    }
}
