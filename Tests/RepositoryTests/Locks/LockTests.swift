import Glibc
import RepoBase
import RepositoryTesting
import Storage
import StorageTesting
import Testing

@testable import Repository

@Suite("Locks of objects that are needed, and of those that are not")
struct LockTests {
    private static let day: Int64 = 86_400
    private let world: CollectionWorld
    private let store: LockingStore
    private let cache: String

    init() throws {
        let world = try CollectionWorld()
        self.world = world
        cache = try world.makeCache()
        store = LockingStore(world.store, ObjectLock(.compliance, seconds: 30 * Self.day), now: { [now = world.now] in now.withLock { $0 } })
    }

    private var now: Int64 { world.now.withLock { $0 } }
    private func wait(days: Int64) { world.now.withLock { $0 += days * Self.day } }

    /// The same machine each time.
    private func open() throws -> OpenRepository { try OpenRepository(store: store, keys: world.keys, cacheDirectory: cache) }

    private func extend(leaving: Set<StoreKey> = []) throws -> LockExtension.Outcome {
        try #require(try LockExtension(open(), now: now).run(leaving: leaving))
    }

    @Test("A locked pack stays condemned until its lock has ended, and the first prune after that deletes it")
    func packsStayCondemned() throws {
        defer { FileTreeRemoval.remove(cache) }
        var numbers = SeededNumbers(seed: 1)
        let content = numbers.bytes(60_000)
        let gone = try world.snapshot(["a": content], on: store)
        try world.snapshot(["b": numbers.bytes(60_000)], on: store)
        try world.forget(gone)
        let packs = try world.store.list("packs/").count
        let first = try world.prune(on: store)
        #expect(first.packsCondemned > 0 && first.packsDeleted == 0 && first.bytesFreed == 0)
        #expect(first.packsLocked == first.packsCondemned && first.bytesLocked > 60_000)
        #expect(first.lockedUntil == now + 30 * Self.day)
        #expect(try world.store.list("packs/").count >= packs)
        // Whoever needs its content again stores it again.
        try world.snapshot(["c": content], on: store)
        wait(days: 29)
        let second = try world.prune(on: store)
        #expect(second.packsDeleted == 0 && second.packsCondemned == 0 && second.packsLocked == first.packsLocked)
        try world.verify()
        wait(days: 2)
        let third = try world.prune(on: store)
        #expect(third.packsDeleted == first.packsCondemned && third.packsLocked == 0)
        try world.prune(on: store)
        try world.verify()
        try world.verifyClean()
    }

    @Test("Locks of all that is needed are extended when less than half is left; of condemned packs, signs of life and the journal never")
    func locksAreExtended() throws {
        defer { FileTreeRemoval.remove(cache) }
        var numbers = SeededNumbers(seed: 2)
        let gone = try world.snapshot(["a": numbers.bytes(60_000)], on: store)
        try world.snapshot(["b": numbers.bytes(60_000)], on: store)
        try world.forget(gone)
        try world.prune(on: store)
        let condemned = try CondemnedPacks.load(open())
        #expect(!condemned.isEmpty)
        #expect(try extend().extended > 0, "config and keys were made without a lock")
        wait(days: 14)
        #expect(try extend().extended == 0)
        wait(days: 2)
        let outcome = try extend()
        #expect(outcome.extended > 0 && outcome.ending == condemned.count)
        let end = now + 30 * Self.day
        let needed = ["packs/", "index/", "snapshots/", "keys/", "configs/", "config"]
        for object in try world.store.list("") {
            let isNeeded = needed.contains { object.key.description.hasPrefix($0) } && !(PackObject.id(object.key).map(condemned.contains) ?? false)
            #expect((store.locks[object.key] == end) == isNeeded, "\(object.key)")
        }
        #expect(outcome.lastEnd == store.locks[PackObject.key(condemned.first!)])
        #expect(try world.store.list("journal/").count > 0)
    }

    @Test("What was not locked is locked, and said to have been without")
    func lateLocks() throws {
        defer { FileTreeRemoval.remove(cache) }
        try world.snapshot(["a": [1, 2, 3]])
        let outcome = try extend()
        #expect(outcome.unlocked == outcome.objects && outcome.extended == outcome.objects && outcome.objects > 4)
        #expect(try extend().extended == 0)
    }

    @Test("Each lock is asked about once, and extended once in half its time, however often this runs")
    func fewRequests() throws {
        defer { FileTreeRemoval.remove(cache) }
        var numbers = SeededNumbers(seed: 3)
        for _ in 0..<5 { try world.snapshot(["a": numbers.bytes(60_000)], on: store) }
        let objects = try extend().objects
        #expect(store.counts.asked == objects)
        store.reset()
        for _ in 0..<28 {
            wait(days: 1)
            _ = try extend()
        }
        #expect(store.counts.asked == 0 && store.counts.extended == objects)
        // A file that was damaged costs questions and no lock.
        let path = try LockLedger.path(open())
        var bytes = try #require(LocalFolder.contents(path, atMost: 1 << 20))
        bytes[bytes.count / 2] ^= 1
        try LocalFolder.replace(path, with: bytes)
        store.reset()
        _ = try extend()
        #expect(store.counts.asked == objects)
    }

    @Test("An object that was replaced is asked about again: what is known is of another one")
    func replaced() throws {
        defer { FileTreeRemoval.remove(cache) }
        try world.snapshot(["a": [1]], on: store)
        _ = try extend()
        store.reset()
        wait(days: 1)
        try world.store.put(StoreKey("config"), try world.store.get(StoreKey("config"), atMost: 1 << 20), .replace)
        _ = try extend()
        #expect(store.counts.asked == 1)
    }

    @Test("A store that locks nothing has no lock to extend")
    func withoutLocks() throws {
        defer { FileTreeRemoval.remove(cache) }
        #expect(try LockExtension(world.open()).run() == nil)
    }
}

enum FileTreeRemoval {
    static func remove(_ folder: String) {
        for path in ["index", ""] {
            for name in (try? LocalFolder.names(in: "\(folder)/\(path)")) ?? [] { unlink("\(folder)/\(path)/\(name)") }
            rmdir("\(folder)/\(path)")
        }
    }
}
