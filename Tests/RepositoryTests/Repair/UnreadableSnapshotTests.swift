import BlobEngine
import Policy
import RepoBase
import Storage
import Testing

@testable import Repository

/// A snapshot whose own object is damaged stood in the way of `forget` and `prune` for ever.
@Suite struct UnreadableSnapshotTests {
    private static func make() throws -> (
        repository: CheckedRepository, good: ObjectID, bad: ObjectID, bytes: [UInt8]
    ) {
        let repository = try CheckedRepository()
        let good = try repository.snapshot(["a": testBytes(50_000, seed: 1)])
        let bad = try repository.snapshot(["b": testBytes(50_000, seed: 2)], second: 2000)
        var bytes = try repository.store.get(SnapshotObject.key(bad), atMost: 1 << 20)
        bytes[bytes.count / 2] ^= 1
        try repository.store.put(SnapshotObject.key(bad), bytes, .replace)
        return (repository, good, bad, bytes)
    }

    private static func failure(_ body: () throws -> Void) -> RepoError? {
        do { try body() } catch { return error as? RepoError }
        return nil
    }

    private static func forget(_ repository: CheckedRepository) throws {
        let rules = RetentionPreset.standard.rules
        let now = try Timestamp(seconds: 3000, nanoseconds: 0)
        _ = try Forgetting(repository.open()).decide(rules, now: now, zone: FixedOffset.utc)
    }

    private static func prune(_ repository: CheckedRepository) throws {
        _ = try Collector(repository.open(), options: CollectionWorld.eager).run()
    }

    @Test func itIsNamedWithTheCommandThatHelpsAndThenNoLongerInTheWay() throws {
        let (repository, good, bad, bytes) = try Self.make()
        defer { repository.remove() }
        for blocked in [Self.forget, Self.prune] {
            let error = try #require(Self.failure { try blocked(repository) })
            #expect(error.code == .damaged)
            #expect(error.message.contains("snapshots/\(bad)"))
            #expect(error.advice.contains("repo repair snapshots \(bad.short)"))
        }
        let packs = try repository.keys(PackObject.prefix).count
        let aside = try SnapshotRepair(repository.open()).setAsideUnreadable()
        #expect(aside.map(\.id) == [bad])
        #expect(aside.first?.leftBecause == nil)
        #expect(try repository.store.stat(SnapshotObject.key(bad)) == nil)
        #expect(try repository.store.get(StoreKey("damaged/\(bad)"), atMost: 1 << 20) == bytes)
        let actions = try repository.keys(Journal.prefix).map {
            try SealedRecord.decode(
                .journal, try repository.store.get($0, atMost: 1 << 20), object: "\($0)",
                keyRing: repository.keys
            ).fields
        }
        #expect(
            actions.contains { $0.action == "repair snapshots: set aside" && $0.subjectTexts == ["\(bad)"] })
        try Self.forget(repository)
        try Self.prune(repository)
        #expect(try repository.keys(PackObject.prefix).count < packs, "what it alone needed is freed")
        #expect(try repository.check().errors == [])
        #expect(try repository.read(good)["a"]?.get() == testBytes(50_000, seed: 1))
        #expect(try SnapshotRepair(repository.open()).setAsideUnreadable().isEmpty)
    }

    @Test func aHeldOneStays() throws {
        let (repository, _, bad, _) = try Self.make()
        defer { repository.remove() }
        try Holds(repository.open()).add(bad, reason: "case 1")
        for ids in [nil, [bad]] {
            let aside = try SnapshotRepair(repository.open()).setAsideUnreadable(ids)
            #expect(aside.first?.leftBecause?.contains("repo hold remove") == true)
        }
        #expect(try repository.store.stat(SnapshotObject.key(bad)) != nil)
        try Holds(repository.open()).remove(try SnapshotCatalog(repository.open()).identify(bad.short))
        #expect(try SnapshotRepair(repository.open()).setAsideUnreadable().first?.leftBecause == nil)
    }

    /// Another program's or another key's: not damaged as far as one can tell, so it must be named.
    @Test func oneThatIsAsItWasWrittenMustBeNamed() throws {
        let repository = try CheckedRepository()
        defer { repository.remove() }
        try repository.snapshot(["a": [1]])
        var bytes = try repository.store.get(try repository.keys(SnapshotObject.prefix)[0], atMost: 1 << 20)
        bytes[8] = 2
        let id = ObjectHasher.hash(bytes)
        try repository.store.put(SnapshotObject.key(id), bytes, .create)
        let repair = SnapshotRepair(try repository.open())
        let left = try repair.setAsideUnreadable()
        #expect(left.map(\.id) == [id])
        #expect(left.first?.leftBecause?.contains(id.short) == true)
        #expect(try repository.store.stat(SnapshotObject.key(id)) != nil)
        #expect(try repair.setAsideUnreadable([id]).first?.leftBecause == nil)
        #expect(try repository.store.stat(SnapshotObject.key(id)) == nil)
    }
}
