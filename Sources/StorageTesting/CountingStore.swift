import RepoBase
public import Storage

/// Counts calls and bytes by kind, to prove that something is cheap.
public final class CountingStore: StoreDecorator {
    public struct Counts: Hashable, Sendable {
        public var calls: [StoreOperation.Kind: Int] = [:]
        public var bytesPut: UInt64 = 0
        public var bytesRead: UInt64 = 0
        /// Objects told by listings.
        public var objectsListed = 0

        public subscript(kind: StoreOperation.Kind) -> Int { calls[kind, default: 0] }
    }

    package let base: any Store
    private let state = Monitor(Counts())

    public init(_ base: any Store) { self.base = base }

    public var counts: Counts { state.withLock { $0 } }
    public func reset() { state.withLock { $0 = Counts() } }

    public var location: String { base.location }

    public func put(_ key: StoreKey, _ bytes: UnsafeRawBufferPointer, _ mode: PutMode) throws {
        count(.put) { $0.bytesPut += UInt64(bytes.count) }
        try base.put(key, bytes, mode)
    }

    public func read(
        _ key: StoreKey, at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer
    ) throws -> Int {
        count(.read)
        let count = try base.read(key, at: offset, into: buffer)
        state.withLock { $0.bytesRead += UInt64(count) }
        return count
    }

    public func stat(_ key: StoreKey) throws -> StoredObject? {
        count(.stat)
        return try base.stat(key)
    }

    public func list(_ prefix: String, _ body: (StoredObject) throws -> Void) throws {
        count(.list)
        try base.list(prefix) { object in
            state.withLock { $0.objectsListed += 1 }
            try body(object)
        }
    }

    public func listKeys(_ prefix: String, _ body: (StoreKey) throws -> Void) throws {
        count(.listKeys)
        try base.listKeys(prefix, body)
    }

    public func folders(in folder: String) throws -> [String] {
        count(.folders)
        return try base.folders(in: folder)
    }

    public func makeDurable(_ key: StoreKey) throws {
        count(.makeDurable)
        try base.makeDurable(key)
    }

    public func delete(_ key: StoreKey) throws {
        count(.delete)
        try base.delete(key)
    }

    public func purge(_ keys: [StoreKey]) throws {
        for _ in keys { count(.delete) }
        try base.purge(keys)
    }

    private func count(_ kind: StoreOperation.Kind, _ more: (inout Counts) -> Void = { _ in }) {
        state.withLock { counts in
            counts.calls[kind, default: 0] += 1
            more(&counts)
        }
    }
}
