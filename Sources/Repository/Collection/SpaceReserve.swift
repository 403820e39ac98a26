import BlobEngine
import RepoBase
public import Storage

/// An object whose only use is to be deleted when the store is full: what frees space has to write a little first (docs/collection.md).
public enum SpaceReserve {
    static let key = StoreKey("reserve")
    /// Room for the records of a collection that deletes thousands of packs.
    static let byteCount = 1 << 20
    /// Enough for a journal entry on any file system.
    private static let leastByteCount = 64 << 10

    /// Puts it there where it is missing, as large as fits. Random bytes, since file systems that compress keep nothing for zeros. That it cannot
    /// be stored is no failure: it was not needed yet.
    public static func keep(in store: any Store) {
        guard let existing = try? store.stat(key)?.size ?? 0, existing < UInt64(byteCount) else { return }
        var size = byteCount
        while size >= max(leastByteCount, Int(existing) + 1) {
            do {
                try store.put(key, RandomBytes.make(size), .replace)
                return
            } catch let error as RepoError where error.code == .storeFull {
                size /= 2
            } catch {
                return
            }
        }
    }
}

/// A store that gives up the reserve when it is full, for small objects that deleting needs. Packs must fit without it.
struct ReservingStore: StoreDecorator {
    let base: any Store
    private let used = Monitor(false)

    init(_ base: any Store) { self.base = base }

    /// The reserve was given up: who is done with deleting puts it back.
    var hasUsedReserve: Bool { used.withLock { $0 } }

    var location: String { base.location }

    func put(_ key: StoreKey, _ bytes: UnsafeRawBufferPointer, _ mode: PutMode) throws {
        do {
            try base.put(key, bytes, mode)
        } catch let error as RepoError
            where error.code == .storeFull && !key.description.hasPrefix(PackObject.prefix)
        {
            guard try base.stat(SpaceReserve.key) != nil else { throw error }
            try base.delete(SpaceReserve.key)
            used.withLock { $0 = true }
            try base.put(key, bytes, mode)
        }
    }

    /// Data must fit without the reserve.
    func putData(_ key: StoreKey, _ bytes: UnsafeRawBufferPointer, _ mode: PutMode) throws { try base.putData(key, bytes, mode) }

    func read(_ key: StoreKey, at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        try base.read(key, at: offset, into: buffer)
    }

    func stat(_ key: StoreKey) throws -> StoredObject? { try base.stat(key) }

    func list(_ prefix: String, _ body: (StoredObject) throws -> Void) throws { try base.list(prefix, body) }

    func listKeys(_ prefix: String, _ body: (StoreKey) throws -> Void) throws { try base.listKeys(prefix, body) }

    func folders(in folder: String) throws -> [String] { try base.folders(in: folder) }

    func makeDurable(_ key: StoreKey) throws { try base.makeDurable(key) }

    func delete(_ key: StoreKey) throws { try base.delete(key) }

    func delete(_ keys: [StoreKey]) throws { try base.delete(keys) }

    func get(_ key: StoreKey, atMost limit: Int) throws -> [UInt8] { try base.get(key, atMost: limit) }

    func removeAbandonedPuts(olderThan age: Duration) throws -> Int { try base.removeAbandonedPuts(olderThan: age) }
}
