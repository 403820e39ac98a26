import BlobEngine
import PostgresFormats
import RepoBase
import Repository
import RepositoryTesting
import Storage
import StorageTesting
import WALArchive

/// A host that runs programs one after the other, each as a process of its own, whatever became of the one before.
package struct SimulatedActor: Sendable {
    package let world: RepositoryWorld
    package let host: SimulatedHost
    /// It has a writer key: it can add and not read.
    package var isWriter = false
    /// It tries again what did not reach the store.
    package var isRetrying = false
    /// It opens its key anew in each run; else it keeps what somebody found, as a machine does for a day.
    package var opensAnew = false
    /// Stands before what its processes are called.
    package var label = ""
    /// It keeps copies of small objects, as for a remote store.
    package var keepsCopies = false

    package init(_ world: RepositoryWorld, _ host: SimulatedHost) { (self.world, self.host) = (world, host) }

    /// The cluster whose log is archived.
    static let system: UInt64 = 7_301_234_567_890_123_456
    static let segmentSize = WALSegmentSize(bytes: 1 << 20)!

    private var simulation: Simulation { world.simulation }

    /// Runs it on the calling thread. What a process that died in its middle has done is not known to anybody. Nil for one that died.
    @discardableResult
    package func run(_ action: SimulatedAction) -> Result<Void, any Error>? {
        let thread = SimulationScheduler.current
        let supervisor = thread.owner
        let process = simulation.scheduler.makeProcess(on: host, "\(label)\(action)")
        thread.owner = process
        let result = Result { try perform(action, process) }
        thread.owner = supervisor
        process.end()
        if process.isDead {
            count("died: \(action.kind)")
            return nil
        }
        switch result {
        case .success: count("done: \(action.kind)")
        case .failure(let error): fail(action, process, error)
        }
        return result
    }

    private func count(_ what: String) { world.outcomes[what, default: 0] += 1 }

    /// What a run may fail with, where nothing was lost.
    private func fail(_ action: SimulatedAction, _ process: SimulatedProcess, _ error: any Error) {
        let code = (error as? RepoError)?.code
        count("failed (\(code.map { "\($0)" } ?? "?")): \(action.kind)")
        simulation.note("\(process.number) \(process.title) failed: \(error)")
        switch code {
        case .unreachable?, .conflict?: return
        // Two let the same go.
        case .notFound? where action.kind == "forget": return
        case .failed? where "\(error)".contains("was silent for so long"): return
        case .damaged?, .notFound?:
            // A root that nobody was told of may lack content, and stands in the way of a collection (docs/collection.md).
            if world.hasUnfinishedRoots(process) { return }
        default: break
        }
        // A loss of the connection that was wrapped on its way.
        if "\(error)".contains("cannot reach") || "\(error)".contains("the connection was lost") || "\(error)".contains("no answer from") { return }
        simulation.violate("\(process.number) \(action) failed with \(code.map { "\($0)" } ?? "?"): \(error)")
    }

    // MARK: Opening

    private func store(_ site: SimulatedSite) -> any Store {
        let store = SimulatedStore(simulation, site.place)
        guard isRetrying else { return store }
        let scheduler = simulation.scheduler
        return RetryingStore(store, random: { Double.random(in: 0..<1, using: &scheduler.choices) })
    }

    func open(_ name: SimulatedAction.Site, readsOnly: Bool = false) throws -> OpenRepository {
        let site = world.site(name)
        let store: any Store = readsOnly ? UnwritableStore(store(site)) : store(site)
        let keys = try keys(name, store)
        let cache = "\(host.cacheDirectory)/\(name)"
        return try OpenRepository(
            store: store, keys: keys, cacheDirectory: cache, objects: keepsCopies ? ObjectCache(folder: "\(cache)/objects") : nil,
            isRemote: keepsCopies)
    }

    /// Opened anew, as the first run of a host does it, or as this machine remembers them.
    private func keys(_ name: SimulatedAction.Site, _ store: any Store) throws -> KeyRing {
        let site = world.site(name)
        let isWriting = isWriter && name == .primary
        if !opensAnew, let keys = isWriting ? site.writerKeys : site.keys { return keys }
        let keys = try KeyRing.open(store, .machineKey(world.storeKey(site, isWriter: isWriting)))
        guard !opensAnew else { return keys }
        if isWriting { site.writerKeys = keys } else { site.keys = keys }
        return keys
    }

    // MARK: Actions

    private func perform(_ action: SimulatedAction, _ process: SimulatedProcess) throws {
        switch action {
        case .snapshot(let source): try snapshot(source, process)
        case .pushLog(let first, let count): try pushLog(first, count, process)
        case .forget(let site, let count): try forget(site, count)
        case .prune(let pruning): try prune(pruning)
        case .copy(let site, let readsOnly): try copy(site, readsOnly: readsOnly, process)
        case .rotateKeys:
            let store = store(world.site(.primary))
            var keys = try KeyRing.open(store, .machineKey(world.site(.primary).key))
            try keys.rotate(in: store)
        case .repairIndex(let site): _ = try IndexRepair(open(site)).run()
        case .repairPacks(let site): _ = try PackRepair(open(site)).run()
        case .check(let site): try check(site)
        case .restore(let site): try restore(site)
        }
    }

    private func snapshot(_ source: Int, _ process: SimulatedProcess) throws {
        let (number, files) = world.begin(source: source, by: process)
        let id = try SnapshotTaking(
            open(.primary), files, source: "source \(source)", second: number, threads: host.processors
        ).run()
        guard !process.isDead else { return }
        world.site(.primary).ledger.promise(id, files)
        simulation.note("snapshot \(id.short) of \(process.number) is promised")
    }

    static func logName(_ number: Int) -> String { WALSegment(timeline: 1, number: UInt64(number)).name(segmentSize) }

    private func pushLog(_ first: Int, _ count: Int, _ process: SimulatedProcess) throws {
        let numbers = first..<first + count
        let files = numbers.map { WALFile(name: Self.logName($0), content: SimulatedContent.log(UInt64($0)), facts: nil) }
        try WALArchive(open(.primary)).store(files, system: Self.system, segmentSize: Self.segmentSize)
        guard !process.isDead else { return }
        for number in numbers { world.site(.primary).ledger.log[Self.logName(number)] = UInt64(number) }
    }

    private func forget(_ name: SimulatedAction.Site, _ count: Int) throws {
        let repository = try open(name)
        let entries = try SnapshotCatalog(repository).all()
        // Always the newest stays, so that there is something to lose.
        let going = entries.dropLast().prefix(count).map(\.id)
        guard !going.isEmpty else { return }
        for id in going { world.site(name).ledger.release(id) }
        try Forgetting(repository).remove(Array(going))
    }

    private func prune(_ pruning: SimulatedAction.Pruning) throws {
        var options = CollectionOptions()
        options.maximumUnused = Double(pruning.maximumUnused) / 100
        options.minimumAge = Int64(pruning.minimumAgeHours) * 3600
        options.fenceAfter = Int64(pruning.fenceAfterHours) * 3600
        options.endsRotation = pruning.endsRotation
        let outcome = try Collector(open(pruning.site), options: options).run()
        simulation.note("condemned \(outcome.packsCondemned), deleted \(outcome.packsDeleted), waiting \(outcome.packsWaiting)")
        if outcome.packsDeleted > 0 { self.count("a prune deleted packs") }
        if outcome.packsRewritten > 0 { self.count("a prune rewrote packs") }
        if !outcome.waitingFor.isEmpty { self.count("a prune waited for writers") }
    }

    private func copy(_ name: SimulatedAction.Site, readsOnly: Bool, _ process: SimulatedProcess) throws {
        let archived = world.site(.primary).ledger.log
        let (source, destination) = (try open(.primary, readsOnly: readsOnly), try open(name))
        let copy = RepositoryCopy(from: source, to: destination)
        try copy.prepare()
        let entries = try SnapshotCatalog(source).all(onProblem: { _, _ in })
        let outcome = try copy.run(entries)
        let log = try LogCopy(from: source, to: destination).run()
        guard !process.isDead else { return }
        for (here, there) in outcome.copied {
            guard let entry = entries.first(where: { $0.id == here }), let attempt = world.attempts[entry.snapshot.time.seconds] else { continue }
            world.site(name).ledger.promise(there, attempt.files)
        }
        // What was promised here before the copy began, at least.
        if log.failures.isEmpty { world.site(name).ledger.log.merge(archived) { _, seed in seed } }
    }

    private func check(_ name: SimulatedAction.Site) throws {
        var options = RepositoryCheck.Options()
        options.data = .all
        let report = try RepositoryCheck(open(name), options: options).run()
        world.judge(report, of: name, "a check beside others")
    }

    private func restore(_ name: SimulatedAction.Site) throws {
        let promised = world.site(name).ledger.snapshots.keys.sorted()
        guard let id = promised.randomElement(using: &simulation.scheduler.choices) else { return }
        let expected = world.site(name).ledger.snapshots[id]
        do {
            let found = try SnapshotReading(open(name)).files(id)
            if found != expected { simulation.violate("snapshot \(id.short) was restored with other content") }
        } catch let error as RepoError where error.code == .damaged || error.code == .notFound {
            // Let go meanwhile.
            guard world.site(name).ledger.snapshots[id] != nil else { return }
            simulation.violate("snapshot \(id.short) could not be restored beside others: \(error)")
        }
    }
}

extension SimulatedAction {
    /// Without its parameters.
    var kind: String {
        switch self {
        case .snapshot: "snapshot"
        case .pushLog: "push"
        case .forget: "forget"
        case .prune(let pruning): pruning.endsRotation ? "prune that ends a rotation" : "prune"
        case .copy(let site, let readsOnly): "copy to \(site)\(readsOnly ? " by a reader" : "")"
        case .rotateKeys: "key rotation"
        case .repairIndex: "repair of an index"
        case .repairPacks: "repair of packs"
        case .check: "check"
        case .restore: "restore"
        }
    }
}
