import Glibc
import RepoBase
import Storage
import StorageTesting
import Testing

@testable import StorageRemote

/// On SeaweedFS, which enforces object lock.
@Suite("Object lock in S3")
struct S3LockTests {
    private let key = StoreKey("packs/aa/one")

    private func store(_ lock: String, options: S3Store.Options = .init()) throws -> S3Store {
        try SeaweedServer.running().store(bucket: SeaweedServer.lockingBucket, location: "lock=\(lock)", options: options)
    }

    /// Whether the server lets one version go.
    private func canDelete(_ version: S3VersionPage.Version, in store: S3Store) throws -> Bool {
        do {
            try store.deleteAtOnce([(version.key, version.id)])
            return true
        } catch let error as RepoError where error.code == .refused {
            return false
        }
    }

    @Test("A locked object can be neither deleted nor overwritten by its version, and is freed when its lock has ended", arguments: ["governance", "compliance"])
    func lockedVersionsStay(_ mode: String) throws {
        let store = try store("\(mode):1h")
        let before = Int64(time(nil))
        try store.put(key, [1, 2, 3], .create)
        let until = try #require(try store.lockedUntil(key))
        #expect((before + 3600...Int64(time(nil)) + 3600).contains(until))
        let version = try #require(try store.versions(of: key).first)
        #expect(try !canDelete(version, in: store))
        #expect(throws: RepoError.self) { try store.purge([key]) }
        try store.put(key, [4], .replace)
        #expect(try store.versions(of: key).count == 2)
        try store.delete(key)
        #expect(try store.stat(key) == nil, "a delete marker hides it")
        #expect(try store.versions(of: key).contains(version), "and what is locked is still there")

        let brief = try self.store("\(mode):2s")
        try brief.put(key, [1, 2, 3], .create)
        try brief.put(key, [4], .replace)
        sleep(4)
        try brief.purge([key])
        #expect(try brief.versions(of: key).isEmpty)
    }

    @Test("A lock is extended, never shortened, and an absent object is passed over")
    func extended() throws {
        let store = try store("governance:2s")
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

    @Test("Objects that are put in parts are locked as well")
    func parts() throws {
        var options = S3Store.Options()
        options.largestSinglePut = 1 << 20
        options.largestRacedPut = 1 << 20
        options.partBytes = 5 << 20
        let store = try store("governance:600s", options: options)
        try store.put(key, [UInt8](repeating: 7, count: 6 << 20), .create)
        #expect(try store.lockedUntil(key) ?? 0 > Int64(time(nil)) + 500)
    }

    @Test("Signs of life, records of collections and what is replaced again and again are not locked")
    func unlocked() throws {
        let store = try store("governance:600s")
        for name in ["writers/0011.alive", "writers/0011", "gc/00000001-aa/condemned", "probe/x", "reserve", "reports/aa", "wal/1/00000001/a.00000010.received"] {
            try store.put(StoreKey(name), [1], .replace)
            #expect(try store.lockedUntil(StoreKey(name)) == nil, "\(name)")
        }
        for name in ["config", "keys/aa", "configs/00000001", "snapshots/aa", "index/aa", "wal/1/00000001/a", "journal/aa"] {
            try store.put(StoreKey(name), [1], .replace)
            #expect(try store.lockedUntil(StoreKey(name)) ?? 0 > Int64(time(nil)) + 500, "\(name)")
        }
    }

    @Test("The probe proves a lock by trying, and refuses a bucket without")
    func probe() throws {
        let findings = try StoreProbe(store("compliance:30d")).run()
        #expect(findings.allSatisfy { $0.grade == .proven || $0.grade == .noted }, "\(findings)")
        #expect(findings.contains { $0.subject == "lock compliance:30d" && $0.grade == .proven }, "\(findings)")
        let without = try SeaweedServer.running().store(location: "lock=governance:1d")
        #expect(try without.setUp().contains { $0.subject == "lock governance:1d" && $0.grade == .unsafe })
    }

    @Test(
        "How a lock is written",
        arguments: [
            ("compliance:30d", 30 * 86_400 as Int64?), ("governance:12h", 12 * 3600), ("governance:90s", 90), ("compliance", nil), ("compliance:0d", nil),
            ("forever:1d", nil), ("compliance:30", nil), ("compliance:-1d", nil), ("compliance:99999999999999999999d", nil), ("compliance:1d:2d", nil),
            ("compliance:40000d", nil), ("compliance:3١d", nil),
        ])
    func written(_ text: String, _ seconds: Int64?) {
        #expect((try? ObjectLock(parsing: text))?.seconds == seconds)
        #expect((try? S3Location(parsing: "//bucket/x?lock=\(text)"))?.lock?.seconds == seconds)
    }
}
