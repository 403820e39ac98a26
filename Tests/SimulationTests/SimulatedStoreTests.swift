import RepoBase
import Storage
import StorageTesting
import Testing

@testable import SimulationTesting

/// The simulated store does what a store may do, and no more.
@Suite struct SimulatedStoreTests {
    /// Runs `bodies` as processes of their own, each with the store.
    private func run(
        seed: UInt64 = 1, plan: @escaping (SimulatedProcess, SimulatedOperation) -> SimulatedFault? = { _, _ in nil },
        _ bodies: [@Sendable (SimulatedStore) throws -> Void]
    ) -> (simulation: Simulation, place: SimulatedPlace, errors: [String]) {
        let simulation = Simulation(seed: seed, switchChance: 1)
        simulation.plan = plan
        let place = SimulatedPlace(location: "place")
        let errors = Monitor<[String]>([])
        let store = SimulatedStore(simulation, place)
        let host = SimulatedHost(name: "host", cacheDirectory: "", processors: 1)
        let isDone = simulation.scheduler.run(
            bodies.enumerated().map { number, body in
                ScheduledThread(simulation.scheduler.makeProcess(on: host, "\(number)")) {
                    do { try body(store) } catch { errors.withLock { $0.append("\(number): \(error)") } }
                }
            })
        #expect(isDone)
        return (simulation, place, errors.withLock { $0 })
    }

    @Test(arguments: 1...20) func aListingTellsWhatIsThereAllTheTimeAndMayTellTheRest(seed: UInt64) {
        let seen = Monitor<[Set<String>]>([])
        let isReplaced = Monitor(0)
        let (_, _, errors) = run(
            seed: seed,
            [
                { store in
                    try store.put(StoreKey("a/old"), [1], .create)
                    try store.put(StoreKey("a/replaced"), [1], .create)
                    for _ in 0..<10 {
                        try store.put(StoreKey("a/replaced"), [2, 3], .replace)
                        isReplaced.withLock { $0 += 1 }
                        try store.put(StoreKey("b/else"), [1], .replace)
                    }
                },
                { store in
                    while isReplaced.withLock({ $0 }) == 0 { _ = try store.stat(StoreKey("c")) }
                    for _ in 0..<6 {
                        let found = try store.list("a/")
                        #expect(Set(found).count == found.count)
                        seen.withLock { $0.append(Set(found.map(\.key.description))) }
                    }
                },
            ])
        #expect(errors == [])
        for names in seen.withLock({ $0 }) {
            #expect(names.contains("a/old"))
            #expect(names.isSubset(of: ["a/old", "a/replaced"]))
        }
    }

    @Test func whatIsReplacedMeanwhileIsMissedNowAndThen() {
        var missed = 0
        for seed in 1...40 {
            let count = Monitor(0)
            _ = run(
                seed: UInt64(seed),
                [
                    { store in for number in 0..<20 { try store.put(StoreKey("a/x"), [UInt8(number)], .replace) } },
                    { store in
                        while try store.stat(StoreKey("a/x")) == nil {}
                        for _ in 0..<5 where try store.list("a/").isEmpty { count.withLock { $0 += 1 } }
                    },
                ])
            missed += count.withLock { $0 }
        }
        #expect(missed > 0)
    }

    @Test func aDeadProcessDoesNothingMoreAndOthersGoOn() {
        let (simulation, place, errors) = run(
            plan: { process, operation in process.title == "0" && operation.name == "b" ? .dieAfter : nil },
            [
                { store in
                    try store.put(StoreKey("a"), [1], .create)
                    #expect(throws: ProcessDied.self) { try store.put(StoreKey("b"), [1], .create) }
                    #expect(throws: ProcessDied.self) { try store.put(StoreKey("c"), [1], .create) }
                },
                { store in try store.put(StoreKey("d"), [1], .create) },
            ])
        #expect(errors == [])
        #expect(place.keys.map(\.description) == ["a", "b", "d"])
        #expect(simulation.faults == 1)
    }

    @Test(arguments: [SimulatedFault.dieTorn, .dieLate(60), .failLate(60), .failAfter, .failBefore, .repeated])
    func aPutThatGoesWrongIsThereWholeOrNotAtAll(fault: SimulatedFault) throws {
        let (_, place, _) = run(
            plan: { _, operation in operation.name == "a" && operation.isChange ? fault : nil },
            [{ store in try store.put(StoreKey("a"), [1, 2, 3], .create) }])
        switch fault {
        case .dieTorn, .failBefore: #expect(place.keys.isEmpty)
        default: #expect(place.objects[StoreKey("a")]?.bytes == [1, 2, 3])
        }
        #expect(place.unfinished.count == (fault == .dieTorn ? 1 : 0))
    }

    /// As for every store.
    @Test(arguments: StoreConformance.checks) func itPassesTheConformanceSuite(check: StoreConformance) {
        let (_, _, errors) = run([{ store in try check.run(on: store) }])
        #expect(errors == [])
    }
}
