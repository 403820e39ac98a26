import RepoBase

/// Keeps copies of small immutable objects in a directory of this machine: snapshots, index segments, reports, the
/// journal.
///
/// Only objects that `verify` accepts are kept, and a copy is verified each time it is loaded, so the
/// directory may be deleted, damaged or shared by processes at any moment. Objects under the cached prefixes
/// must never be replaced with other bytes that `verify` accepts; a name that is the hash of its bytes
/// guarantees that.
///
/// An object that another process deletes from the store may be seen here until the next listing of its
/// prefix, which forgets copies of what is gone. What must be seen at once (fences, condemned blobs) does not
/// belong under a cached prefix.
public final class CachingStore: Store {
    /// Whether an object's whole bytes are what its key promises.
    public typealias Verification = @Sendable (StoreKey, UnsafeRawBufferPointer) -> Bool

    private let base: any Store
    private let cache: CachedObjects
    private let prefixes: [String]
    private let maximumObjectBytes: UInt64
    private let verify: Verification

    private struct Recent {
        /// What stat told last, so that getting an object asks the store for its status once.
        var status: StoredObject?
        /// The object loaded last, verified, so that its ranges cost one verification.
        var object: CachedObject?
        /// Counts deletions and puts: what was fetched before one is not kept after it.
        var changes: UInt64 = 0
    }

    private let recent = Monitor(Recent())

    /// - Parameters:
    ///   - directory: made where it is missing.
    ///   - prefixes: of the keys that may be cached.
    ///   - maximumBytes: of all copies together; where several processes add at once, exceeded by at most an
    ///     eighth each.
    ///   - maximumObjectBytes: larger objects pass through.
    public init(
        _ base: any Store, directory: String, prefixes: [String] = ["snapshots/", "index/", "journal/", "reports/"],
        maximumBytes: UInt64, maximumObjectBytes: UInt64 = 16 << 20, clock: StoreClock = .system,
        verify: @escaping Verification
    ) throws {
        self.base = base
        self.prefixes = prefixes
        self.maximumObjectBytes = min(maximumObjectBytes, maximumBytes / 2)
        self.verify = verify
        cache = try CachedObjects(directory: directory, maximumBytes: maximumBytes, clock: clock)
    }

    public var location: String { base.location }

    public func put(_ key: StoreKey, _ bytes: UnsafeRawBufferPointer, _ mode: PutMode) throws {
        try base.put(key, bytes, mode)
        if isCacheable(key) { forget(key) }
    }

    public func delete(_ key: StoreKey) throws {
        try base.delete(key)
        if isCacheable(key) { forget(key) }
    }

    public func delete(_ keys: [StoreKey]) throws {
        defer { for key in keys where isCacheable(key) { forget(key) } }
        try base.delete(keys)
    }

    public func removeAbandonedPuts(olderThan age: Duration) throws -> Int { try base.removeAbandonedPuts(olderThan: age) }

    public func stat(_ key: StoreKey) throws -> StoredObject? {
        guard isCacheable(key) else { return try base.stat(key) }
        if let object = load(key) { return object.status }
        let changes = recent.withLock { $0.changes }
        let status = try base.stat(key)
        recent.withLock { if $0.changes == changes { $0.status = status } }
        return status
    }

    public func read(
        _ key: StoreKey, at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer
    ) throws -> Int {
        guard isCacheable(key), let object = try load(key) ?? fetch(key) else {
            return try base.read(key, at: offset, into: buffer)
        }
        return object.copyRange(at: offset, into: buffer)
    }

    public func list(_ prefix: String, _ body: (StoredObject) throws -> Void) throws {
        let covered = prefixes.filter {
            $0.utf8.starts(with: prefix.utf8) || prefix.utf8.starts(with: $0.utf8)
        }
        var gone: Set<StoreKey> = []
        for cached in covered {
            gone.formUnion(cache.keys(cached.utf8.count > prefix.utf8.count ? cached : prefix))
        }
        // Another process that shares the directory may have removed a copy that this one still holds.
        recent.withLock { recent in
            for key in [recent.object?.status.key, recent.status?.key] {
                if let key, key.description.utf8.starts(with: prefix.utf8) { gone.insert(key) }
            }
        }
        try base.list(prefix) { object in
            gone.remove(object.key)
            try body(object)
        }
        // Copied before the listing began and not in it: deleted meanwhile, by whoever.
        for key in gone { forget(key) }
    }

    public func listKeys(_ prefix: String, _ body: (StoreKey) throws -> Void) throws { try base.listKeys(prefix, body) }

    public func folders(in folder: String) throws -> [String] { try base.folders(in: folder) }

    public func makeDurable(_ key: StoreKey) throws { try base.makeDurable(key) }

    private func isCacheable(_ key: StoreKey) -> Bool {
        prefixes.contains { key.description.utf8.starts(with: $0.utf8) }
    }

    /// The copy, when there is one and it is sound.
    private func load(_ key: StoreKey) -> CachedObject? {
        let (held, changes) = recent.withLock { ($0.object, $0.changes) }
        if let held, held.status.key == key { return held }
        guard let object = cache.load(key) else { return nil }
        guard object.withBytes({ verify(key, $0) }) else {
            cache.remove(key)
            return nil
        }
        recent.withLock { if $0.changes == changes { $0.object = object } }
        return object
    }

    /// The whole object from the store, kept if it is sound; nil where it is to be read without a copy.
    private func fetch(_ key: StoreKey) throws -> CachedObject? {
        let (known, changes) = recent.withLock { ($0.status, $0.changes) }
        let status = try known?.key == key ? known : base.stat(key)
        guard let status, status.size <= maximumObjectBytes else { return nil }
        let size = Int(status.size)
        // One byte more, lest the beginning of a longer version pass for the whole object.
        let bytes = try [UInt8](unsafeUninitializedCapacity: size + 1) { buffer, count in
            count = try base.read(
                key, at: 0, into: UnsafeMutableRawBufferPointer(start: buffer.baseAddress, count: size + 1))
        }
        guard bytes.count == size else { return nil }
        let object = CachedObject(status: status, bytes: bytes)
        guard object.withBytes({ verify(key, $0) }) else { return object }
        recent.withLock { recent in
            guard recent.changes == changes else { return }
            recent.object = object
            cache.keep(object)
        }
        return object
    }

    private func forget(_ key: StoreKey) {
        recent.withLock { recent in
            recent.changes += 1
            if recent.status?.key == key { recent.status = nil }
            if recent.object?.status.key == key { recent.object = nil }
            cache.remove(key)
        }
    }
}
