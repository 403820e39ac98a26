import BlobEngine
import RepoBase
import RepositoryTesting
import Storage
import StorageTesting
import Testing

@testable import Repository

/// Keys that others add and epochs that others begin while a process runs.
@Suite struct RefreshedKeyRingTests {
    /// What a process with newer keys stores was damaged to one that had started before.
    @Test func whatIsSealedAfterARotationReadsInAProcessOfBefore() throws {
        let repository = try CheckedRepository()
        defer { repository.remove() }
        try repository.snapshot(["a": testBytes(50_000, seed: 1)])
        let early = try repository.open()
        _ = try early.index()

        var keys = repository.keys
        _ = try keys.rotate(in: repository.store)
        let other = try keys.addMachineKey(to: repository.store)
        let later = try repository.opened(with: try KeyRing.open(repository.store, other.credentials))
        defer { later.remove() }
        let id = try later.snapshot(["a": testBytes(60_000, seed: 2)], second: 2000)
        try Holds(later.open()).add(id, reason: "why")

        let snapshot = try SnapshotCatalog(early).read(id).snapshot
        try early.reloadIndex()
        #expect(try SnapshotReading(early).files(id) == ["a": testBytes(60_000, seed: 2)])
        #expect(try Holds(early).list().map(\.snapshot) == [id])
        #expect(early.keys.config.generation > 1)
        let index = try early.index()
        #expect(
            index.containsForDeduplication(snapshot.root),
            "the new key is a full one, so its packs are rested on")
    }

    @Test func recordsOfNewKeysAreRead() throws {
        let repository = try CheckedRepository()
        defer { repository.remove() }
        try repository.snapshot(["a": [1]])
        let early = try repository.open()
        var keys = repository.keys
        _ = try keys.rotate(in: repository.store)
        let later = try repository.opened(with: keys)
        defer { later.remove() }
        try CollectionRecord.write(StoreKey("gc/00000001/condemned"), [RandomBytes.make(32)], later.open())
        #expect(try early.reloadIndex().condemned.count == 1)
        let report = try RepositoryCheck(try repository.open()).run()
        #expect(report.errors == [])
    }

    /// A process that could not ask called whole objects damaged, and told people to look for damage.
    @Test func keysThatCannotBeAskedForAreNoDamage() throws {
        let repository = try CheckedRepository()
        defer { repository.remove() }
        try repository.snapshot(["a": [1]])
        let isAway = Monitor(false)
        let store = FaultingStore(repository.store) { operation in
            isAway.withLock { $0 } && operation.name.hasPrefix("configs/") ? .failBefore(RepoError(.unreachable, "away")) : nil
        }
        let early = try OpenRepository(store: store, keys: repository.keys, cacheDirectory: repository.cache + "/early")
        var keys = repository.keys
        _ = try keys.rotate(in: repository.store)
        let later = try repository.opened(with: keys)
        defer { later.remove() }
        let id = try later.snapshot(["a": [2]], second: 2000)
        isAway.withLock { $0 = true }
        #expect(code { _ = try SnapshotCatalog(early).read(id) } == .unreachable)
        #expect(code { _ = try early.index() } == .unreachable)
        isAway.withLock { $0 = false }
        #expect(try SnapshotReading(early).files(id) == ["a": [2]])
    }

    @Test func whatNoGenerationKnowsStaysDamage() throws {
        let repository = try CheckedRepository()
        defer { repository.remove() }
        let open = try repository.open()
        #expect(open.epochKeys(99) == nil)
        let stranger = SigningKey.generate()
        #expect(open.verifyingKey(stranger.id) == nil)
        let record = SealedRecord.encode(
            .collection, RecordFields(time: 1), epoch: repository.keys.currentEpoch, signer: stranger)
        try repository.store.put(StoreKey("gc/00000001/condemned"), record, .create)
        #expect(code { _ = try open.index() } == .damaged)
    }
}
