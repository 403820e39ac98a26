import BlobEngine
import RepoBase
import RepositoryTesting
import Storage
import Testing

@testable import Repository

/// Reads of a part of an object that a network alters on the way: nothing but what is sealed in them tells.
@Suite("Altered reads") struct AlteredReadTests {
    /// Flips a bit of the n-th read of a pack.
    private final class AlteringReads: Store {
        private let base: any Store
        private let altered: Int
        private let count = Monitor(0)

        init(_ base: any Store, altered: Int) { (self.base, self.altered) = (base, altered) }

        var reads: Int { count.withLock { $0 } }
        var location: String { base.location }
        func put(_ key: StoreKey, _ bytes: UnsafeRawBufferPointer, _ mode: PutMode) throws { try base.put(key, bytes, mode) }
        func read(_ key: StoreKey, at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
            let got = try base.read(key, at: offset, into: buffer)
            guard key.description.hasPrefix("packs/"), got > 0 else { return got }
            let isAltered = count.withLock { count in
                defer { count += 1 }
                return count == altered
            }
            if isAltered { buffer[got / 2] ^= 1 }
            return got
        }
        func stat(_ key: StoreKey) throws -> StoredObject? { try base.stat(key) }
        func list(_ prefix: String, _ body: (StoredObject) throws -> Void) throws { try base.list(prefix, body) }
        func makeDurable(_ key: StoreKey) throws { try base.makeDurable(key) }
        func delete(_ key: StoreKey) throws { try base.delete(key) }
    }

    @Test("A prune that rewrites packs, and a copy to other keys or the same, call nothing damaged for it", arguments: [true, false])
    func prunesAndCopies(sameKeys: Bool) throws {
        var altered = 0
        while true {
            let world = try CollectionWorld()
            var numbers = SeededNumbers(seed: 4)
            let kept = numbers.bytes(60_000)
            let gone = try world.snapshot(["a": kept, "b": numbers.bytes(50_000)])
            try world.snapshot(["a": kept, "c": numbers.bytes(10_000)])
            let store = AlteringReads(world.store, altered: altered)
            func open() throws -> OpenRepository {
                try OpenRepository(store: store, keys: world.keys, cacheDirectory: world.makeCache(), isRemote: true)
            }
            try world.forget(gone)
            let pruned = try Collector(open(), options: CollectionWorld.eager).run()
            #expect(pruned.problems.isEmpty && pruned.packsRewritten > 0, "\(altered): \(pruned.problems)")
            let there = MemoryStore()
            let destination: OpenRepository
            if sameKeys {
                try TwinRepository.create(in: there, of: world.open())
                destination = try OpenRepository(store: there, keys: world.keys, cacheDirectory: world.makeCache())
            } else {
                let other = try CollectionWorld()
                destination = try other.open()
            }
            let copied = try RepositoryCopy(from: open(), to: destination).run(SnapshotCatalog(open()).all())
            #expect(copied.failures.isEmpty && copied.copied.count == 1, "\(altered): \(copied.failures)")
            try world.verify()
            if altered >= store.reads { break }
            altered += 1
        }
        #expect(altered > 3)
    }
}
