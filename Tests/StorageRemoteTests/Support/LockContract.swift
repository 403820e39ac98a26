import Glibc
import RepoBase
import Storage
import Testing

@testable import StorageRemote

/// What every provider's locks have to keep, as tests that any bucket with locks and versions can be given.
struct LockContract {
    /// One prefix for all that it opens.
    let make: (_ lock: String, _ options: RemoteOptions) throws -> any LockingRemoteStore
    private let key = StoreKey("packs/aa/one")

    init(_ make: @escaping (_ lock: String, _ options: RemoteOptions) throws -> any LockingRemoteStore) { self.make = make }

    /// Whether the server lets one version go.
    private func canDelete(_ version: String, in store: any LockingRemoteStore) throws -> Bool {
        do {
            try store.deleteVersions([version], of: key)
            return true
        } catch let error as RepoError where error.code == .refused {
            return false
        }
    }

    /// A locked object can be neither deleted nor overwritten by its version, is hidden by a deletion, and is freed when its lock has ended.
    func lockedVersionsStay(_ mode: String) throws {
        let store = try make("\(mode):1h", .init())
        let before = Int64(time(nil))
        try store.put(key, [1, 2, 3], .create)
        let until = try #require(try store.lockedUntil(key))
        #expect((before + 3600...Int64(time(nil)) + 3600).contains(until))
        let version = try #require(try store.versionNames(of: key).first)
        #expect(try !canDelete(version, in: store))
        let error = #expect(throws: RepoError.self) { try store.purge([key]) }
        #expect(error?.code == .refused)
        #expect(try store.get(key, atMost: 3) == [1, 2, 3], "a purge that is refused hides nothing")
        try store.put(key, [4], .replace)
        #expect(try store.versionNames(of: key).count == 2)
        try store.delete(key)
        #expect(try store.stat(key) == nil, "a deletion hides it")
        #expect(try store.versionNames(of: key).contains(version), "and what is locked is still there")
        try store.put(key, [5], .create)
        #expect(try store.get(key, atMost: 1) == [5], "its name is free")
        try store.delete([key, StoreKey("packs/aa/absent")])
        #expect(try store.list("").isEmpty && store.stat(key) == nil)
        #expect(throws: RepoError.self) { try store.get(key, atMost: 1) }
        var buffer: [UInt8] = [0]
        #expect(throws: RepoError.self) { try buffer.withUnsafeMutableBytes { try store.read(key, at: 0, into: $0) } }

        let other = StoreKey("packs/aa/brief")
        let brief = try make("\(mode):2s", .init())
        try brief.put(other, [1, 2, 3], .create)
        try brief.put(other, [4], .replace)
        sleep(4)
        try brief.purge([other])
        #expect(try brief.versionNames(of: other).isEmpty && brief.stat(other) == nil)
    }

    /// A lock is extended, never shortened, and an absent object is passed over.
    func extended(_ mode: String) throws {
        let store = try make("\(mode):2s", .init())
        try store.put(key, [1], .create)
        let later = Int64(time(nil)) + 600
        try store.extendLock(key, until: later)
        #expect(try store.lockedUntil(key) == later)
        try store.extendLock(key, until: later - 5)
        #expect(try store.lockedUntil(key) == later)
        try store.extendLock(StoreKey("packs/aa/absent"), until: later)
        #expect(try store.lockedUntil(StoreKey("packs/aa/absent")) == nil)
        sleep(3)
        #expect(throws: RepoError.self, "the first lock is over, the second is not") { try store.purge([key]) }
    }

    /// Objects that are put in parts are locked as well.
    func parts() throws {
        var options = RemoteOptions()
        options.largestSinglePut = 1 << 20
        options.largestRacedPut = 1 << 20
        options.partBytes = 5 << 20
        let store = try make("governance:600s", options)
        try store.put(key, [UInt8](repeating: 7, count: 6 << 20), .create)
        #expect(try store.lockedUntil(key) ?? 0 > Int64(time(nil)) + 500)
    }

    /// Signs of life, records of collections and what is replaced again and again are not locked.
    func unlocked() throws {
        let store = try make("governance:600s", .init())
        for name in ["writers/0011.alive", "writers/0011", "gc/00000001-aa/condemned", "probe/x", "reserve", "reports/aa", "wal/1/00000001/a.00000010.received"] {
            try store.put(StoreKey(name), [1], .replace)
            #expect(try store.lockedUntil(StoreKey(name)) == nil, "\(name)")
        }
        for name in ["config", "keys/aa", "configs/00000001", "snapshots/aa", "index/aa", "wal/1/00000001/a", "journal/aa"] {
            try store.put(StoreKey(name), [1], .replace)
            #expect(try store.lockedUntil(StoreKey(name)) ?? 0 > Int64(time(nil)) + 500, "\(name)")
        }
    }
}
