import Glibc
import RepoBase
import Storage
import StorageTesting
import Testing

@testable import StorageRemote

/// On protocol fakes (`Tests/Fakes`): what passes is emulated, not tried on the providers.
@Suite("Object lock in Azure Blob and Google Cloud Storage, emulated")
struct CloudLockTests {
    private static let providers: [EmulatedCloud.Provider] = [.azure, .google]
    private static let lockModes = ["governance", "compliance"]
    private let prefix = SeaweedServer.uniquePrefix()
    private let key = StoreKey("packs/aa/one")

    private func store(
        _ provider: EmulatedCloud.Provider, _ lock: String, bucket: String = EmulatedCloud.lockingBucket, options: RemoteOptions = .init(),
        port: Int? = nil, environment: [String: String]? = nil
    ) throws -> any LockingRemoteStore {
        let store = try EmulatedCloud.running(provider).store(
            prefix, port: port, bucket: bucket, location: "lock=\(lock)", options: options, environment: environment)
        return try #require(store as? any LockingRemoteStore)
    }

    private func contract(_ provider: EmulatedCloud.Provider) -> LockContract { LockContract { try store(provider, $0, options: $1) } }

    @Test("emulated: a locked object can be neither deleted nor overwritten by its version, and is freed when its lock has ended", arguments: providers, lockModes)
    func lockedVersionsStay(_ provider: EmulatedCloud.Provider, _ mode: String) throws { try contract(provider).lockedVersionsStay(mode) }

    @Test("emulated: a lock is extended, never shortened, and an absent object is passed over", arguments: providers, lockModes)
    func extended(_ provider: EmulatedCloud.Provider, _ mode: String) throws { try contract(provider).extended(mode) }

    @Test("emulated: objects that are put in parts are locked as well", arguments: providers)
    func parts(_ provider: EmulatedCloud.Provider) throws { try contract(provider).parts() }

    @Test("emulated: signs of life, records of collections and what is replaced again and again are not locked", arguments: providers)
    func unlocked(_ provider: EmulatedCloud.Provider) throws { try contract(provider).unlocked() }

    @Test("emulated: a store that locks keeps the contract of a store", arguments: providers, StoreConformance.checks)
    func conformance(_ provider: EmulatedCloud.Provider, _ check: StoreConformance) throws { try check.run(on: store(provider, "governance:30s")) }

    @Test("emulated: the probe proves a lock by trying, and refuses a bucket without, with what to do", arguments: providers)
    func probe(_ provider: EmulatedCloud.Provider) throws {
        let findings = try StoreProbe(store(provider, "compliance:30d")).run()
        #expect(!findings.contains { $0.grade == .unsafe || $0.grade == .warning }, "\(findings)")
        #expect(findings.contains { $0.subject == "lock compliance:30d" && $0.grade == .proven }, "\(findings)")
        #expect(try store(provider, "compliance:30d").list("").isEmpty, "nothing is left for readers")
        let cloud = try EmulatedCloud.running(provider)
        for bucket in provider == .azure ? [EmulatedCloud.bucket] : [EmulatedCloud.bucket, "unversioned"] {
            let without = try cloud.store(bucket: bucket, location: "lock=governance:1d")
            let refusal = try #require(without as? any DescribedStore).setUp().first { $0.subject == "lock governance:1d" }
            #expect(refusal?.grade == .unsafe, "\(String(describing: refusal))")
            let advice = bucket == "unversioned" ? "--versioning" : provider == .azure ? "--enable-vlw" : "--enable-per-object-retention"
            #expect(refusal?.detail.contains(advice) == true, "\(String(describing: refusal))")
        }
    }

    @Test("emulated: of governance at Microsoft the probe warns, and a lock of the other mode is not changed", arguments: providers)
    func modes(_ provider: EmulatedCloud.Provider) throws {
        let governance = try store(provider, "governance:1h")
        let findings = try #require(governance as? any DescribedStore).setUp()
        #expect(findings.contains { $0.subject == "lock governance:1h" && $0.grade == .proven }, "\(findings)")
        #expect(findings.contains { $0.grade == .warning } == (provider == .azure), "\(findings)")
        try store(provider, "compliance:1h").put(key, [1], .create)
        let error = #expect(throws: RepoError.self) { try governance.extendLock(key, until: Int64(time(nil)) + 7200) }
        #expect(error?.code == .refused && error?.advice.isEmpty == false, "\(String(describing: error))")
        let (other, later) = (StoreKey("packs/aa/other"), Int64(time(nil)) + 7200)
        try governance.put(other, [1], .create)
        let compliance = try store(provider, "compliance:1h")
        switch provider {
        // Microsoft lets whoever may lock take an unlocked policy over.
        case .azure:
            try compliance.extendLock(other, until: later)
            #expect(try governance.lockedUntil(other) == later)
            #expect(throws: RepoError.self) { try governance.extendLock(other, until: later + 60) }
        case .google:
            let refusal = #expect(throws: RepoError.self) { try compliance.extendLock(other, until: later) }
            #expect(refusal?.code == .refused)
        }
    }

    @Test("emulated: every way to prove who asks that may lock does", arguments: providers)
    func credentials(_ provider: EmulatedCloud.Provider) throws {
        let cloud = try EmulatedCloud.running(provider)
        let environments: [[String: String]]
        switch provider {
        case .azure: environments = [cloud.environment, ["AZURE_STORAGE_SAS_TOKEN": cloud.text("sas-locking")]]
        case .google: environments = [cloud.environment, cloud.otherEnvironments[0]]
        }
        for (index, environment) in environments.enumerated() {
            let store = try store(provider, "compliance:1h", environment: environment)
            let key = StoreKey("packs/aa/\(index)")
            try store.put(key, [1], .create)
            try store.extendLock(key, until: Int64(time(nil)) + 7200)
            #expect(try store.lockedUntil(key) ?? 0 > Int64(time(nil)) + 7000)
            try store.delete(key)
            #expect(try store.stat(key) == nil)
        }
    }

    @Test("emulated: credentials that may not lock are told so")
    func withoutRights() throws {
        let cloud = try EmulatedCloud.running(.azure)
        let weak = try store(.azure, "compliance:1h", environment: ["AZURE_STORAGE_SAS_TOKEN": cloud.text("sas-weak")])
        let error = #expect(throws: RepoError.self) { try weak.put(key, [1], .create) }
        #expect(error?.code == .failed && error?.advice.contains("Storage Blob Data Owner") == true, "\(String(describing: error))")
        try store(.azure, "compliance:1h").put(key, [1], .create)
        let refusal = #expect(throws: RepoError.self) { try weak.extendLock(key, until: Int64(time(nil)) + 7200) }
        #expect(refusal?.code == .refused, "\(String(describing: refusal))")
        let purge = #expect(throws: RepoError.self) { try weak.purge([key]) }
        #expect(purge?.code == .refused)
        // Who may delete and no versions hides what is locked; the mark's own version stays behind.
        try weak.delete(key)
        #expect(try weak.stat(key) == nil && weak.versionNames(of: key).count == 2)
        try weak.put(StoreKey("probe/x"), [1], .create)
        let versions = #expect(throws: RepoError.self) { try weak.purge([StoreKey("probe/x")]) }
        #expect(versions?.code == .refused)
    }

    /// Of a deletion: a refused one, the mark, the mark's removal, and that of its version.
    @Test("emulated: a deletion in Azure that breaks off leaves the object as it was or hides it, and its name is free again", arguments: 1...4)
    func brokenDeletion(_ request: Int) throws {
        let cloud = try EmulatedCloud.running(.azure)
        let proxy = try FaultProxy(to: cloud.port) { $0.ordinal >= request ? .resetBefore : nil }
        defer { proxy.stop() }
        let whole = try store(.azure, "compliance:1h")
        try whole.put(key, [1, 2, 3], .create)
        let version = try #require(try whole.versionNames(of: key).first)
        let broken = try store(.azure, "compliance:1h", port: proxy.port)
        let error = #expect(throws: RepoError.self) { try broken.delete(key) }
        #expect(error?.code == .unreachable)
        if request <= 2 {
            #expect(try whole.get(key, atMost: 3) == [1, 2, 3])
            try whole.delete(key)
        }
        for store in [whole, try #require(try cloud.store(prefix, bucket: EmulatedCloud.lockingBucket) as? any LockingRemoteStore)] {
            #expect(try store.stat(key) == nil && store.list("").isEmpty)
            #expect(throws: RepoError.self) { try store.get(key, atMost: 3) }
            var buffer = [UInt8](repeating: 0, count: 3)
            let absent = #expect(throws: RepoError.self) { try buffer.withUnsafeMutableBytes { try store.read(key, at: 0, into: $0) } }
            #expect(absent?.code == .notFound)
        }
        #expect(try whole.lockedUntil(key) == nil)
        try whole.put(key, [4], .create)
        #expect(try whole.get(key, atMost: 1) == [4])
        #expect(try whole.versionNames(of: key).contains(version))
        let second = #expect(throws: RepoError.self) { try whole.put(key, [5], .create) }
        #expect(second?.code == .conflict)
    }

    @Test func aListingOfVersionsAtGoogleIsRead() throws {
        func page(_ inner: String) throws -> GoogleVersionPage { try GoogleVersionPage(Array("<ListBucketResult>\(inner)</ListBucketResult>".utf8)) }
        let version = "<Version><Key>a/b</Key><Generation>12</Generation><IsLatest>false</IsLatest></Version>"
        #expect(try page("<IsTruncated>false</IsTruncated>\(version)").versions == [.init(key: "a/b", generation: 12)])
        let cut = "<IsTruncated>true</IsTruncated>\(version)"
        #expect(try page("\(cut)<NextMarker>a/b</NextMarker><NextGenerationMarker>12</NextGenerationMarker>").next == .init(key: "a/b", generation: "12"))
        for half in [version, cut, "\(cut)<NextMarker>a</NextMarker>", "<IsTruncated>false</IsTruncated><Version><Key>a</Key></Version>"] {
            #expect(throws: RepoError.self) { try page(half) }
        }
        #expect(throws: RepoError.self) { try GoogleVersionPage(Array("<Error><IsTruncated>false</IsTruncated></Error>".utf8)) }
    }

    @Test("emulated: versions are told over several pages", arguments: providers)
    func pages(_ provider: EmulatedCloud.Provider) throws {
        var options = RemoteOptions()
        options.pageKeys = 2
        let store = try store(provider, "governance:1s", options: options)
        for number in UInt8(0)..<7 { try store.put(key, [number], .replace) }
        try store.put(StoreKey("packs/aa/one2"), [1], .create)
        let names = try store.versionNames(of: key)
        #expect(names.count == 7 && Set(names).count == 7)
        sleep(2)
        try store.purge([key])
        #expect(try store.versionNames(of: key).isEmpty && store.list("").map(\.key) == [StoreKey("packs/aa/one2")])
    }
}
