public import RepoBase

/// Tries again what failed because the store could not be reached (`.unreachable`), and nothing else. When
/// the policy gives up, the last error is thrown.
///
/// A create-only put may have worked although its answer was lost. When such a put is tried again and finds
/// the name taken, the object there is read: the same bytes mean that it was ours. So callers who race for
/// one name must put different bytes (a random nonce, their own id), as everything sealed does.
public struct RetryingStore: StoreDecorator {
    package let base: any Store
    private let policy: RetryPolicy
    private let clock: StoreClock
    private let random: @Sendable () -> Double
    private let onRetry: @Sendable (RepoError, Duration) -> Void

    /// - Parameters:
    ///   - random: in 0..<1, for the jitter.
    ///   - onRetry: told of each failure that will be tried again, and of the wait before.
    public init(
        _ base: any Store, policy: RetryPolicy = .standard, clock: StoreClock = .system,
        random: @escaping @Sendable () -> Double = { Double.random(in: 0..<1) },
        onRetry: @escaping @Sendable (RepoError, Duration) -> Void = { _, _ in }
    ) {
        self.base = base
        self.policy = policy
        self.clock = clock
        self.random = random
        self.onRetry = onRetry
    }

    public var location: String { base.location }

    public func put(_ key: StoreKey, _ bytes: UnsafeRawBufferPointer, _ mode: PutMode) throws {
        try retryingPut(key, bytes) { try base.put(key, bytes, mode) }
    }

    public func putData(_ key: StoreKey, _ bytes: UnsafeRawBufferPointer, _ mode: PutMode) throws {
        try retryingPut(key, bytes) { try base.putData(key, bytes, mode) }
    }

    private func retryingPut(_ key: StoreKey, _ bytes: UnsafeRawBufferPointer, _ put: () throws -> Void) throws {
        var isFirst = true
        // Taken away between a put and a look at it, as when this process was silent for so long that nobody waited for it.
        var timesGone = 0
        try retrying {
            defer { isFirst = false }
            while true {
                do { return try put() } catch let error as RepoError
                    where error.code == .conflict && (!isFirst || timesGone > 0)
                {
                    switch try holds(key, bytes) {
                    case true?: return
                    case nil where timesGone < 3: timesGone += 1
                    default: throw error
                    }
                }
            }
        }
    }

    /// Whether the object has exactly these bytes; nil where there is none. One that went to an archive at once cannot be read: its size, under a name
    /// that is made of what it holds, has to do.
    private func holds(_ key: StoreKey, _ bytes: UnsafeRawBufferPointer) throws -> Bool? {
        guard let object = try base.stat(key) else { return nil }
        guard object.size == UInt64(bytes.count) else { return false }
        if object.availability != .ready { return true }
        do {
            return try base.get(key, atMost: bytes.count).elementsEqual(bytes)
        } catch let error as RepoError where error.code == .notFound {
            return nil
        }
    }

    public func read(
        _ key: StoreKey, at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer
    ) throws -> Int {
        try retrying { try base.read(key, at: offset, into: buffer) }
    }

    public func stat(_ key: StoreKey) throws -> StoredObject? {
        try retrying { try base.stat(key) }
    }

    /// Remembers the keys that `body` has seen, so that a repeated listing tells each once.
    public func list(_ prefix: String, _ body: (StoredObject) throws -> Void) throws {
        var seen: Set<StoreKey> = []
        var refusal: (any Error)?
        try retrying {
            do {
                try base.list(prefix) { object in
                    guard seen.insert(object.key).inserted else { return }
                    do { try body(object) } catch {
                        refusal = error
                        throw error
                    }
                }
            } catch {
                // What the receiver throws is not the store's failure.
                if refusal == nil { throw error }
            }
        }
        if let refusal { throw refusal }
    }

    public func listKeys(_ prefix: String, _ body: (StoreKey) throws -> Void) throws {
        // Told when all are known: a set of them would be kept in any case.
        var seen: Set<StoreKey> = []
        var keys: [StoreKey] = []
        try retrying { try base.listKeys(prefix) { if seen.insert($0).inserted { keys.append($0) } } }
        for key in keys { try body(key) }
    }

    public func folders(in folder: String) throws -> [String] { try retrying { try base.folders(in: folder) } }

    public func makeDurable(_ key: StoreKey) throws { try retrying { try base.makeDurable(key) } }

    public func delete(_ key: StoreKey) throws {
        try retrying { try base.delete(key) }
    }

    public func delete(_ keys: [StoreKey]) throws { try retrying { try base.delete(keys) } }

    public func get(_ key: StoreKey, atMost limit: Int) throws -> [UInt8] { try retrying { try base.get(key, atMost: limit) } }

    public func removeAbandonedPuts(olderThan age: Duration) throws -> Int {
        try retrying { try base.removeAbandonedPuts(olderThan: age) }
    }

    public func thaw(_ key: StoreKey, _ request: ThawRequest) throws { try retrying { try base.thaw(key, request) } }

    public func lockedUntil(_ key: StoreKey) throws -> Int64? { try retrying { try base.lockedUntil(key) } }

    public func extendLock(_ key: StoreKey, until: Int64) throws { try retrying { try base.extendLock(key, until: until) } }

    public func purge(_ keys: [StoreKey]) throws { try retrying { try base.purge(keys) } }

    private func retrying<R>(_ body: () throws -> R) throws -> R {
        let start = clock.elapsed()
        var failures = 0
        while true {
            do {
                return try body()
            } catch let error as RepoError where error.code == .unreachable {
                failures += 1
                let elapsed = clock.elapsed() - start
                guard let delay = policy.delay(afterFailures: failures, elapsed: elapsed, random: random())
                else { throw error }
                onRetry(error, delay)
                clock.sleep(delay)
            }
        }
    }
}
