import Glibc
import RepoBase

/// Keeps the bytes put and read below a rate each, over all threads together; the rates may differ by the hour of the day.
///
/// The rate holds on average: up to one second's worth goes through at once, then every call waits until its
/// bytes are due. One object is still sent as fast as the store takes it.
public struct ThrottledStore: StoreDecorator {
    package let base: any Store
    private let upload: TokenBucket
    private let download: TokenBucket

    /// - Parameters: rates in bytes per second; nil: unlimited.
    public init(
        _ base: any Store, uploadBytesPerSecond: Int?, downloadBytesPerSecond: Int?,
        clock: StoreClock = .system
    ) {
        self.init(
            base, RateSchedule(.init(upload: uploadBytesPerSecond, download: downloadBytesPerSecond)), clock: clock)
    }

    /// - Parameter minute: of the machine's day, since midnight; asked for at each call.
    public init(
        _ base: any Store, _ schedule: RateSchedule, clock: StoreClock = .system,
        minute: @escaping @Sendable () -> Int = ThrottledStore.minuteOfDay
    ) {
        self.base = base
        upload = TokenBucket(clock: clock) { schedule.rates(at: minute()).upload }
        download = TokenBucket(clock: clock) { schedule.rates(at: minute()).download }
    }

    /// Of the local time zone.
    public static func minuteOfDay() -> Int {
        var now = time(nil)
        var parts = tm()
        localtime_r(&now, &parts)
        return Int(parts.tm_hour) * 60 + Int(parts.tm_min)
    }

    public var location: String { base.location }

    public func put(_ key: StoreKey, _ bytes: UnsafeRawBufferPointer, _ mode: PutMode) throws {
        upload.take(bytes.count)
        try base.put(key, bytes, mode)
    }

    public func putData(_ key: StoreKey, _ bytes: UnsafeRawBufferPointer, _ mode: PutMode) throws {
        upload.take(bytes.count)
        try base.putData(key, bytes, mode)
    }

    public func read(
        _ key: StoreKey, at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer
    ) throws -> Int {
        let count = try base.read(key, at: offset, into: buffer)
        // Only now is it known how many there were; the next call waits for them too.
        download.take(count)
        return count
    }

    public func stat(_ key: StoreKey) throws -> StoredObject? { try base.stat(key) }

    public func list(_ prefix: String, _ body: (StoredObject) throws -> Void) throws {
        try base.list(prefix, body)
    }

    public func listKeys(_ prefix: String, _ body: (StoreKey) throws -> Void) throws { try base.listKeys(prefix, body) }

    public func folders(in folder: String) throws -> [String] { try base.folders(in: folder) }

    public func makeDurable(_ key: StoreKey) throws { try base.makeDurable(key) }

    public func delete(_ key: StoreKey) throws { try base.delete(key) }

    public func delete(_ keys: [StoreKey]) throws { try base.delete(keys) }

    public func get(_ key: StoreKey, atMost limit: Int) throws -> [UInt8] {
        let bytes = try base.get(key, atMost: limit)
        download.take(bytes.count)
        return bytes
    }

    public func removeAbandonedPuts(olderThan age: Duration) throws -> Int { try base.removeAbandonedPuts(olderThan: age) }
}

/// Hands out tokens at a steady rate, in the order of asking; holds one second's worth at most.
final class TokenBucket: Sendable {
    /// Nil: as many as are asked for.
    private let rate: @Sendable () -> Int?
    private let clock: StoreClock
    /// The moment when all tokens handed out so far are paid for.
    private let paid: Monitor<Duration>

    init(clock: StoreClock, perSecond rate: @escaping @Sendable () -> Int?) {
        self.rate = rate
        self.clock = clock
        paid = Monitor(clock.elapsed() - .seconds(1))
    }

    /// Returns when `count` tokens are due. A request larger than the bucket goes into debt and waits for it.
    func take(_ count: Int) {
        guard let perSecond = rate() else { return }
        precondition(perSecond > 0, "a rate is above zero")
        let wait = paid.withLock { paid in
            let now = clock.elapsed()
            paid = max(paid, now - .seconds(1)) + .seconds(Double(count) / Double(perSecond))
            return paid - now
        }
        if wait > .zero { clock.sleep(wait) }
    }
}
