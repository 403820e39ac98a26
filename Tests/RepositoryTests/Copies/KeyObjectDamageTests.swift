import BlobEngine
import RepoBase
import RepositoryTesting
import Storage
import Testing

@testable import Repository

/// Without its object a key opens nothing, and nobody who uses another key every day would notice.
@Suite("Damaged objects of keys") struct KeyObjectDamageTests {
    private let world: CollectionWorld
    private let there = MemoryStore(location: "there")
    private let key: StoreKey
    private let whole: [UInt8]

    init() throws {
        world = try CollectionWorld()
        key = WrappedKey.storeKey(world.keys.keyID)
        whole = try world.store.get(key, atMost: WrappedKey.byteLimit)
        try TwinRepository.create(in: there, of: world.open())
    }

    /// One bit of what is sealed, of which nobody can tell but whoever opens it.
    private func damage(_ store: any Store) throws {
        var bytes = whole
        bytes[100] ^= 1
        try store.put(key, bytes, .replace)
    }

    private func twin() throws -> OpenRepository { try OpenRepository(store: there, keys: world.keys, cacheDirectory: world.makeCache()) }

    private func check(_ repository: OpenRepository) throws -> [String] {
        var options = RepositoryCheck.Options()
        options.endorsesPacks = false
        return try RepositoryCheck(repository, options: options).run().errors.map(\.object)
    }

    @Test("A check by another key names it") func named() throws {
        #expect(try check(world.open()) == [])
        try damage(world.store)
        #expect(try check(world.open()) == ["\(key)"])
    }

    @Test("A copy sends what is whole, and never a damaged key over a whole one") func notSpread() throws {
        try damage(world.store)
        let machine = RememberingMachine(world)
        let id = try machine.snapshot(["a": [1, 2, 3]])
        let copy = RepositoryCopy(from: try world.open(), to: try twin())
        try copy.prepare()
        let outcome = try copy.run(SnapshotCatalog(world.open()).all())
        #expect(outcome.copied.map(\.source) == [id])
        #expect(try there.get(key, atMost: WrappedKey.byteLimit) == whole)
        #expect(try check(twin()) == [])
    }

    @Test("A copy is not made with a damaged key") func notMade() throws {
        try damage(world.store)
        let error = #expect(throws: RepoError.self) { try TwinRepository.create(in: MemoryStore(location: "another"), of: world.open()) }
        #expect(error?.code == .damaged && error?.message.contains("\(key)") == true, "\(String(describing: error))")
    }

    @Test("What a key was locked with anew reaches the copy") func changed() throws {
        let new = WrappedKey.wrap(world.keys.payload, machineSecret: .random(32))
        try world.store.put(key, new, .replace)
        #expect(try check(world.open()) == [])
        try RepositoryCopy(from: world.open(), to: twin()).prepare()
        #expect(try there.get(key, atMost: WrappedKey.byteLimit) == new)
    }
}
