import BlobEngine
import RepoBase
import RepositoryTesting
import Storage
import StorageTesting
import Testing

@testable import Repository

/// Processes that were silent until they were fenced and then go on, each between two operations where that once lost a snapshot
/// (docs/reliability.md).
@Suite struct FencedProcessTests {
    private var fencing: CollectionOptions {
        var options = CollectionWorld.eager
        options.fenceAfter = 0
        return options
    }

    /// Lets it go on to its end, whatever that is.
    private func wake(_ process: SteppedProcess, _ world: CollectionWorld, _ files: CollectionWorld.Files? = nil) {
        if let id = try? process.finish(), let files { world.expected[id] = files }
    }

    /// It has published, found its fence and loaded the index when the packs go, and their record, before it looks for what is condemned.
    @Test func aSnapshotIsNotConfirmedByAnIndexOfBefore() throws {
        let world = try CollectionWorld()
        var numbers = SeededNumbers(seed: 50)
        let small = numbers.bytes(3_000)
        try world.snapshot(["b/c": small], source: "other")
        // Its subtree is in one pack with its root, and stays in use; what is in `a` is not.
        let files = ["a": numbers.bytes(30_000), "e/c": small, "e/d": []]
        let first = try world.snapshot(files)
        try world.snapshot(["e/c": small, "e/d": []], source: "another")
        try world.forget(first)
        var options = fencing
        options.maximumUnused = 1
        let writer = try world.startSnapshot(files)
        #expect(writer.advance(toCall: "put snapshots/"))
        let collector = try world.startPrune(options)
        #expect(collector.advance(toCall: "put index/"))
        #expect(writer.advance(toCall: "list gc/"))
        wake(collector, world)
        #expect(try world.store.list("gc/").isEmpty, "the record is finished")
        let error = #expect(throws: RepoError.self) { world.expected[try #require(try writer.finish())] = files }
        #expect(error?.code == .failed)
        try world.verify()
    }

    /// It has stored a pack when it is fenced and the pack goes; then it stores the index segment that names it.
    @Test func aLateSegmentOfASnapshotIsNotRestedOn() throws {
        let world = try CollectionWorld()
        var numbers = SeededNumbers(seed: 51)
        let files = ["a": numbers.bytes(30_000)]
        let writer = try world.startSnapshot(files)
        #expect(writer.advance(toCall: "put index/"))
        #expect(try world.prune(fencing).packsDeleted > 0)
        #expect(try world.store.list("gc/").isEmpty, "the record is finished")
        wake(writer, world, files)
        #expect(try world.open().index().blobCount > 0, "the segment came late")
        try world.snapshot(files)
        try world.verify()
        try world.pruneToTheEnd()
        try world.verify()
        try world.verifyClean()
    }

    /// The same of a collector that puts segments together.
    @Test func aLateSegmentOfACollectorIsNotRestedOn() throws {
        let world = try CollectionWorld()
        var numbers = SeededNumbers(seed: 52)
        let files = ["a": numbers.bytes(30_000)]
        let kept = try world.snapshot(files)
        // In one segment with what stays: that is written anew without what goes.
        _ = try world.prune()
        for number in 0..<20 { try world.snapshot(["\(number)": numbers.bytes(2_000)], source: "\(number)") }
        let late = try world.startPrune()
        #expect(late.advance(toCall: "put index/"))
        try world.forget(kept)
        for _ in 0..<2 { try world.prune(fencing) }
        #expect(try world.store.list("gc/").isEmpty, "the record is finished")
        wake(late, world)
        try world.snapshot(files)
        try world.verify()
    }

    /// It has seen its registration when that is removed, long after it was fenced; then it gives its sign.
    @Test func aSignOfLifeRevivesNoRegistration() throws {
        let world = try CollectionWorld()
        let isLate = Monitor(false)
        let store = FaultingStore(world.store) { [store = world.store] operation in
            guard operation.kind == .put, isLate.withLock({ $0 }) else { return nil }
            for object in try! store.list(WriterRegistration.prefix) { try! store.delete(object.key) }
            return nil
        }
        let registration = try WriterRegistration.begin(try world.open(store))
        defer { registration.end() }
        #expect(try !registration.isFenced())
        isLate.withLock { $0 = true }
        try registration.giveSign()
        #expect(try registration.isFenced())
        // And what it wrote is removed in the end.
        try world.pruneToTheEnd()
        #expect(try world.store.list(WriterRegistration.prefix).isEmpty)
    }

    /// It has listed the writers when its record is armed, swept and finished by another; then it writes its list, while a new record is
    /// being made.
    @Test func aLateListOfWritersArmsNoOtherRecord() throws {
        let world = try CollectionWorld()
        var numbers = SeededNumbers(seed: 53)
        let files = ["a": numbers.bytes(30_000)]
        try world.forget(try world.snapshot(files))
        let late = try world.startPrune()
        #expect(late.advance(toCall: "put gc/", ending: "/writers"))
        #expect(try world.prune(fencing).packsDeleted > 0)
        #expect(try world.store.list("gc/").isEmpty, "the record is finished")
        try world.forget(try world.snapshot(files))
        // The writer rests on what the next collector condemns, and its list has the writer.
        let writer = try world.startSnapshot(files)
        #expect(writer.advance(toCall: "put snapshots/"))
        let collector = try world.startPrune()
        #expect(collector.advance(toCall: "put gc/", ending: "/writers"))
        wake(late, world)
        wake(collector, world)
        world.expected[try #require(try writer.finish())] = files
        try world.verify()
        try world.pruneToTheEnd()
        try world.verify()
        try world.verifyClean()
    }

    /// A listing may see the second of two objects that are created meanwhile and not the first.
    @Test func aRecordThatWasListedInPartIsNoRemains() throws {
        let world = try CollectionWorld()
        let repository = try world.open()
        let name = try GarbageRecord.condemn([ObjectID(words: 1, 2, 3, 4)], repository)
        try GarbageRecord.add(.writers, name, [], repository)
        let partial = try world.open(PartialListings(world.store) { $0.description.hasSuffix("/condemned") })
        let found = try GarbageRecord.all(partial)
        #expect(found.records.map(\.name) == [name])
        #expect(found.remains == [])
        try world.store.delete(GarbageRecord.key(name, .condemned))
        #expect(try GarbageRecord.all(repository).remains == [name])
    }

    @Test func recordsOfTheFirstProgramsAreGoneOnWith() throws {
        let world = try CollectionWorld()
        var numbers = SeededNumbers(seed: 54)
        let files = ["a": numbers.bytes(30_000)]
        try world.forget(try world.snapshot(files))
        let repository = try world.open()
        let packs = try repository.index().tables.flatMap { $0.packs.map(\.id) }
        try CollectionRecord.write(StoreKey("gc/00000007/condemned"), packs.map(\.bytes), repository)
        #expect(try GarbageRecord.all(repository).records.map(\.name) == ["00000007"])
        let next = try GarbageRecord.condemn([ObjectID(words: 1, 2, 3, 4)], repository)
        #expect(next.hasPrefix("00000008-"))
        #expect(next.utf8.count == 25)
        try GarbageRecord.remove(next, repository)
        try world.snapshot(files)
        #expect(try world.prune().packsDeleted == packs.count)
        try world.pruneToTheEnd()
        try world.verify()
        try world.verifyClean()
    }

    /// It dies between publishing and looking for its fence: nobody was told of the snapshot, whose content is gone.
    @Test func aSnapshotThatNobodyWasToldOfIsNamedByAPruneAndRepaired() throws {
        let world = try CollectionWorld()
        var numbers = SeededNumbers(seed: 55)
        let files = ["a": numbers.bytes(30_000)]
        try world.snapshot(["b": numbers.bytes(5_000)], source: "other")
        let isPublishing = Monitor(false)
        let store = FaultingStore(world.store) { operation in
            guard operation.kind == .put, operation.name.hasPrefix(SnapshotObject.prefix) else { return nil }
            isPublishing.withLock { $0 = true }
            return .dieAfter
        }
        let before = Set(try SnapshotCatalog(world.open()).names().ids)
        #expect(throws: (any Error).self) { try SnapshotTaking(world.open(store), files, source: "files").run() }
        #expect(isPublishing.withLock { $0 })
        let dangling = try #require(Set(try SnapshotCatalog(world.open()).names().ids).subtracting(before).first)
        let root = try SnapshotCatalog(world.open()).read(dangling).snapshot.root
        // As a collector leaves it that had looked for snapshots just before.
        let bytes = try world.store.get(SnapshotObject.key(dangling), atMost: 1 << 20)
        try world.store.delete(SnapshotObject.key(dangling))
        try world.prune(fencing)
        try world.store.put(SnapshotObject.key(dangling), bytes, .create)
        #expect(try !world.open().index().contains(root))
        let error = #expect(throws: RepoError.self) { try world.prune(fencing) }
        #expect(error?.code == .damaged)
        #expect(error?.advice.contains("repo repair snapshots") == true)
        let repaired = try SnapshotRepair(world.open()).run(nil, forget: true)
        #expect(repaired.map(\.old) == [dangling])
        #expect(repaired.map(\.new) == [nil], "its root is gone, too")
        try Forgetting(world.open()).remove([dangling])
        try world.pruneToTheEnd()
        try world.verify()
    }
}

/// Listings that miss some objects, as those may that are not one moment's.
struct PartialListings: Store {
    private let base: any Store
    private let isMissed: @Sendable (StoreKey) -> Bool

    init(_ base: any Store, isMissed: @escaping @Sendable (StoreKey) -> Bool) {
        self.base = base
        self.isMissed = isMissed
    }

    var location: String { base.location }

    func put(_ key: StoreKey, _ bytes: UnsafeRawBufferPointer, _ mode: PutMode) throws { try base.put(key, bytes, mode) }

    func read(_ key: StoreKey, at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        try base.read(key, at: offset, into: buffer)
    }

    func stat(_ key: StoreKey) throws -> StoredObject? { try base.stat(key) }

    func list(_ prefix: String, _ body: (StoredObject) throws -> Void) throws {
        try base.list(prefix) { if !isMissed($0.key) { try body($0) } }
    }

    func makeDurable(_ key: StoreKey) throws { try base.makeDurable(key) }

    func delete(_ key: StoreKey) throws { try base.delete(key) }
}
