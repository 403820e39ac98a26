import BlobEngine
import RepoBase
import Storage
import StorageTesting
import Testing

@testable import Repository

@Suite struct RotationTests {
    private static func epochs(_ repository: OpenRepository) throws -> Set<UInt32> {
        Set(try repository.reloadIndex().tables.flatMap { $0.packs.map(\.seal.epoch) })
    }

    @Test func aPruneThatEndsARotationLeavesNoPackOfAnEarlierEpoch() throws {
        let repository = try CheckedRepository()
        defer { repository.remove() }
        let files = ["a": testBytes(90_000, seed: 1), "d/b": testBytes(40_000, seed: 2)]
        let id = try repository.snapshot(files)
        var keys = repository.keys
        _ = try keys.rotate(in: repository.store)
        let rotated = try repository.opened(with: keys)
        defer { rotated.remove() }
        var options = CollectionOptions()
        let open = try rotated.open()
        _ = try Collector(open, options: options).run()
        #expect(try Self.epochs(open) == [1], "within the tolerated share nothing is copied")
        options.endsRotation = true
        let outcome = try Collector(open, options: options).run()
        #expect(outcome.condemned.allSatisfy { $0.reason.contains("epoch 1") })
        #expect(try Self.epochs(open) == [2])
        #expect(try rotated.read(id).mapValues { try $0.get() } == files)
        #expect(try rotated.check().errors == [])
        #expect(try Collector(open, options: options).run().condemned.isEmpty)
    }

    /// It died when the new generation stood below `configs/` and not yet in `config`. Machine keys, which open in a moment, do not look for that.
    @Test(arguments: [true, false]) func aPruneOrACheckFinishesAnInterruptedRotation(prunes: Bool) throws {
        let repository = try CheckedRepository()
        defer { repository.remove() }
        try repository.snapshot(["a": testBytes(10_000, seed: 1)])
        var keys = repository.keys
        let dying = FaultingStore(repository.store) { $0.kind == .put && $0.name == "config" ? .dieBefore : nil }
        #expect(throws: ProcessDied.self) { try keys.rotate(in: dying) }
        if prunes { _ = try Collector(repository.open()).run() }
        let report = try repository.check()
        #expect(report.errors == [] && report.hasFinishedKeyChange == !prunes)
        let latest = try repository.store.get(StoreKey("configs/00000002"), atMost: 1 << 20)
        #expect(try repository.store.get(StoreKey("config"), atMost: 1 << 20) == latest)
    }

    @Test func packsOfEarlierEpochsAreRewrittenFirst() throws {
        let repository = try CheckedRepository()
        defer { repository.remove() }
        let keep = testBytes(150_000, seed: 1)
        let gone = try repository.snapshot(["keep": keep, "go": testBytes(50_000, seed: 2)])
        var keys = repository.keys
        _ = try keys.rotate(in: repository.store)
        let rotated = try repository.opened(with: keys)
        defer { rotated.remove() }
        let other = testBytes(120_000, seed: 3)
        let alsoGone = try rotated.snapshot(
            ["other": other, "more": testBytes(80_000, seed: 4)], source: "b")
        try rotated.snapshot(["keep": keep], source: "c")
        try rotated.snapshot(["other": other], source: "d")
        for id in [gone, alsoGone] { try repository.store.delete(SnapshotObject.key(id)) }
        // 130,000 of 400,000 bytes are dead, less of the old pack's than of the new one's. One is enough.
        var options = CollectionOptions()
        options.maximumUnused = 0.25
        options.isDryRun = true
        let plan = try Collector(try rotated.open(), options: options).run()
        let view = try rotated.open().index()
        let old = Set(
            view.tables.flatMap(\.packs).filter { $0.seal.epoch == 1 }.map { "\(PackObject.key($0.id))" })
        let rewritten = plan.condemned.filter { $0.reason.contains("the rest was copied") }
        #expect(!rewritten.isEmpty)
        #expect(rewritten.allSatisfy { old.contains($0.object) })
    }

    @Test func aDryRunTakesNamedSnapshotsAsGone() throws {
        let repository = try CheckedRepository()
        defer { repository.remove() }
        let gone = try repository.snapshot(["a": testBytes(90_000, seed: 1)], source: "one")
        try repository.snapshot(["b": testBytes(90_000, seed: 2)], source: "two")
        var options = CollectionWorld.eager
        options.isDryRun = true
        #expect(try Collector(try repository.open(), options: options).run().condemned.isEmpty)
        options.withoutSnapshots = [gone]
        #expect(try Collector(try repository.open(), options: options).run().bytesFreed > 60_000)
        options.isDryRun = false
        #expect(try Collector(try repository.open(), options: options).run().condemned.isEmpty)
    }
}
