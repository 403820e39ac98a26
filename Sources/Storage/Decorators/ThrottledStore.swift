import RepoBase

/// Keeps the bytes put and read below a rate each, over all threads together.
///
/// The rate holds on average: up to one second's worth goes through at once, then every call waits until its
/// bytes are due. One object is still sent as fast as the store takes it.
public struct ThrottledStore: Store {
    private let base: any Store
    private let upload: TokenBucket?
    private let download: TokenBucket?

    /// - Parameters: rates in bytes per second; nil: unlimited.
    public init(
        _ base: any Store, uploadBytesPerSecond: Int?, downloadBytesPerSecond: Int?,
        clock: StoreClock = .system
    ) {
        self.base = base
        upload = uploadBytesPerSecond.map { TokenBucket(perSecond: $0, clock: clock) }
        download = downloadBytesPerSecond.map { TokenBucket(perSecond: $0, clock: clock) }
    }

    public var location: String { base.location }

    public func put(_ key: StoreKey, _ bytes: UnsafeRawBufferPointer, _ mode: PutMode) throws {
        upload?.take(bytes.count)
        try base.put(key, bytes, mode)
    }

    public func read(
        _ key: StoreKey, at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer
    ) throws -> Int {
        let count = try base.read(key, at: offset, into: buffer)
        // Only now is it known how many there were; the next call waits for them too.
        download?.take(count)
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
        download?.take(bytes.count)
        return bytes
    }

    public func removeAbandonedPuts(olderThan age: Duration) throws -> Int { try base.removeAbandonedPuts(olderThan: age) }
}

/// Hands out tokens at a steady rate, in the order of asking; holds one second's worth at most.
final class TokenBucket: Sendable {
    private let tokensPerSecond: Double
    private let clock: StoreClock
    /// The moment when all tokens handed out so far are paid for.
    private let paid: Monitor<Duration>

    init(perSecond: Int, clock: StoreClock) {
        precondition(perSecond > 0, "a rate is above zero")
        tokensPerSecond = Double(perSecond)
        self.clock = clock
        paid = Monitor(clock.elapsed() - .seconds(1))
    }

    /// Returns when `count` tokens are due. A request larger than the bucket goes into debt and waits for it.
    func take(_ count: Int) {
        let wait = paid.withLock { paid in
            let now = clock.elapsed()
            paid = max(paid, now - .seconds(1)) + .seconds(Double(count) / tokensPerSecond)
            return paid - now
        }
        if wait > .zero { clock.sleep(wait) }
    }
}
