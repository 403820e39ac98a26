import NumbersTesting
import RepoBase
import Storage
import StorageTesting
import Testing

@testable import StorageRemote

/// A network that does what networks do, before a real server.
@Suite("S3 over a bad network")
struct S3FaultTests {
    private let prefix = SeaweedServer.uniquePrefix()

    private static let quick = RetryPolicy(
        attempts: 6, firstDelay: .milliseconds(5), maximumDelay: .milliseconds(20), totalTime: .seconds(30))

    private func proxied(_ plan: @escaping FaultProxy.Plan) throws -> (proxy: FaultProxy, store: S3Store) {
        let server = try SeaweedServer.running()
        let proxy = try FaultProxy(to: server.port, plan: plan)
        return (proxy, try server.store(prefix, port: proxy.port))
    }

    /// The first request with that method has the fault.
    private func first(_ method: String, _ fault: ProxyFault) -> FaultProxy.Plan {
        let done = Monitor(false)
        return { request in
            guard request.method == method, !done.withLock({ done in
                defer { done = true }
                return done
            }) else { return nil }
            return fault
        }
    }

    @Test(
        "A create-only put is stored once, whatever happens to its first try",
        arguments: [
            ProxyFault.resetBefore, .loseAnswer, .answer(status: 500), .answer(status: 503), .answer(status: 429), .answer(status: 408),
        ])
    func put(_ fault: ProxyFault) throws {
        let (proxy, store) = try proxied(first("PUT", fault))
        defer { proxy.stop() }
        let key = StoreKey("packs/00/one")
        try RetryingStore(store, policy: Self.quick).put(key, [1, 2, 3], .create)
        #expect(try store.get(key, atMost: 10) == [1, 2, 3])
        #expect(throws: (any Error).self) { try store.put(key, [1, 2, 3], .create) }
    }

    @Test("A listing that is altered on the way hides and invents nothing, where two answers have to agree")
    func alteredListing() throws {
        let server = try SeaweedServer.running()
        let origin = try server.store(prefix)
        let keys = (0..<30).map { StoreKey("snapshots/\($0)") }
        for key in keys { try origin.put(key, [1], .create) }
        for share in [3, 4] {
            let proxy = try FaultProxy(to: server.port) { $0.method == "GET" && $0.ordinal % share == 0 ? .damageAnswer : nil }
            defer { proxy.stop() }
            let store = RetryingStore(try server.store(prefix, port: proxy.port, location: "listings=twice"), policy: Self.quick)
            for _ in 0..<10 {
                #expect(try Set(store.list("snapshots/").map(\.key)) == Set(keys))
                #expect(try store.folders(in: "") == ["snapshots"])
            }
        }
        #expect(throws: RepoError.self) { try server.store(prefix, location: "listings=never") }
    }

    @Test("A put whose answer was lost counts as done only if the bytes there are its own")
    func lostAnswer() throws {
        let server = try SeaweedServer.running()
        let key = StoreKey("snapshots/one")
        let (proxy, store) = try proxied(first("PUT", .loseAnswer))
        defer { proxy.stop() }
        try RetryingStore(store, policy: Self.quick).put(key, [1, 2, 3], .create)
        #expect(try store.get(key, atMost: 10) == [1, 2, 3])

        // Another writer comes between a request that never arrived and the next try.
        let other = try server.store(prefix)
        let (second, late) = try proxied { request in
            guard request.ordinal == 1 else { return nil }
            try? other.put(StoreKey("snapshots/two"), [9, 9, 9], .create)
            return .resetBefore
        }
        defer { second.stop() }
        let error = #expect(throws: RepoError.self) {
            try RetryingStore(late, policy: Self.quick).put(StoreKey("snapshots/two"), [1, 2, 3], .create)
        }
        #expect(error?.code == .conflict)
        #expect(try store.get(StoreKey("snapshots/two"), atMost: 10) == [9, 9, 9])
    }

    /// The library sends a request again by itself when a connection that it kept is dead; then the second answer tells nothing of the first.
    @Test("A put that was sent twice by the library itself is no conflict", arguments: [0, 3, 300_000])
    func resent(_ count: Int) throws {
        let (proxy, store) = try proxied { $0.ordinal == 2 ? .loseAnswer : nil }
        defer { proxy.stop() }
        #expect(try store.stat(StoreKey("absent")) == nil)
        let bytes = [UInt8](repeating: 7, count: count)
        try RetryingStore(store, policy: Self.quick).put(StoreKey("packs/00/one"), bytes, .create)
        #expect(try store.get(StoreKey("packs/00/one"), atMost: 1 << 20) == bytes)
    }

    @Test("A delivery that comes twice is stored once")
    func duplicate() throws {
        let (proxy, store) = try proxied(first("PUT", .duplicate))
        defer { proxy.stop() }
        // The second answer says that the name is taken: the put's own bytes are there, but the store alone cannot know.
        let error = #expect(throws: RepoError.self) { try store.put(StoreKey("a/b"), [1, 2], .create) }
        #expect(error?.code == .conflict)
        #expect(try store.get(StoreKey("a/b"), atMost: 10) == [1, 2])
    }

    @Test("Bytes that are damaged on their way are refused by the server, and arrive with the next try")
    func damagedBody() throws {
        let (proxy, store) = try proxied(first("PUT", .damageBody))
        defer { proxy.stop() }
        let bytes = [UInt8](repeating: 5, count: 5000)
        try RetryingStore(store, policy: Self.quick).put(StoreKey("a/b"), bytes, .create)
        #expect(proxy.requests.count == 2)
        #expect(try store.get(StoreKey("a/b"), atMost: 5000) == bytes)
    }

    @Test("A read goes on where its answer broke off")
    func resumedRead() throws {
        let bytes = (0..<3_000_000).map { UInt8(truncatingIfNeeded: $0 &* 13 ^ $0 >> 9) }
        let (proxy, store) = try proxied { $0.method == "GET" && $0.ordinal < 5 ? .cutAnswer(after: 700_000) : nil }
        defer { proxy.stop() }
        try store.put(StoreKey("packs/00/long"), bytes, .create)
        var buffer = [UInt8](repeating: 0, count: bytes.count)
        let count = try buffer.withUnsafeMutableBytes { try store.read(StoreKey("packs/00/long"), at: 0, into: $0) }
        #expect(count == bytes.count && buffer == bytes)
        #expect(proxy.requests.count == 5, "one put, three cuts, the rest")
    }

    @Test("An object that is replaced while a read goes on is read in one version")
    func replacedWhileReading() throws {
        let server = try SeaweedServer.running()
        let other = try server.store(prefix)
        let key = StoreKey("config")
        try other.put(key, [UInt8](repeating: 1, count: 500_000), .replace)
        let (proxy, store) = try proxied { request in
            if request.ordinal == 1 { return .cutAnswer(after: 100_000) }
            if request.ordinal == 2 { try? other.put(key, [UInt8](repeating: 2, count: 500_000), .replace) }
            return nil
        }
        defer { proxy.stop() }
        var buffer = [UInt8](repeating: 0, count: 500_000)
        let count = try buffer.withUnsafeMutableBytes { try store.read(key, at: 0, into: $0) }
        #expect(count == 500_000 && Set(buffer) == [2])
    }

    @Test("Every fault at random over many operations: nothing lost, no wrong byte, no hang", arguments: [UInt64(1), 2])
    func random(_ seed: UInt64) throws {
        let (proxy, store) = try proxied { request in
            var numbers = SeededNumbers(seed: seed &* 1_000_003 &+ UInt64(request.ordinal))
            guard numbers.next() % 4 == 0 else { return nil }
            let faults: [ProxyFault] = [
                .resetBefore, .loseAnswer, .cutAnswer(after: 10), .answer(status: 500), .answer(status: 503), .answer(status: 429), .damageBody,
                .delay(seconds: 0.02),
            ]
            return faults[Int(numbers.next() % UInt64(faults.count))]
        }
        defer { proxy.stop() }
        let patient = RetryPolicy(attempts: 30, firstDelay: .milliseconds(1), maximumDelay: .milliseconds(10), totalTime: .seconds(60))
        let retrying = RetryingStore(store, policy: patient)
        var stored: [StoreKey: [UInt8]] = [:]
        for index in 0..<60 {
            let key = StoreKey("packs/\(index % 4)/\(index)")
            let bytes = (0..<(index * 37)).map { UInt8(truncatingIfNeeded: $0 &+ index) }
            try retrying.put(key, bytes, index % 3 == 0 ? .replace : .create)
            stored[key] = bytes
            if index % 7 == 6 {
                let gone = StoreKey("packs/\((index - 3) % 4)/\(index - 3)")
                try retrying.delete(gone)
                stored[gone] = nil
            }
        }
        #expect(try Set(retrying.list("packs/").map(\.key)) == Set(stored.keys))
        for (key, bytes) in stored { #expect(try retrying.get(key, atMost: 1 << 20) == bytes, "\(key)") }
        try retrying.delete(Array(stored.keys))
        #expect(try retrying.list("").isEmpty)
    }

    @Test("A store that hangs is given up in time")
    func hanging() throws {
        let proxy = try FaultProxy(to: SeaweedServer.running().port) { _ in .hang }
        defer { proxy.stop() }
        var request = HTTPRequest(.get, "http://127.0.0.1:\(proxy.port)/")
        request.limits.stall = .seconds(1)
        let failure = #expect(throws: HTTPFailure.self) { try HTTPClient().send(request, to: .memory(atMost: 100)) }
        #expect(failure?.kind == .unreachable)
    }

    @Test("A store that is gone is unreachable, and says where it was looked for")
    func gone() throws {
        let proxy = try FaultProxy(to: 1)
        let store = try SeaweedServer.running().store(prefix, port: proxy.port)
        proxy.stop()
        let error = #expect(throws: RepoError.self) { try store.put(StoreKey("a/b"), [1], .create) }
        #expect(error?.code == .unreachable && error?.code.exitStatus == 75)
        #expect(error?.message.contains("a/b") == true && error?.message.contains("127.0.0.1:\(proxy.port)") == true)
    }
}
