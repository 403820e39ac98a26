import RepoBase
public import Storage

/// A store that locks what is put, as a bucket with object lock does: a deletion hides an object, and what is locked cannot be purged.
public final class LockingStore: StoreDecorator {
    public struct Counts: Hashable, Sendable {
        public var asked = 0
        public var extended = 0
    }

    package let base: any Store
    public let lock: ObjectLock?
    private let now: @Sendable () -> Int64
    private let ends = Monitor<[StoreKey: Int64]>([:])
    private let state = Monitor(Counts())

    /// - Parameter now: seconds since 1970.
    public init(_ base: any Store, _ lock: ObjectLock, now: @escaping @Sendable () -> Int64) { (self.base, self.lock, self.now) = (base, lock, now) }

    public var counts: Counts { state.withLock { $0 } }
    public func reset() { state.withLock { $0 = Counts() } }
    public var location: String { base.location }

    /// Until when each object is locked that ever was.
    public var locks: [StoreKey: Int64] { ends.withLock { $0 } }

    public func put(_ key: StoreKey, _ bytes: UnsafeRawBufferPointer, _ mode: PutMode) throws {
        try base.put(key, bytes, mode)
        guard let lock, ObjectLock.covers(key) else { return }
        ends.withLock { $0[key] = now() + lock.seconds }
    }

    public func lockedUntil(_ key: StoreKey) throws -> Int64? {
        state.withLock { $0.asked += 1 }
        return ends.withLock { $0[key] }
    }

    public func extendLock(_ key: StoreKey, until: Int64) throws {
        state.withLock { $0.extended += 1 }
        ends.withLock { $0[key] = max($0[key] ?? until, until) }
    }

    public func purge(_ keys: [StoreKey]) throws {
        for key in keys {
            if let end = ends.withLock({ $0[key] }), end > now() {
                throw RepoError(.refused, "cannot delete \(key) in \(location): it is locked", advice: "Wait until its lock ends.")
            }
            try base.delete(key)
        }
    }

    public func read(_ key: StoreKey, at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        try base.read(key, at: offset, into: buffer)
    }

    public func stat(_ key: StoreKey) throws -> StoredObject? { try base.stat(key) }

    public func list(_ prefix: String, _ body: (StoredObject) throws -> Void) throws { try base.list(prefix, body) }

    public func makeDurable(_ key: StoreKey) throws { try base.makeDurable(key) }

    public func delete(_ key: StoreKey) throws { try base.delete(key) }
}
