import BlobEngine
import RepoBase
import RepositoryTesting
import Storage
import Testing

@testable import Repository

/// What a killed snapshot has stored, and not indexed.
@Suite struct OrphanedPacksTests {
    /// Lets everything pass until the process that writes "is killed": then nothing it does has any effect.
    private final class MortalStore: Store {
        let base: MemoryStore
        private let isDead = Monitor(false)
        private let packs: Int
        private let count = Monitor(0)

        init(_ base: MemoryStore, diesAfter packs: Int) {
            self.base = base
            self.packs = packs
        }

        var location: String { base.location }

        func put(_ key: StoreKey, _ bytes: UnsafeRawBufferPointer, _ mode: PutMode) throws {
            guard !isDead.withLock({ $0 }) else { throw RepoError(.failed, "killed") }
            // One pack at a time, so that no more than these get through.
            guard key.description.hasPrefix(PackObject.prefix) else { return try base.put(key, bytes, mode) }
            try count.withLock { count in
                guard count < packs else { throw RepoError(.failed, "killed") }
                try base.put(key, bytes, mode)
                count += 1
                if count == packs { isDead.withLock { $0 = true } }
            }
        }

        func read(_ key: StoreKey, at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) throws
            -> Int
        {
            try base.read(key, at: offset, into: buffer)
        }

        func stat(_ key: StoreKey) throws -> StoredObject? { try base.stat(key) }
        func list(_ prefix: String, _ body: (StoredObject) throws -> Void) throws {
            try base.list(prefix, body)
        }
        func makeDurable(_ key: StoreKey) throws { try base.makeDurable(key) }

        func delete(_ key: StoreKey) throws {
            guard !isDead.withLock({ $0 }) else { return }
            try base.delete(key)
        }
    }

    /// A little more than the first pack.
    private static let content = ["a": bytes(20 << 20)]

    /// Cheap and incompressible.
    private static func bytes(_ count: Int) -> [UInt8] {
        var state: UInt64 = 7
        return [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            for offset in stride(from: 0, to: count, by: 8) {
                state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                UnsafeMutableRawBufferPointer(buffer).storeBytes(
                    of: state ^ state >> 29, toByteOffset: offset, as: UInt64.self)
            }
            filled = count
        }
    }

    /// A repository with so many packs of a killed snapshot.
    private static func killed(after packs: Int = 1) throws -> CheckedRepository {
        let repository = try CheckedRepository()
        let mortal = try OpenRepository(
            store: MortalStore(repository.store, diesAfter: packs), keys: repository.keys,
            cacheDirectory: repository.cache)
        let content = packs == 1 ? content : ["a": bytes(36 << 20)]
        #expect(throws: RepoError.self) { try SnapshotTaking(mortal, content, source: "files").run() }
        #expect(try repository.keys(PackObject.prefix).count == packs)
        #expect(try repository.keys(IndexLoader.prefix).isEmpty)
        return repository
    }

    /// Rewrites the registration as of a process that is gone: this one's id, started at another time.
    private static func bury(_ repository: CheckedRepository) throws {
        for key in try repository.keys(WriterRegistration.prefix) {
            let stamp = JournalStamp.now()
            var fields = RecordFields(time: stamp.time)
            (fields.host, fields.user) = (stamp.host, stamp.user)
            let own = ProcessIdentity.own
            (fields.bootID, fields.processID, fields.processStart) = (
                own.bootID, own.processID, own.start + 1
            )
            try repository.store.put(key, SealedRecord.encode(.writer, fields, by: repository.keys), .replace)
        }
    }

    @Test func theNextSnapshotStoresOnlyTheRest() throws {
        let repository = try Self.killed()
        defer { repository.remove() }
        try Self.bury(repository)
        let stored = try repository.store.list(PackObject.prefix).reduce(0) { $0 + $1.size }
        let id = try SnapshotTaking(try repository.open(), Self.content, source: "files").run()
        let statistics = try SnapshotCatalog(try repository.open()).read(id).snapshot.statistics
        #expect(
            statistics.bytesAdded < (21 << 20) - stored,
            "\(stored) bytes were there, \(statistics.bytesAdded) were added")
        #expect(try repository.check().errors == [])
        #expect(try SnapshotReading(try repository.open()).files(id) == Self.content)
        // Nothing is left to take up the next time.
        let segments = try repository.keys(IndexLoader.prefix)
        _ = try SnapshotTaking(try repository.open(), Self.content, source: "files").run()
        #expect(try repository.keys(IndexLoader.prefix).count <= segments.count + 1)
    }

    @Test func packsOfALiveWriterAreLeftToIt() throws {
        let repository = try Self.killed()
        defer { repository.remove() }
        // Its process is this one.
        let registration = try WriterRegistration.begin(try repository.open())
        defer { registration.end() }
        #expect(try OrphanedPacks(try repository.open()).adopt(registration: registration) == 0)
    }

    @Test func condemnedPacksAndThoseOfOtherWritersAreLeftAlone() throws {
        let repository = try Self.killed(after: 2)
        defer { repository.remove() }
        try Self.bury(repository)
        let open = try repository.open()
        let packs = try repository.keys(PackObject.prefix).compactMap(PackObject.id)
        _ = try GarbageRecord.condemn([packs[0]], open)

        var keys = repository.keys
        let added = try keys.addMachineKey(to: repository.store, role: .writer)
        let writer = try repository.opened(with: try KeyRing.open(repository.store, added.credentials))
        defer { writer.remove() }
        let stranger = try writer.open()
        let first = try WriterRegistration.begin(stranger)
        try stranger.reloadIndex()
        #expect(
            try OrphanedPacks(stranger).adopt(registration: first) == 0,
            "a full key's packs, which a writer cannot vouch for")
        first.end()

        let second = try WriterRegistration.begin(open)
        defer { second.end() }
        try open.reloadIndex()
        #expect(try OrphanedPacks(open).adopt(registration: second) > 0)
        #expect(try open.index().tables.flatMap { $0.packs.map(\.id) } == [packs[1]])
    }

    @Test func damagedPacksAreLeftAlone() throws {
        let repository = try Self.killed()
        defer { repository.remove() }
        try Self.bury(repository)
        for key in try repository.keys(PackObject.prefix) {
            var bytes = try repository.store.get(key, atMost: 1 << 28)
            bytes[bytes.count - 150] ^= 1
            try repository.store.put(key, bytes, .replace)
        }
        let id = try SnapshotTaking(try repository.open(), Self.content, source: "files").run()
        #expect(try SnapshotReading(try repository.open()).files(id) == Self.content)
    }
}
