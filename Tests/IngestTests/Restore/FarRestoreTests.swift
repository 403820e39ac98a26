import BlobEngine
import Glibc
import RepoBase
import Storage
import StorageTesting
import Testing

@testable import Ingest
@testable import Repository

/// Restores from a store to which each question takes a round trip.
@Suite("Restores from far away")
struct FarRestoreTests {
    private let fixture: RestoreFixture
    private let root: BlobID

    init() throws {
        fixture = try RestoreFixture()
        var generator = SeededGenerator(seed: 8)
        for name in 0..<30 {
            let bytes = [UInt8](unsafeUninitializedCapacity: 800_000) { buffer, count in
                for place in stride(from: 0, to: 800_000, by: 8) {
                    UnsafeMutableRawBufferPointer(buffer).storeBytes(of: generator.next(), toByteOffset: place, as: UInt64.self)
                }
                count = 800_000
            }
            fixture.source.write(Array("file\(name)".utf8), bytes)
        }
        root = try fixture.snapshot().root
    }

    private func restore(through store: any Store) throws -> RestoreResult {
        var options = RestoreOptions()
        options.usesNumericOwners = true
        let repository = try OpenRepository(
            store: store, keys: fixture.repository.keys, cacheDirectory: fixture.place.text("far"),
            objects: ObjectCache(folder: fixture.place.text("far/objects"), limit: 64 << 20), isRemote: true)
        return try Restorer(repository, root: root, target: fixture.target, options: options).run()
    }

    @Test("Everything comes in a few long reads")
    func fewReads() throws {
        let store = CountingStore(fixture.store)
        #expect(try restore(through: store).problems.isEmpty)
        #expect(try FileManifest(fixture.restored) == FileManifest(fixture.source.path))
        let packs = try fixture.store.list("packs/")
        let longest = packs.reduce(0) { $0 + ($1.size + UInt64(PackRange.limit) - 1) / UInt64(PackRange.limit) + 1 }
        #expect(store.counts[.read] <= Int(longest) + packs.count, "\(store.counts[.read]) reads of \(packs.count) packs")
    }

    @Test("What was altered on the way once is read again, and nothing is wrong")
    func alteredOnce() throws {
        let altered = Monitor(0)
        // The blob that was hit is read again by itself.
        let store = AlteringStore(fixture.store) { count in
            guard count > 1 << 20 else { return false }
            altered.withLock { $0 += 1 }
            return true
        }
        #expect(try restore(through: store).problems.isEmpty)
        #expect(try FileManifest(fixture.restored) == FileManifest(fixture.source.path))
        #expect(altered.withLock { $0 } > 1)
    }

    @Test("What is damaged where it lies is named, and everything else restored")
    func damaged() throws {
        let key = try #require(try fixture.store.list("packs/").max { $0.size < $1.size }).key
        var bytes = try fixture.store.get(key, atMost: 1 << 28)
        bytes[bytes.count / 2] ^= 1
        try fixture.store.put(key, bytes, .replace)
        let result = try restore(through: fixture.store)
        #expect(result.problems.count == 1 && result.hasDamage, "\(result.problems)")
        #expect(try FileManifest(fixture.restored).items.count == 29)
    }

    @Test("A store that is gone ends it with what the store said", .timeLimit(.minutes(10)))
    func gone() throws {
        let store = FaultingStore(fixture.store) { operation in
            operation.kind == .read && operation.ordinal > 3 ? .failBefore(RepoError(.unreachable, "gone")) : nil
        }
        #expect { try restore(through: store) } throws: { ($0 as? RepoError)?.code == .unreachable }
    }

    @Test("Stretches grow over small gaps, in one pack, up to a limit")
    func stretches() throws {
        let (pack, other) = (ObjectHasher.hash([1]), ObjectHasher.hash([2]))
        let first = PackRange(pack: pack, offset: 1000, count: 500)
        let gap = PackRange.gapLimit
        #expect(first.extended(to: PackRange(pack: pack, offset: 1500, count: 100))?.bytes == 1000..<1600)
        #expect(first.extended(to: PackRange(pack: pack, offset: 1500 + gap, count: 100))?.bytes == 1000..<1600 + gap)
        #expect(first.extended(to: PackRange(pack: pack, offset: 1501 + gap, count: 100)) == nil)
        #expect(first.extended(to: PackRange(pack: other, offset: 1500, count: 100)) == nil)
        #expect(first.extended(to: PackRange(pack: pack, offset: 900, count: 100)) == nil)
        #expect(first.extended(to: PackRange(pack: pack, offset: 1200, count: 100)) == first, "within")
        #expect(first.extended(to: PackRange(pack: pack, offset: 1500, count: PackRange.limit - 500))?.bytes.count == PackRange.limit)
        #expect(first.extended(to: PackRange(pack: pack, offset: 1500, count: PackRange.limit - 499)) == nil)
    }
}

/// Flips a bit of what some reads of packs give, by how many bytes they give.
private struct AlteringStore: Store {
    private let base: any Store
    private let alters: @Sendable (Int) -> Bool

    init(_ base: any Store, alters: @escaping @Sendable (Int) -> Bool) { (self.base, self.alters) = (base, alters) }

    var location: String { base.location }

    func read(_ key: StoreKey, at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        let count = try base.read(key, at: offset, into: buffer)
        if key.description.hasPrefix("packs/"), count > 0, alters(count) { buffer[count / 2] ^= 4 }
        return count
    }

    func put(_ key: StoreKey, _ bytes: UnsafeRawBufferPointer, _ mode: PutMode) throws { try base.put(key, bytes, mode) }
    func stat(_ key: StoreKey) throws -> StoredObject? { try base.stat(key) }
    func list(_ prefix: String, _ body: (StoredObject) throws -> Void) throws { try base.list(prefix, body) }
    func makeDurable(_ key: StoreKey) throws { try base.makeDurable(key) }
    func delete(_ key: StoreKey) throws { try base.delete(key) }
}
