import RepoBase
import RepositoryTesting
import Storage
import StorageTesting
import Testing

@testable import Repository

/// Copies from where nothing can be stored: a read-only mount, a full disk, credentials that may only read.
@Suite("Copies from what cannot be written") struct UnregisteredCopyTests {
    /// An empty repository to copy to: a twin, or one with keys of its own.
    private static func destination(of world: CollectionWorld, isTwin: Bool) throws -> (store: MemoryStore, keys: KeyRing) {
        let store = MemoryStore()
        guard !isTwin else {
            try TwinRepository.create(in: store, of: world.open())
            return (store, world.keys)
        }
        return (store, try RepositoryCreation.create(in: store, .machine, profiles: world.keys.config.profiles).keyRing)
    }

    @Test("What a copy reads need not be writable, which is told once", arguments: [true, false], [RepoError.Code.failed, .storeFull])
    func copied(isTwin: Bool, code: RepoError.Code) throws {
        let world = try CollectionWorld()
        let files: CollectionWorld.Files = ["a": [UInt8](repeating: 3, count: 50_000)]
        try world.snapshot(files)
        let (there, keys) = try Self.destination(of: world, isTwin: isTwin)
        let elsewhere = DuringListing(there, prefix: "-", location: "elsewhere") {}
        func open() throws -> OpenRepository { try OpenRepository(store: elsewhere, keys: keys, cacheDirectory: world.makeCache()) }
        let told = Monitor<[RepoError]>([])
        let copy = RepositoryCopy(
            from: try world.open(UnwritableStore(world.store, code)), to: try open(), onUnregistered: { error in told.withLock { $0.append(error) } })
        try copy.prepare()
        let outcome = try copy.run(SnapshotCatalog(world.open()).all())
        #expect(outcome.failures.isEmpty && outcome.copied.count == 1)
        #expect(told.withLock { $0 }.map(\.code) == [code])
        #expect(try SnapshotReading(open()).files(outcome.copied[0].destination) == files)
        #expect(try there.list("writers/").isEmpty)
    }

    @Test("A store that does not answer ends the copy before anything is sent")
    func unreachable() throws {
        let world = try CollectionWorld()
        try world.snapshot(["a": [1]])
        let (there, keys) = try Self.destination(of: world, isTwin: true)
        let copy = RepositoryCopy(
            from: try world.open(UnwritableStore(world.store, .unreachable)), to: try OpenRepository(store: there, keys: keys, cacheDirectory: world.makeCache()))
        #expect(throws: RepoError.self) { try copy.run(SnapshotCatalog(world.open()).all()) }
        #expect(try there.list("packs/").isEmpty && there.list("writers/").isEmpty)
    }

    /// Nobody waits for it: packs go while it reads.
    @Test("What a prune takes from it is named or copied whole, never half, and the next copy brings it", arguments: [true, false], ["packs/", "index/", "snapshots/"])
    func pruned(isTwin: Bool, whileListing prefix: String) throws {
        let world = try CollectionWorld()
        var numbers = SeededNumbers(seed: 11)
        let shared = numbers.bytes(60_000)
        let first = try world.snapshot(["old": numbers.bytes(60_000), "shared": shared])
        let wanted = try (0..<3).map { try world.snapshot(["new \($0)": numbers.bytes(60_000), "shared": shared]) }
        let (there, keys) = try Self.destination(of: world, isTwin: isTwin)
        func open(_ store: any Store) throws -> OpenRepository { try OpenRepository(store: store, keys: keys, cacheDirectory: world.makeCache()) }
        let isDone = Monitor(false)
        let before = Set(try world.store.list("packs/").map(\.key))
        let during = DuringListing(there, prefix: prefix) {
            guard !isDone.withLock({ done in
                defer { done = true }
                return done
            }) else { return }
            try world.forget(first)
            try world.pruneToTheEnd()
        }
        let entries = try SnapshotCatalog(world.open()).all().filter { $0.id != first }
        let outcome = try RepositoryCopy(from: world.open(UnwritableStore(world.store, .failed)), to: open(during)).run(entries)
        #expect(isDone.withLock { $0 })
        #expect(try !before.isSubset(of: world.store.list("packs/").map(\.key)), "nothing was taken")
        #expect(outcome.copied.count + outcome.failures.count == wanted.count)
        #expect(try RepositoryCheck(open(there)).run().isClean)
        let rest = try RepositoryCopy(from: world.open(UnwritableStore(world.store, .failed)), to: open(there)).run(entries)
        #expect(rest.failures.isEmpty && rest.copied.count == outcome.failures.count)
        let copies = (outcome.copied + rest.copied).map { ($0.source, $0.destination) }
        for (source, copy) in copies { #expect(try SnapshotReading(open(there)).files(copy) == world.expected[source]) }
        #expect(Set(copies.map(\.0)) == Set(wanted))
    }
}
