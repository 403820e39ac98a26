import RepoBase
import Storage
import StorageTesting
import Testing

@testable import StorageRemote

/// On protocol fakes (`Tests/Fakes`): what passes is emulated, not tried on the providers.
@Suite("Contract of a store, in Azure Blob and Google Cloud Storage, emulated")
struct CloudConformanceTests {
    private static let providers: [EmulatedCloud.Provider] = [.azure, .google]

    private func small() -> RemoteOptions {
        var options = RemoteOptions()
        options.largestSinglePut = 1 << 20
        options.partBytes = 1 << 20
        options.pageKeys = 100
        options.pagesInTurn = 2
        return options
    }

    @Test("emulated", arguments: providers, StoreConformance.checks)
    func contract(_ provider: EmulatedCloud.Provider, _ check: StoreConformance) throws {
        try check.run(on: EmulatedCloud.running(provider).store())
    }

    @Test(
        "emulated, in parts, over many pages, several at once", arguments: providers,
        StoreConformance.checks.filter { !$0.description.contains("replaced object") })
    func parts(_ provider: EmulatedCloud.Provider, _ check: StoreConformance) throws {
        try check.run(on: EmulatedCloud.running(provider).store(options: small()))
    }

    @Test("emulated: every way to prove who asks is accepted", arguments: providers)
    func credentials(_ provider: EmulatedCloud.Provider) throws {
        let cloud = try EmulatedCloud.running(provider)
        for (index, environment) in ([cloud.environment] + cloud.otherEnvironments).enumerated() {
            let store = try cloud.store(options: small(), environment: environment)
            for size in [0, 10, 3 << 20] {
                let key = StoreKey("packs/\(index)/of\(size)")
                let bytes = (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 7 ^ $0 >> 9) }
                try store.put(key, bytes, .create)
                #expect(try store.get(key, atMost: size) == bytes, "\(environment.keys)")
                let error = #expect(throws: RepoError.self) { try store.put(key, bytes, .create) }
                #expect(error?.code == .conflict)
            }
            #expect(try store.list("").count == 3)
            try store.delete(store.list("").map(\.key))
            #expect(try store.list("").isEmpty)
        }
    }

    @Test("emulated: wrong keys, signatures and tokens are refused, with advice", arguments: providers)
    func wrongCredentials(_ provider: EmulatedCloud.Provider) throws {
        let cloud = try EmulatedCloud.running(provider)
        for environment in cloud.wrongEnvironments {
            let error = #expect(throws: RepoError.self) { try cloud.store(environment: environment).put(StoreKey("a"), [1], .create) }
            #expect(error?.code == .failed && error?.advice.isEmpty == false, "\(environment.keys): \(String(describing: error))")
        }
    }

    @Test("emulated: the same name at once from several writers in parts has one winner", arguments: providers)
    func partsRace(_ provider: EmulatedCloud.Provider) throws {
        let store = try EmulatedCloud.running(provider).store(options: small())
        let key = StoreKey("packs/00/one")
        let winners = Monitor<[UInt8]>([])
        let threads = (UInt8(0)..<6).map { writer in
            WorkerThread {
                do {
                    try store.put(key, [UInt8](repeating: writer, count: 3 << 20), .create)
                    winners.withLock { $0.append(writer) }
                } catch {
                    #expect((error as? RepoError)?.code == .conflict, "\(error)")
                }
            }
        }
        for thread in threads { thread.join() }
        let won = winners.withLock { $0 }
        #expect(won.count == 1)
        #expect(try store.get(key, atMost: 3 << 20) == [UInt8](repeating: won.first ?? 9, count: 3 << 20))
    }

    @Test("emulated: what a retention policy keeps is refused by policy, and stays", arguments: providers)
    func immutable(_ provider: EmulatedCloud.Provider) throws {
        let store = try EmulatedCloud.running(provider).store(bucket: "locked")
        try store.put(StoreKey("a"), [1], .create)
        for attempt in [{ try store.delete(StoreKey("a")) }, { try store.put(StoreKey("a"), [2], .replace) }] {
            let error = #expect(throws: RepoError.self) { try attempt() }
            #expect(error?.code == .refused && error?.advice.isEmpty == false, "\(String(describing: error))")
        }
        #expect(try store.get(StoreKey("a"), atMost: 1) == [1])
        let absent = #expect(throws: RepoError.self) { try EmulatedCloud.running(provider).store(bucket: "nowhere").get(StoreKey("a"), atMost: 1) }
        #expect(absent?.code == .noRepository)
    }

    /// Requests that a put of four parts makes: four blocks and their list, or a session and its parts.
    @Test("emulated: a large put goes on where the connection broke", arguments: providers, [2, 3, 4])
    func resumed(_ provider: EmulatedCloud.Provider, _ request: Int) throws {
        let cloud = try EmulatedCloud.running(provider)
        for fault in [ProxyFault.resetBefore, .loseAnswer] {
            let proxy = try FaultProxy(to: cloud.port) { $0.ordinal == request ? fault : nil }
            defer { proxy.stop() }
            var options = small()
            options.partThreads = 1
            let store = try cloud.store(
                port: proxy.port, options: options, environment: provider == .azure ? nil : cloud.otherEnvironments[0])
            let bytes = (0..<(7 << 19)).map { UInt8(truncatingIfNeeded: $0 &* 13 ^ $0 >> 8) }
            try store.put(StoreKey("packs/00/a"), bytes, .create)
            #expect(try store.get(StoreKey("packs/00/a"), atMost: bytes.count) == bytes)
        }
    }

    @Test("emulated: a body that is damaged on the way is noticed", arguments: providers)
    func damaged(_ provider: EmulatedCloud.Provider) throws {
        let cloud = try EmulatedCloud.running(provider)
        let proxy = try FaultProxy(to: cloud.port) { $0.method == "PUT" && !$0.target.contains("list") ? .damageBody : nil }
        defer { proxy.stop() }
        var options = small()
        options.partThreads = 1
        // A bearer's token signs no body, so the checksum alone can tell.
        let store = try cloud.store(
            port: proxy.port, options: options, environment: provider == .azure ? nil : ["GCE_METADATA_HOST": "127.0.0.1:\(cloud.port)"])
        let error = #expect(throws: RepoError.self) { try store.put(StoreKey("a"), [UInt8](repeating: 5, count: 10_000), .create) }
        #expect(error?.code == .unreachable, "\(String(describing: error))")
        #expect(try store.stat(StoreKey("a")) == nil)
    }

    @Test("emulated: the probe finds them safe, and leaves nothing", arguments: providers)
    func probe(_ provider: EmulatedCloud.Provider) throws {
        var options = RemoteOptions()
        options.pageKeys = 5
        options.pagesInTurn = 2
        let store = try EmulatedCloud.running(provider).store(options: options)
        let findings = try StoreProbe(store).run()
        #expect(findings.count >= 8 && !findings.contains { $0.grade == .unsafe || $0.grade == .warning }, "\(findings)")
        #expect(try store.list("").isEmpty)
    }
}
