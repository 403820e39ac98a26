import BlobEngine
import RepoBase
import Repository
import RepositoryTesting
import Storage

/// The repositories that every simulated history begins with: made once, since making keys costs more than most histories.
package struct RepositoryTemplate: Sendable {
    /// The text of key files: full keys of two machines, a writer key, and the full key of the other repository.
    package let fullKey: [UInt8]
    package let writerKey: [UInt8]
    package let otherKey: [UInt8]
    package let primary: SimulatedPlace
    package let twin: SimulatedPlace
    package let other: SimulatedPlace
    /// When the making ended, in nanoseconds of the simulations' clocks.
    package let end: Int64

    private static let profiles: [ChunkerProfile] = [
        .contentDefined(minimum: 4096, normal: 4096, maximum: 8192, strictBits: 12, looseBits: 9),
        .pageAligned(size: 4096),
    ]

    private static let shared = Monitor<RepositoryTemplate?>(nil)

    /// The same for all: it is made by a simulation of its own.
    package static func make() throws -> RepositoryTemplate {
        try shared.withLock { shared in
            if let shared { return shared }
            let made = try makeAnew()
            shared = made
            return made
        }
    }

    private static func makeAnew() throws -> RepositoryTemplate {
        let simulation = Simulation(seed: 0, switchChance: 1)
        let (primary, twin, other) = (SimulatedPlace(location: "primary"), SimulatedPlace(location: "twin"), SimulatedPlace(location: "other"))
        let result = Monitor<Result<RepositoryTemplate, any Error>?>(nil)
        let host = SimulatedHost(name: "template", cacheDirectory: TemporaryFolder.path("template"), processors: 1)
        let isDone = simulation.scheduler.run([
            ScheduledThread(
                simulation.scheduler.makeProcess(on: host, "template"),
                {
                    let made = Result<RepositoryTemplate, any Error> {
                        let store = SimulatedStore(simulation, primary)
                        let first = try RepositoryCreation.create(in: store, .machine, profiles: profiles)
                        var keys = first.keyRing
                        let writer = try keys.addKey(to: store, .machine, role: .writer, label: "writer")
                        SpaceReserve.keep(in: store)
                        let repository = try OpenRepository(store: store, keys: keys, cacheDirectory: host.cacheDirectory)
                        try TwinRepository.create(in: SimulatedStore(simulation, twin), of: repository)
                        SpaceReserve.keep(in: SimulatedStore(simulation, twin))
                        let second = try RepositoryCreation.create(
                            in: SimulatedStore(simulation, other), .machine, profiles: profiles)
                        SpaceReserve.keep(in: SimulatedStore(simulation, other))
                        return RepositoryTemplate(
                            fullKey: Array(first.keyFile!.utf8), writerKey: Array(writer.keyFile!.utf8),
                            otherKey: Array(second.keyFile!.utf8), primary: primary, twin: twin, other: other,
                            end: simulation.scheduler.now)
                    }
                    result.withLock { $0 = made }
                }
            )
        ])
        guard isDone, let made = result.withLock({ $0 }) else {
            throw RepoError(.failed, "the repositories that simulations begin with could not be made")
        }
        return try made.get()
    }
}
