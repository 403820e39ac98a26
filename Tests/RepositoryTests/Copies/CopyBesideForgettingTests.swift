import RepoBase
import RepositoryTesting
import Storage
import Testing

@testable import Repository

/// Snapshots that are let go in the source, or in the copy, while a copy of them is under way.
@Suite("Copies beside forgetting") struct CopyBesideForgettingTests {
    @Test("A snapshot that is let go here, or there, while it is copied ends no copy", arguments: [SnapshotObject.prefix, "packs/", "index/"], [true, false])
    func letGo(whileListing prefix: String, here: Bool) throws {
        let world = try CollectionWorld()
        let machine = RememberingMachine(world)
        let ids = try (0..<3).map { try machine.snapshot(["a": [UInt8]("number \($0)".utf8)]) }
        let there = MemoryStore()
        try TwinRepository.create(in: there, of: world.open())
        func destination(_ store: any Store) throws -> OpenRepository {
            try OpenRepository(store: store, keys: world.keys, cacheDirectory: "\(machine.folder)/\(UInt64.random(in: 0 ... .max))", freshness: nil)
        }
        let entries = try SnapshotCatalog(world.open()).all()
        let first = try RepositoryCopy(from: world.open(), to: destination(there)).run(Array(entries.prefix(1)))
        #expect(first.copied.map(\.source) == [ids[0]])
        let isDone = Monitor(false)
        let during = DuringListing(there, prefix: prefix) {
            guard !isDone.withLock({ done in
                defer { done = true }
                return done
            }) else { return }
            // One that the copy was told to send, or one that is there already.
            try Forgetting(here ? world.open() : destination(there)).remove([ids[here ? 1 : 0]])
        }
        let outcome = try RepositoryCopy(from: world.open(), to: destination(during)).run(entries)
        #expect(outcome.failures.isEmpty)
        #expect(isDone.withLock { $0 })
        let present = try Set(SnapshotCatalog(destination(there)).all().map(\.id))
        #expect(present.isSuperset(of: here ? [ids[0], ids[2]] : [ids[1], ids[2]]))
        #expect(try RepositoryCheck(destination(there)).run().isClean)
    }

    /// Until the next copy nothing there could open them; and if the repository that they came from is lost, there is none.
    @Test("What was stored under keys that came after a copy had begun reads in the copy", arguments: [false, true])
    func rotated(mostOfIt: Bool) throws {
        let world = try CollectionWorld()
        let machine = RememberingMachine(world)
        try machine.snapshot(["a": [1]])
        let there = MemoryStore()
        try TwinRepository.create(in: there, of: world.open())
        var old = world.keys
        let elsewhere = DuringListing(there, prefix: "-", location: "elsewhere") {}
        func destination() throws -> OpenRepository { try OpenRepository(store: elsewhere, keys: old, cacheDirectory: world.makeCache()) }
        let source = try world.open()
        let copy = RepositoryCopy(from: source, to: try destination())
        try copy.prepare()
        var keys = world.keys
        _ = try keys.rotate(in: world.store)
        var numbers = SeededNumbers(seed: 9)
        let files: CollectionWorld.Files = ["b": numbers.bytes(mostOfIt ? 40_000 : 10)]
        let id = try SnapshotTaking(OpenRepository(store: world.store, keys: keys, cacheDirectory: world.makeCache()), files, source: "files").run()
        let outcome = try copy.run(SnapshotCatalog(source).all())
        #expect(outcome.copied.contains { $0.source == id })
        // By what the copy alone has.
        old = try KeyRing(payload: old.payload, config: RepositoryConfig.verified(ConfigHistory.read(there), object: "config", authority: old.authority))
        #expect(try SnapshotReading(destination()).files(id) == files)
        #expect(try RepositoryCheck(destination()).run().isClean)
    }
}
