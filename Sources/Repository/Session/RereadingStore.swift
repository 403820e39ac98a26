import BlobEngine
import RepoBase
public import Storage

/// Reads an object once more whose bytes do not have the hash that is its name: over a network they may have been altered on the way, and only what comes so
/// twice is damage; and takes a put for done that conflicts with nothing but itself. Of what has no such name the store beneath compares the server's checksums, where it tells any.
public struct RereadingStore: StoreDecorator {
    package let base: any Store

    public init(_ base: any Store) { self.base = base }

    public var location: String { base.location }

    public func get(_ key: StoreKey, atMost limit: Int) throws -> [UInt8] {
        let bytes = try base.get(key, atMost: limit)
        guard let id = Self.hash(in: key), ObjectHasher.hash(bytes) != id else { return bytes }
        return try base.get(key, atMost: limit)
    }

    /// Of kinds that are named by the hash of their bytes (format.md, 2).
    private static func hash(in key: StoreKey) -> ObjectID? {
        let parts = key.description.split(separator: "/")
        guard parts.count > 1, ["packs", "index", "snapshots", "journal", "reports"].contains(parts[0]) else { return nil }
        return ObjectID(parts[parts.count - 1])
    }

    public func put(_ key: StoreKey, _ bytes: UnsafeRawBufferPointer, _ mode: PutMode) throws {
        try acceptingOwn(key, bytes) { try base.put(key, bytes, mode) }
    }

    public func read(_ key: StoreKey, at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        try base.read(key, at: offset, into: buffer)
    }

    public func putData(_ key: StoreKey, _ bytes: UnsafeRawBufferPointer, _ mode: PutMode) throws {
        try acceptingOwn(key, bytes) { try base.putData(key, bytes, mode) }
    }

    /// A network that asks twice makes a put conflict with itself. Whoever races for a name puts other bytes, so the same bytes are our own.
    private func acceptingOwn(_ key: StoreKey, _ bytes: UnsafeRawBufferPointer, _ put: () throws -> Void) throws {
        do {
            try put()
        } catch let error as RepoError where error.code == .conflict {
            guard let found = try? base.get(key, atMost: bytes.count), found.elementsEqual(bytes) else { throw error }
        }
    }

    public func stat(_ key: StoreKey) throws -> StoredObject? { try base.stat(key) }

    public func list(_ prefix: String, _ body: (StoredObject) throws -> Void) throws { try base.list(prefix, body) }

    public func listKeys(_ prefix: String, _ body: (StoreKey) throws -> Void) throws { try base.listKeys(prefix, body) }

    public func folders(in folder: String) throws -> [String] { try base.folders(in: folder) }

    public func makeDurable(_ key: StoreKey) throws { try base.makeDurable(key) }

    public func delete(_ key: StoreKey) throws { try base.delete(key) }

    public func delete(_ keys: [StoreKey]) throws { try base.delete(keys) }

    public func removeAbandonedPuts(olderThan age: Duration) throws -> Int { try base.removeAbandonedPuts(olderThan: age) }
}
