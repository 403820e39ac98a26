import Glibc
import RepoBase
import Storage
import StorageTesting
import Testing

@testable import StorageRemote

/// On SeaweedFS, which enforces object lock.
@Suite("Object lock in S3")
struct S3LockTests {
    private func store(_ lock: String, options: S3Store.Options = .init()) throws -> S3Store { try store(lock, SeaweedServer.uniquePrefix(), options) }

    private func store(_ lock: String, _ prefix: String, _ options: S3Store.Options) throws -> S3Store {
        try SeaweedServer.running().store(prefix, bucket: SeaweedServer.lockingBucket, location: "lock=\(lock)", options: options)
    }

    private var contract: LockContract {
        let prefix = SeaweedServer.uniquePrefix()
        return LockContract { try store($0, prefix, $1) }
    }

    @Test("A locked object can be neither deleted nor overwritten by its version, and is freed when its lock has ended", arguments: ["governance", "compliance"])
    func lockedVersionsStay(_ mode: String) throws { try contract.lockedVersionsStay(mode) }

    @Test("A lock is extended, never shortened, and an absent object is passed over", arguments: ["governance", "compliance"])
    func extended(_ mode: String) throws { try contract.extended(mode) }

    @Test("Objects that are put in parts are locked as well")
    func parts() throws { try contract.parts() }

    @Test("Signs of life, records of collections and what is replaced again and again are not locked")
    func unlocked() throws { try contract.unlocked() }

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
        #expect((try? AzureLocation(parsing: "//bucket/x?lock=\(text)"))?.lock?.seconds == seconds)
        #expect((try? GoogleLocation(parsing: "//bucket/x?lock=\(text)"))?.lock?.seconds == seconds)
    }
}
