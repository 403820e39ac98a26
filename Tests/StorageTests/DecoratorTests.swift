import RepoBase
import Storage
import StorageTesting
import Testing

@Suite("Trying again")
struct RetryingStoreTests {
    static let lost = RepoError(.unreachable, "the connection was lost")
    let key = StoreKey("gc/00000001/condemned")
    let time = TestClock()

    /// A store whose calls with these ordinals fail.
    func failing(_ faults: [Int: StoreFault]) -> FaultingStore {
        FaultingStore(MemoryStore()) { faults[$0.ordinal] }
    }

    func retrying(_ base: any Store, _ policy: RetryPolicy = .standard) -> RetryingStore {
        RetryingStore(base, policy: policy, clock: time.clock, random: { 0 })
    }

    @Test("Waits grow to a limit, with jitter above half of each")
    func delays() {
        let policy = RetryPolicy(
            attempts: 100, firstDelay: .seconds(1), maximumDelay: .seconds(10), totalTime: .seconds(60))
        func waits(_ random: Double) -> [Duration?] {
            (1...6).map { policy.delay(afterFailures: $0, elapsed: .zero, random: random) }
        }
        #expect(waits(0) == [0.5, 1, 2, 4, 5, 5].map { .seconds($0) })
        #expect(waits(0.5) == [0.75, 1.5, 3, 6, 7.5, 7.5].map { .seconds($0) })
        #expect(policy.delay(afterFailures: 99, elapsed: .zero, random: 0) != nil)
        #expect(policy.delay(afterFailures: 100, elapsed: .zero, random: 0) == nil)
        #expect(policy.delay(afterFailures: 1, elapsed: .seconds(59.5), random: 0) == .seconds(0.5))
        #expect(policy.delay(afterFailures: 1, elapsed: .seconds(59.6), random: 0) == nil)
    }

    @Test("Gives up with the last error, after so many tries or so much time")
    func givesUp() throws {
        let base = FaultingStore(MemoryStore()) {
            .failBefore(RepoError(.unreachable, "failure \($0.ordinal)"))
        }
        let few = RetryPolicy(
            attempts: 4, firstDelay: .seconds(1), maximumDelay: .seconds(9), totalTime: .seconds(99))
        do {
            _ = try retrying(base, few).stat(key)
            Issue.record("nothing was thrown")
        } catch let error as RepoError { #expect(error.message == "failure 4") }
        #expect(time.sleeps == [.seconds(0.5), .seconds(1), .seconds(2)])

        let short = RetryPolicy(
            attempts: 99, firstDelay: .seconds(1), maximumDelay: .seconds(9), totalTime: .seconds(3))
        let before = base.log.count
        #expect(code { try retrying(base, short).delete(key) } == .unreachable)
        #expect(base.log.count - before == 3)
    }

    @Test(
        "Errors that time does not heal are thrown at once",
        arguments: [RepoError.Code.failed, .notFound, .storeFull, .conflict, .damaged, .refused])
    func permanent(_ permanent: RepoError.Code) {
        let base = FaultingStore(MemoryStore()) { _ in .failBefore(RepoError(permanent, "no")) }
        #expect(code { try retrying(base).put(key, [1], .create) } == permanent)
        #expect(base.log.count == 1 && time.sleeps.isEmpty)
    }

    @Test("A created object whose answer was lost counts as created")
    func lostAnswer() throws {
        let base = failing([1: .failAfter(Self.lost), 3: .failBefore(Self.lost)])
        try retrying(base).put(key, [1, 2, 3], .create)
        #expect(try base.base.get(key, atMost: 3) == [1, 2, 3])
    }

    @Test(
        "Another's object found after a lost request is a conflict",
        arguments: [[4, 5, 6], [1, 2], [], [1, 2, 3, 4]])
    func lostRace(_ others: [UInt8]) throws {
        let key = key
        let base = MemoryStore()
        let faulting = FaultingStore(base) { operation in
            guard operation.ordinal == 1 else { return nil }
            try? base.put(key, others, .create)
            return .failBefore(Self.lost)
        }
        #expect(code { try retrying(faulting).put(key, [1, 2, 3], .create) } == .conflict)
        #expect(try base.get(key, atMost: 9) == others)
    }

    @Test("What is taken away between a lost answer and the look at it is put again", arguments: [3, 4])
    func takenAway(at call: Int) throws {
        let key = key
        let base = MemoryStore()
        let faulting = FaultingStore(base) { operation in
            if operation.ordinal == call { try? base.delete(key) }
            return operation.ordinal == 1 ? .failAfter(Self.lost) : nil
        }
        try retrying(faulting).put(key, [1, 2, 3], .create)
        #expect(try base.get(key, atMost: 9) == [1, 2, 3])
    }

    @Test("Equal bytes of another are a conflict when no request was lost")
    func equalBytes() throws {
        let base = MemoryStore()
        try base.put(key, [1], .create)
        #expect(code { try retrying(base).put(key, [1], .create) } == .conflict)
    }

    @Test("A listing broken in the middle tells each object once")
    func listing() throws {
        final class Breaking: Store {
            let base = MemoryStore()
            let listings = Monitor(0)
            var location: String { "breaking" }
            func put(_ key: StoreKey, _ bytes: UnsafeRawBufferPointer, _ mode: PutMode) throws {
                try base.put(key, bytes, mode)
            }
            func read(_ key: StoreKey, at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) throws
                -> Int
            {
                try base.read(key, at: offset, into: buffer)
            }
            func stat(_ key: StoreKey) throws -> StoredObject? { try base.stat(key) }
            func makeDurable(_ key: StoreKey) throws { try base.makeDurable(key) }
            func delete(_ key: StoreKey) throws { try base.delete(key) }
            func list(_ prefix: String, _ body: (StoredObject) throws -> Void) throws {
                let listing = listings.withLock { count in
                    count += 1
                    return count
                }
                for (index, object) in try base.list(prefix).enumerated() {
                    if index == listing * 3 { throw RetryingStoreTests.lost }
                    try body(object)
                }
            }
        }
        let base = Breaking()
        for index in 0..<10 { try base.put(StoreKey("index/\(index)"), [1], .create) }
        let seen = try retrying(base).list("index/").map(\.key.description).sorted()
        #expect(seen == (0..<10).map { "index/\($0)" })
        #expect(base.listings.withLock { $0 } == 4)
    }

    @Test("What the receiver of a listing throws is not tried again")
    func receiver() throws {
        let base = CountingStore(MemoryStore())
        try base.put(key, [1], .create)
        #expect(code { try retrying(base).list("") { _ in throw Self.lost } } == .unreachable)
        #expect(base.counts[.list] == 1 && time.sleeps.isEmpty)
    }
}

@Suite("Throttling")
struct ThrottledStoreTests {
    @Test("Bytes take their time, each way for itself")
    func rate() throws {
        let time = TestClock()
        let store = ThrottledStore(
            MemoryStore(), uploadBytesPerSecond: 1000, downloadBytesPerSecond: 500, clock: time.clock)
        for index in 0..<10 {
            try store.put(StoreKey("packs/a/\(index)"), [UInt8](repeating: 1, count: 1000), .create)
        }
        #expect(
            time.elapsed == .seconds(9), "10,000 bytes at 1,000 a second, the first second's worth at once")
        for index in 0..<5 { _ = try store.get(StoreKey("packs/a/\(index)"), atMost: 1000) }
        #expect(time.elapsed == .seconds(18), "5,000 bytes at 500 a second")
        time.advance(.seconds(1000))
        try store.put(StoreKey("packs/b"), [UInt8](repeating: 1, count: 3000), .create)
        #expect(time.elapsed == .seconds(1020), "idle time saves up one second's worth, no more")
    }

    @Test("Threads share the rate")
    func threads() {
        let time = TestClock()
        let store = ThrottledStore(
            MemoryStore(), uploadBytesPerSecond: 100, downloadBytesPerSecond: nil, clock: time.clock)
        let threads = (0..<4).map { thread in
            WorkerThread {
                for index in 0..<25 {
                    try? store.put(
                        StoreKey("x/\(thread)-\(index)"), [UInt8](repeating: 0, count: 10), .create)
                }
            }
        }
        for thread in threads { thread.join() }
        #expect(time.elapsed >= .seconds(9), "1,000 bytes at 100 a second")
    }

    @Test("Rates follow the hours of the day, over midnight too")
    func hours() throws {
        let time = TestClock()
        let minute = Monitor(12 * 60)
        let schedule = RateSchedule(
            .init(upload: 1000), hours: [.init(from: 8 * 60, to: 18 * 60, rates: .init(upload: 100)), .init(from: 22 * 60, to: 6 * 60, rates: .init())])
        let store = ThrottledStore(MemoryStore(), schedule, clock: time.clock) { minute.withLock { $0 } }
        func seconds(at now: Int) throws -> Duration {
            minute.withLock { $0 = now }
            time.advance(.seconds(1000))
            let before = time.elapsed
            for _ in 0..<2 { try store.put(StoreKey("a"), [UInt8](repeating: 1, count: 1000), .replace) }
            return time.elapsed - before
        }
        #expect(try seconds(at: 12 * 60) == .seconds(19))
        #expect(try seconds(at: 8 * 60) == .seconds(19))
        #expect(try seconds(at: 18 * 60) == .seconds(1))
        #expect(try seconds(at: 7 * 60) == .seconds(1))
        #expect(try seconds(at: 23 * 60) == .zero)
        #expect(try seconds(at: 0) == .zero)
        #expect(try seconds(at: 6 * 60) == .seconds(1))
    }
}

@Suite("Concurrency that adapts")
struct AdaptiveStoreTests {
    @Test("It falls by half when the store turns calls away, and rises again one by one")
    func adapts() throws {
        let failing = Monitor(false)
        let store = AdaptiveStore(SwitchedStore(failing), atMost: 8)
        func call(_ times: Int) { for _ in 0..<times { _ = try? store.stat(StoreKey("a")) } }
        #expect(store.allowed == 8)
        failing.withLock { $0 = true }
        call(1)
        #expect(store.allowed == 4)
        call(5)
        #expect(store.allowed == 1)
        failing.withLock { $0 = false }
        call(1)
        #expect(store.allowed == 2)
        call(2 + 3)
        #expect(store.allowed == 4)
        call(1000)
        #expect(store.allowed == 8)
    }

    @Test("Never more are at it than allowed, and nobody waits for ever")
    func bound() throws {
        let inside = Monitor((now: 0, most: 0))
        let store = AdaptiveStore(SwitchedStore(Monitor(false)) { change in
            inside.withLock { state in
                state.now += change
                state.most = max(state.most, state.now)
            }
        }, atMost: 3)
        let threads = (0..<8).map { _ in WorkerThread { for _ in 0..<200 { _ = try? store.stat(StoreKey("a")) } } }
        for thread in threads { thread.join() }
        #expect(inside.withLock { $0.most } <= 3)
    }
}

/// Empty, and turns calls away when it is told to.
private struct SwitchedStore: Store {
    let failing: Monitor<Bool>
    let watch: @Sendable (Int) -> Void
    var location: String { "switched" }

    init(_ failing: Monitor<Bool>, watch: @escaping @Sendable (Int) -> Void = { _ in }) { (self.failing, self.watch) = (failing, watch) }

    func stat(_ key: StoreKey) throws -> StoredObject? {
        watch(1)
        defer { watch(-1) }
        if failing.withLock({ $0 }) { throw RepoError(.unreachable, "slow down") }
        return nil
    }

    func put(_ key: StoreKey, _ bytes: UnsafeRawBufferPointer, _ mode: PutMode) throws {}
    func read(_ key: StoreKey, at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) throws -> Int { 0 }
    func list(_ prefix: String, _ body: (StoredObject) throws -> Void) throws {}
    func makeDurable(_ key: StoreKey) throws {}
    func delete(_ key: StoreKey) throws {}
}

@Suite("Faults of the testing store")
struct FaultingStoreTests {
    let key = StoreKey("config")

    @Test("A fault before leaves nothing, a fault after leaves the work done")
    func beforeAndAfter() throws {
        let error = RepoError(.failed, "broken")
        for (fault, expected) in [(StoreFault.failBefore(error), false), (.failAfter(error), true)] {
            let store = FaultingStore(MemoryStore()) { $0.ordinal == 1 ? fault : nil }
            #expect(code { try store.put(key, [1], .create) } == .failed)
            #expect(try (store.stat(key) != nil) == expected)
            #expect(store.log.map(\.description) == ["put config", "stat config"])
        }
    }

    @Test("A dead process gets nothing done any more", arguments: [false, true])
    func death(_ afterWorking: Bool) throws {
        let store = FaultingStore(
            MemoryStore(), plan: FaultingStore.dying(atCall: 2, afterWorking: afterWorking))
        try store.put(StoreKey("a"), [1], .create)
        #expect(throws: ProcessDied.self) { try store.put(key, [1], .create) }
        #expect(throws: ProcessDied.self) { try store.delete(StoreKey("a")) }
        #expect(throws: ProcessDied.self) { _ = try store.stat(key) }
        #expect(throws: ProcessDied.self) { _ = try store.list("") }
        #expect(store.isDead && store.log.count == 2)
        #expect(try store.base.list("").count == (afterWorking ? 2 : 1))
    }

    @Test("A death at a change does not count reading calls")
    func deathAtChange() throws {
        let store = FaultingStore(MemoryStore(), plan: FaultingStore.dying(atChange: 2, afterWorking: true))
        _ = try store.stat(key)
        try store.put(key, [1], .create)
        _ = try store.list("")
        #expect(throws: ProcessDied.self) { try store.delete(key) }
        #expect(try store.base.stat(key) == nil)
    }

    @Test("A listing may end in the middle by death")
    func deathInListing() throws {
        let store = FaultingStore(MemoryStore()) { $0.kind == .list ? .dieAfterListing(2) : nil }
        for index in 0..<5 { try store.put(StoreKey("index/\(index)"), [1], .create) }
        var told = 0
        #expect(throws: ProcessDied.self) { try store.list("index/") { _ in told += 1 } }
        #expect(told == 2 && store.isDead)
    }

    @Test("A full store refuses what does not fit, and takes it after a deletion")
    func capacity() throws {
        let store = FaultingStore(MemoryStore(), capacity: 10)
        try store.put(StoreKey("a"), [UInt8](repeating: 0, count: 6), .create)
        #expect(code { try store.put(StoreKey("b"), [UInt8](repeating: 0, count: 5), .create) } == .storeFull)
        try store.put(StoreKey("a"), [UInt8](repeating: 0, count: 10), .replace)
        try store.delete(StoreKey("a"))
        try store.put(StoreKey("b"), [UInt8](repeating: 0, count: 5), .create)
        #expect(try store.base.list("").map(\.size) == [5])
    }

    @Test("The same seed gives the same faults")
    func seeds() {
        func fates(_ seed: UInt64) -> [StoreFault?] {
            let plan = FaultingStore.unreachable(seed: seed, probability: 0.3)
            return (1...1000).map { plan(StoreOperation(kind: .stat, name: "x", ordinal: $0)) }
        }
        #expect(fates(1) == fates(1))
        #expect(fates(1) != fates(2))
        #expect((250...350).contains(fates(3).count { $0 != nil }))
    }
}
