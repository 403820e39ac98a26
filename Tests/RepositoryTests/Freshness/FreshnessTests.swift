import BlobEngine
import Glibc
import Policy
import RepoBase
import RepositoryTesting
import Storage
import StorageTesting
import Testing

@testable import Repository

/// A store that hides or takes back what a machine has seen, and what looks like that and is not (docs/adr/0038-freshness.md).
@Suite("Freshness") struct FreshnessTests {
    private let world: CollectionWorld
    private let machine: RememberingMachine
    private let other: RememberingMachine
    private let files: CollectionWorld.Files

    init() throws {
        world = try CollectionWorld()
        machine = RememberingMachine(world)
        other = RememberingMachine(world)
        var numbers = SeededNumbers(seed: 38)
        files = ["a": numbers.bytes(20_000), "b": numbers.bytes(3_000)]
    }

    // MARK: What a store does

    @Test("A store put back to an earlier state is noticed by whoever saw the later one, and by nobody else")
    func rolledBack() throws {
        let first = try machine.snapshot(files)
        let image = try StoreImage(world.store)
        let second = try machine.snapshot(["a": [1, 2, 3]])
        #expect(try other.findings().isEmpty)
        try image.restore(to: world.store)
        #expect(try machine.missing() == [second])
        #expect(try other.missing() == [second])
        let stranger = RememberingMachine(world)
        #expect(try stranger.findings().isEmpty)
        // New snapshots do not make it good, and it is said again by each process.
        try machine.snapshot(files)
        #expect(try machine.missing() == [second])
        #expect(machine.reports.withLock { $0.count } >= 2)
        #expect(try SnapshotCatalog(world.open()).names().ids.contains(first))
    }

    @Test("One hidden snapshot is named with its source, its time and when it was there")
    func hidden() throws {
        let id = try machine.snapshot(files, source: "shop")
        try machine.snapshot(files, source: "shop")
        let time = machine.clock.withLock { $0 }
        machine.clock.withLock { $0 += 50_000 }
        try world.store.delete(SnapshotObject.key(id))
        #expect(try machine.findings() == [.snapshot(id, source: "shop", time: 1, lastSeen: time)])
        machine.clock.withLock { $0 += 50_000 }
        #expect(try machine.findings() == [.snapshot(id, source: "shop", time: 1, lastSeen: time)])
    }

    @Test("A snapshot that comes back is no longer missing")
    func comesBack() throws {
        let id = try machine.snapshot(files)
        let image = try StoreImage(world.store)
        try world.store.delete(SnapshotObject.key(id))
        #expect(try machine.missing() == [id])
        try image.restore(to: world.store)
        #expect(try machine.findings().isEmpty)
        try world.store.delete(SnapshotObject.key(id))
        #expect(try machine.missing() == [id])
    }

    @Test("A machine whose key cannot read notices as well")
    func writerKey() throws {
        var keys = world.keys
        let added = try keys.addKey(to: world.store, .machine, role: .writer, label: "writer")
        let writer = RememberingMachine(world, keys: try KeyRing.open(world.store, .machineKey(Array(added.keyFile!.utf8))))
        let others = try machine.snapshot(files)
        let own = try writer.snapshot(["w": [7]], source: "own")
        #expect(try writer.missing().isEmpty)
        for id in [others, own] { try world.store.delete(SnapshotObject.key(id)) }
        #expect(try writer.missing() == [others, own])
    }

    @Test("A name that a network altered in a listing hides no snapshot, raises no alarm and costs no data")
    func alteredNames() throws {
        let ids = try (0..<3).map { try machine.snapshot(["a": [UInt8($0)]]) }
        try Holds(machine.open()).add(ids[0], reason: "test")
        world.expected = Dictionary(uniqueKeysWithValues: ids.enumerated().map { ($1, ["a": [UInt8($0)]]) })
        // Three snapshots and a hold in the first listing; then in the ones that follow.
        for altered in 0..<12 {
            for isDigit in [true, false] {
                let store = AlteringListings(world.store, altered: altered, toDigit: isDigit)
                #expect(try machine.findings(store).isEmpty, "\(altered)")
                #expect(try Set(SnapshotCatalog(machine.open(store)).all().map(\.id)) == Set(ids), "\(altered)")
                #expect(try machine.findings().isEmpty, "\(altered)")
                #expect(try RepositoryCheck(machine.open(AlteringListings(world.store, altered: altered, toDigit: isDigit))).run().isClean, "\(altered)")
                _ = try Collector(machine.open(AlteringListings(world.store, altered: altered, toDigit: isDigit)), options: CollectionWorld.eager).run()
                try world.verify(exactly: false)
                let rules = RetentionRules(keep: [.last: .upTo(2)])
                let forgetting = Forgetting(try machine.open(AlteringListings(world.store, altered: altered, toDigit: isDigit)))
                _ = try forgetting.apply(try forgetting.decide(rules, now: Timestamp(seconds: 100), zone: FixedOffset.utc), rules: rules)
                #expect(try machine.findings().isEmpty, "\(altered)")
                #expect(try Set(SnapshotCatalog(world.open()).names().ids) == Set(ids), "the oldest is held")
            }
        }
    }

    @Test("Records that this machine has read and the store no longer shows are damage")
    func hiddenRecord() throws {
        let id = try machine.snapshot(files)
        try machine.snapshot(files)
        let image = try StoreImage(world.store)
        try Forgetting(other.open()).remove([id])
        #expect(try machine.findings().isEmpty)
        try image.restore(to: world.store)
        // The machine has read others as well, which are still there.
        let records = try machine.file.load().records
        let record = try #require(try records.first { try world.store.stat(StoreKey("journal/\($0)")) == nil })
        let report = try RepositoryCheck(machine.open()).run()
        #expect(report.errors.map(\.object) == ["journal/\(record)"])
        #expect(report.errors.first?.kind == .journal)
    }

    @Test("A check names what is missing as damage")
    func check() throws {
        let id = try machine.snapshot(files)
        try machine.snapshot(files)
        #expect(try RepositoryCheck(machine.open()).run().isClean)
        try world.store.delete(SnapshotObject.key(id))
        let report = try RepositoryCheck(machine.open()).run()
        #expect(report.errors.map(\.object) == ["snapshots/\(id)"])
        #expect(report.errors.first?.snapshots == [id])
    }

    @Test("Nothing is deleted while the store hides a snapshot that needs it")
    func refusals() throws {
        let id = try machine.snapshot(files)
        try machine.snapshot(["b": [1]])
        let image = try StoreImage(world.store)
        try world.store.delete(SnapshotObject.key(id))
        #expect(code { _ = try Collector(machine.open(), options: CollectionWorld.eager).run() } == .damaged)
        let rules = RetentionRules(keep: [.last: .upTo(1)])
        #expect(
            code {
                let forgetting = Forgetting(try machine.open())
                try forgetting.apply(try forgetting.decide(rules, now: Timestamp(seconds: 100), zone: FixedOffset.utc), rules: rules)
            } == .damaged)
        try image.restore(to: world.store)
        world.expected = [id: files]
        try world.verify(exactly: false)
    }

    // MARK: What is no attack

    @Test("Snapshots that another machine lets go and prunes raise no alarm, for one listing and one read")
    func forgotten() throws {
        var ids: [ObjectID] = []
        for number in 0..<3 { ids.append(try machine.snapshot(["a": [UInt8(number)]])) }
        #expect(try other.findings().isEmpty)
        try Forgetting(other.open()).remove(Array(ids[..<2]))
        _ = try Collector(other.open(), options: CollectionWorld.eager).run()
        let counting = StorageTesting.CountingStore(world.store)
        #expect(try machine.findings(counting).isEmpty)
        let withRecords = counting.counts
        counting.reset()
        #expect(try machine.findings(counting).isEmpty)
        #expect(withRecords[.list] == counting.counts[.list] + 1, "the journal was listed once")
        #expect(try machine.file.load().snapshots.keys.sorted() == [ids[2]])
        // Hidden afterwards, the third is missed.
        try world.store.delete(SnapshotObject.key(ids[2]))
        #expect(try machine.missing() == [ids[2]])
    }

    @Test("Where nothing is missing, nothing is asked of the store that would not be asked anyway")
    func costsNothing() throws {
        try machine.snapshot(files)
        let counting = StorageTesting.CountingStore(world.store)
        // Each has one snapshot more to read than the one before.
        let counts = try (0..<3).map { number in
            counting.reset()
            _ = number == 1 ? try machine.snapshot(files, on: counting) : try SnapshotTaking(world.open(counting), files, source: "files").run()
            return counting.counts
        }
        var with = counts[1]
        // The config, which a process reads to open the repository.
        for kind in [StoreOperation.Kind.stat, .read] { with.calls[kind, default: 0] -= 1 }
        for kind in [StoreOperation.Kind.list, .stat, .read, .put, .delete] { #expect(2 * with[kind] == counts[0][kind] + counts[2][kind], "\(kind)") }
    }

    @Test("A crash at any step of letting snapshots go raises no alarm", arguments: [false, true])
    func crashes(afterWorking: Bool) throws {
        for change in 1...3 {
            let ids = try (0..<2).map { try machine.snapshot(["a": [UInt8(change), UInt8($0)]]) }
            #expect(try other.findings().isEmpty)
            let faulting = FaultingStore(world.store, plan: FaultingStore.dying(atChange: change, afterWorking: afterWorking))
            #expect(throws: (any Error).self) {
                try Forgetting(other.open(faulting)).remove(ids)
                throw ProcessDied()  // Three changes are all that there are.
            }
            #expect(try machine.findings().isEmpty, "after change \(change)")
            #expect(try other.findings().isEmpty, "after change \(change)")
            // It is run again, by whomever.
            let left = Set(try SnapshotCatalog(world.open()).names().ids).intersection(ids)
            if !left.isEmpty { try Forgetting(world.open()).remove(Array(left)) }
            #expect(try machine.findings().isEmpty, "after change \(change), run again")
            #expect(try other.findings().isEmpty, "after change \(change), run again")
        }
    }

    @Test("Only a full key's record explains a snapshot's absence, or its own writer's that it withdrew it")
    func forgedRecords() throws {
        var keys = world.keys
        let added = try keys.addKey(to: world.store, .machine, role: .writer, label: "writer")
        let writer = try KeyRing.open(world.store, .machineKey(Array(added.keyFile!.utf8)))
        let good = try machine.snapshot(files)
        let own = try RememberingMachine(world, keys: writer).snapshot(["w": [7]], source: "own")
        #expect(try machine.findings().isEmpty)
        for action in ["forget", "accept missing", "withdraw"] {
            try Journal.append(to: world.store, by: writer, .now(), action: action, subjects: ["\(good)", "\(own)"])
        }
        for id in [good, own] { try world.store.delete(SnapshotObject.key(id)) }
        #expect(try machine.missing() == [good])
    }

    @Test("A snapshot that is stored while another process lists is not missed")
    func storedMeanwhile() throws {
        try machine.snapshot(files)
        let isFirst = Monitor(true)
        let during = DuringListing(world.store, prefix: SnapshotObject.prefix) { [machine] in
            let runs = isFirst.withLock { first in
                defer { first = false }
                return first
            }
            if runs { try machine.snapshot(["new": [1]]) }
        }
        #expect(try machine.findings(during).isEmpty)
        #expect(try machine.file.load().snapshots.count == 2)
    }

    @Test("A snapshot that is let go while another process lists is not taken up again")
    func removedMeanwhile() throws {
        let id = try machine.snapshot(files)
        unlink(machine.file.path)
        let isFirst = Monitor(true)
        let during = DuringListing(world.store, prefix: SnapshotObject.prefix) { [machine] in
            let runs = isFirst.withLock { first in
                defer { first = false }
                return first
            }
            if runs { try Forgetting(machine.open()).remove([id]) }
        }
        #expect(try machine.findings(during).isEmpty)
        #expect(try machine.findings().isEmpty)
    }

    @Test("Processes that store, let go and look at once alarm nobody and lose nothing")
    func together() throws {
        let machine = machine
        let stored = Monitor<Set<ObjectID>>([])
        let failures = Monitor<[String]>([])
        let threads = (0..<4).map { number in
            WorkerThread {
                do {
                    for round in 0..<4 {
                        let id = try machine.snapshot(["a": [UInt8(number), UInt8(round)]], source: "source \(number)")
                        if round % 2 == 0 { try Forgetting(machine.open()).remove([id]) } else { _ = stored.withLock { $0.insert(id) } }
                        let found = try machine.findings()
                        if !found.isEmpty { failures.withLock { $0.append("\(found)") } }
                    }
                } catch { failures.withLock { $0.append("\(error)") } }
            }
        }
        for thread in threads { thread.join() }
        #expect(failures.withLock { $0 } == [])
        #expect(Set(try machine.file.load().snapshots.keys) == stored.withLock { $0 })
    }

    @Test("Clocks that jump change nothing but what is said of times", arguments: [Int64(-1_800_000_000), -400_000_000, 4_000_000_000])
    func clocks(jump: Int64) throws {
        let id = try machine.snapshot(files)
        machine.clock.withLock { $0 += jump }
        world.now.withLock { $0 += jump }
        #expect(try machine.findings().isEmpty)
        let gone = try other.snapshot(["x": [1]])
        #expect(try machine.findings().isEmpty)
        try Forgetting(other.open()).remove([gone])
        #expect(try machine.findings().isEmpty)
        machine.clock.withLock { $0 -= 2 * jump }
        try world.store.delete(SnapshotObject.key(id))
        #expect(try machine.missing() == [id])
    }

    @Test("Who knows why something is missing accepts it, with a full key for all machines")
    func accepted() throws {
        try machine.snapshot(files)
        let image = try StoreImage(world.store)
        let id = try machine.snapshot(["b": [1]])
        #expect(try other.findings().isEmpty)
        try image.restore(to: world.store)
        #expect(try machine.missing() == [id])
        let repository = try machine.open()
        #expect(try repository.freshness?.accept(repository).count == 1)
        #expect(repository.freshness?.findings == [])
        #expect(try machine.findings().isEmpty)
        #expect(try other.findings().isEmpty)
        _ = try Collector(machine.open(), options: CollectionWorld.eager).run()
    }

    @Test("A memory that does not read is set aside, said once, and begun anew")
    func damagedMemory() throws {
        try machine.snapshot(files)
        let path = machine.file.path
        try LocalFolder.replace(path, with: [1, 2, 3])
        #expect(try machine.findings().isEmpty)
        #expect(machine.problems.withLock { $0.map(\.code) } == [.damaged])
        #expect(LocalFolder.contents(path + ".damaged", atMost: 10) == [1, 2, 3])
        #expect(try machine.file.load().snapshots.count == 1)
    }

    // MARK: Config

    @Test("An older config is noticed, and nothing is sealed to it")
    func olderConfig() throws {
        _ = try machine.open()
        var keys = world.keys
        let image = try StoreImage(world.store)
        try keys.rotate(in: world.store)
        _ = try machine.open()
        try image.restore(to: world.store)
        let repository = try machine.open()
        #expect(repository.freshness?.findings == [.olderConfig(generation: 1, seen: 2, lastSeen: 1_800_000_000)])
        #expect(throws: RepoError.self) { try repository.requireLatestConfig(to: "store a snapshot") }
        _ = try repository.freshness?.accept(repository)
        #expect(try machine.open().freshness?.findings == [])
    }

    @Test("A config that others changed several times follows; one that was changed after it was put back does not", arguments: [1, 2, 3])
    func otherConfig(changes: Int) throws {
        var keys = world.keys
        try keys.rotate(in: world.store)
        _ = try machine.open()
        let image = try StoreImage(world.store)
        for _ in 0..<changes { try keys.rotate(in: world.store) }
        #expect(try machine.open().freshness?.findings == [])
        try image.restore(to: world.store)
        var forked = try RememberingMachine(world).open().keys
        for _ in 0..<changes { try forked.rotate(in: world.store) }
        let seen = UInt64(2 + changes)
        #expect(try machine.open().freshness?.findings == [.otherConfig(generation: seen, seen: seen, lastSeen: 1_800_000_000)])
        try forked.rotate(in: world.store)
        #expect(try machine.open().freshness?.findings == [.otherConfig(generation: seen + 1, seen: seen, lastSeen: 1_800_000_000)])
        try forked.rotate(in: world.store)
        #expect(try machine.open().freshness?.findings == [.otherConfig(generation: seen + 2, seen: seen, lastSeen: 1_800_000_000)])
    }

    @Test("A config that lags behind its generations after a crash is none")
    func laggingConfig() throws {
        let before = try world.store.get(ConfigHistory.key, atMost: 1 << 20)
        var keys = world.keys
        try keys.rotate(in: world.store)
        _ = try machine.open()
        try world.store.put(ConfigHistory.key, before, .replace)
        let repository = try machine.open()
        #expect(repository.freshness?.findings == [])
        #expect(repository.keys.config.generation == 2)
    }
}

/// Alters one name of the listings of snapshots that it tells in all.
private final class AlteringListings: Store {
    private let base: any Store
    private let altered: Int
    private let isDigit: Bool
    private let count = Monitor(0)

    init(_ base: any Store, altered: Int, toDigit isDigit: Bool) { (self.base, self.altered, self.isDigit) = (base, altered, isDigit) }

    var location: String { base.location }
    func put(_ key: StoreKey, _ bytes: UnsafeRawBufferPointer, _ mode: PutMode) throws { try base.put(key, bytes, mode) }
    func read(_ key: StoreKey, at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        try base.read(key, at: offset, into: buffer)
    }
    func stat(_ key: StoreKey) throws -> StoredObject? { try base.stat(key) }
    func list(_ prefix: String, _ body: (StoredObject) throws -> Void) throws {
        try base.list(prefix) { object in
            guard object.key.description.hasPrefix("snapshots/"), count.withLock({ count in
                count += 1
                return count - 1 == altered
            }) else { return try body(object) }
            var name = Array(object.key.description.utf8)
            // A digit of the id becomes another one, or none.
            name[20] = UInt8(ascii: !isDigit ? "x" : name[20] == UInt8(ascii: "7") ? "8" : "7")
            try body(StoredObject(key: StoreKey(String(decoding: name, as: UTF8.self)), size: object.size, modified: object.modified, availability: object.availability))
        }
    }
    func makeDurable(_ key: StoreKey) throws { try base.makeDurable(key) }
    func delete(_ key: StoreKey) throws { try base.delete(key) }
}
