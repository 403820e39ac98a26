import BlobEngine
import PostgresFormats
import RepoBase
import Repository
import RepositoryTesting
import Storage
import WALArchive

// What must hold in the end, told by a host that was not there before and that nothing goes wrong for.
extension RepositoryWorld {
    private static let day = 24 * 3600
    /// A collection condemns, the next one finishes; and what was silent goes after 7 days, in two more.
    private static let collectionLimit = 10

    /// Runs until everything was looked at; nil where it came to an end by itself.
    package func conclude() {
        simulation.plan = { _, _ in nil }
        let host = makeHost("auditor")
        let process = simulation.scheduler.makeProcess(on: host, "auditor")
        let used = SimulatedAction.Site.allCases.filter { site($0).place.keys("snapshots/").count > 0 || site($0).place.keys("packs/").count > 0 || $0 == .primary }
        let isDone = simulation.scheduler.run([
            ScheduledThread(
                process,
                { [self] in
                    for name in used { audit(name, host) }
                }
            )
        ])
        if !isDone { simulation.violate("the last look never ended: \(simulation.scheduler.waiting.joined(separator: "; "))") }
    }

    private func audit(_ name: SimulatedAction.Site, _ host: SimulatedHost) {
        let actor = SimulatedActor(self, host)
        do {
            try verify(name, actor, "at the end")
            guard simulation.violations.isEmpty else { return }
            try dropUnfinishedRoots(name, actor)
            try collect(name, actor, host)
            let names = Set(try SnapshotCatalog(actor.open(name)).names().ids)
            for id in site(name).ledger.snapshots.keys.sorted() where !names.contains(id) {
                simulation.violate("snapshot \(id.short) of \(name), which was reported as done, is gone after the last collection")
            }
            // What it needs is named by its content, so that what reads is what was there before.
            var options = RepositoryCheck.Options()
            options.data = .all
            judge(try RepositoryCheck(actor.open(name), options: options).run(), of: name, "the last check", strictly: true)
        } catch {
            simulation.violate("the last look at \(name) failed: \(error)")
        }
    }

    /// Everything that was promised is there and restores to its exact bytes; and whatever else is there does, or is excused.
    private func verify(_ name: SimulatedAction.Site, _ actor: SimulatedActor, _ moment: String) throws {
        let site = site(name)
        let repository = try actor.open(name)
        let reading = SnapshotReading(repository)
        let ids = Set(try SnapshotCatalog(repository).names().ids)
        for (id, files) in site.ledger.snapshots.sorted(by: { $0.key < $1.key }) {
            guard ids.contains(id) else {
                simulation.violate("snapshot \(id.short) of \(name), which was reported as done, is gone \(moment)")
                continue
            }
            do {
                if try reading.files(id) != files { simulation.violate("snapshot \(id.short) of \(name) has other content \(moment)") }
            } catch {
                simulation.violate("snapshot \(id.short) of \(name) cannot be restored \(moment): \(error)")
            }
        }
        let archive = WALArchive(repository)
        for (file, seed) in site.ledger.log.sorted(by: { $0.key < $1.key }) {
            let expected = SimulatedContent.log(seed)
            guard let content = try archive.content(of: .segment(name: file), system: SimulatedActor.system) else {
                simulation.violate("\(file), which was reported as archived, is gone \(moment)")
                continue
            }
            let isEqual = withExtendedLifetime((content, expected)) { content.bytes.elementsEqual(expected.bytes) }
            if !isEqual { simulation.violate("\(file) has other content \(moment)") }
        }
    }

    /// Snapshots that nobody was told of. Those of processes that died or were silent may lack content: people let them go, as a prune tells them.
    private func dropUnfinishedRoots(_ name: SimulatedAction.Site, _ actor: SimulatedActor) throws {
        let site = site(name)
        let repository = try actor.open(name)
        let catalog = SnapshotCatalog(repository)
        let reading = SnapshotReading(repository)
        for id in try catalog.names().ids.sorted() where site.ledger.snapshots[id] == nil {
            let entry = try catalog.read(id)
            guard let attempt = attempts[entry.snapshot.time.seconds] else {
                simulation.violate("snapshot \(id.short) of \(name) is nobody's")
                continue
            }
            do {
                if try reading.files(id) != attempt.files { simulation.violate("snapshot \(id.short) of \(name), of which nobody was told, has other content") }
            } catch let error as RepoError where error.code == .damaged || error.code == .notFound {
                outcomes["a root that nobody was told of lacked content", default: 0] += 1
                if !mayLackContent(attempt, name) {
                    simulation.violate("snapshot \(id.short) of \(name), whose process was not silent, cannot be restored: \(error)")
                }
                try Forgetting(repository).remove([id])
            }
        }
    }

    /// In copies anybody may have been silent.
    private func mayLackContent(_ attempt: Attempt, _ name: SimulatedAction.Site) -> Bool {
        attempt.process.wasSilent || name != .primary || hasHastyPrunes
    }

    /// Whether there is a root that nobody was told of, which may be why a process finds damage.
    func hasUnfinishedRoots(_ process: SimulatedProcess) -> Bool {
        SimulatedAction.Site.allCases.contains { name in
            site(name).place.keys("snapshots/").contains { key in
                ObjectID(key.description.dropFirst("snapshots/".count)).map { site(name).ledger.snapshots[$0] == nil } ?? false
            }
        }
    }

    /// Whatever no snapshot needs is collected, and nobody is waited for.
    private func collect(_ name: SimulatedAction.Site, _ actor: SimulatedActor, _ host: SimulatedHost) throws {
        let place = site(name).place
        var options = CollectionOptions()
        options.maximumUnused = 0
        for round in 1...Self.collectionLimit {
            SimulationScheduler.current.sleep(.seconds(8 * Self.day))
            let outcome = try Collector(actor.open(name), options: options).run()
            let isClean = place.keys("gc/").isEmpty && place.keys("writers/").isEmpty
            if outcome.packsCondemned == 0, outcome.packsDeleted == 0, outcome.blobsDead == 0, isClean { break }
            if round == Self.collectionLimit { simulation.violate("\(Self.collectionLimit) collections of \(name) were not enough: \(outcome.packsCondemned) packs condemned, \(outcome.blobsDead) dead blobs") }
        }
        for prefix in ["gc/", "writers/"] {
            let left = place.keys(prefix)
            if !left.isEmpty { simulation.violate("\(name) keeps \(left[0]) and \(left.count - 1) more") }
        }
        if !place.unfinished.isEmpty { simulation.violate("\(name) keeps \(place.unfinished.count) unfinished puts") }
        let index = try actor.open(name).index()
        let indexed = Set(index.tables.flatMap { $0.packs.map { "\(PackObject.key($0.id))" } })
        let stored = Set(place.keys("packs/").map(\.description))
        if indexed != stored {
            simulation.violate("\(name): \(stored.subtracting(indexed).count) packs are in no index, \(indexed.subtracting(stored).count) are named and not there")
        }
    }

    /// - Parameter strictly: nothing is excused.
    func judge(_ report: CheckReport, of name: SimulatedAction.Site, _ who: String, strictly: Bool = false) {
        for error in report.errors {
            let promised = error.snapshots.filter { site(name).ledger.snapshots[$0] != nil }
            guard strictly || !promised.isEmpty else { continue }
            simulation.violate("\(who) of \(name) finds \(error.object) damaged: \(error.problem); snapshots \(error.snapshots.map(\.short))")
        }
    }
}
