import RepoBase
import Storage

/// A repository's store for a dry run: everything can be read, and nothing is written.
struct DiscardingStore: StoreDecorator {
    let base: any Store
    /// Sizes of what would have been put, so that its sum can be told.
    private let sizes = Monitor<[StoreKey: UInt64]>([:])

    init(_ base: any Store) { self.base = base }

    var location: String { base.location }

    func put(_ key: StoreKey, _ bytes: UnsafeRawBufferPointer, _ mode: PutMode) throws {
        if mode == .create, try stat(key) != nil {
            throw RepoError(.conflict, "\(key) already exists in \(location)")
        }
        sizes.withLock { $0[key] = UInt64(bytes.count) }
    }

    func read(_ key: StoreKey, at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        try base.read(key, at: offset, into: buffer)
    }

    func stat(_ key: StoreKey) throws -> StoredObject? {
        if let size = sizes.withLock({ $0[key] }) { return StoredObject(key: key, size: size, modified: 0) }
        return try base.stat(key)
    }

    func list(_ prefix: String, _ body: (StoredObject) throws -> Void) throws { try base.list(prefix, body) }

    func listKeys(_ prefix: String, _ body: (StoreKey) throws -> Void) throws { try base.listKeys(prefix, body) }

    func folders(in folder: String) throws -> [String] { try base.folders(in: folder) }

    func makeDurable(_ key: StoreKey) throws {}

    func delete(_ key: StoreKey) throws { sizes.withLock { _ = $0.removeValue(forKey: key) } }

    func purge(_ keys: [StoreKey]) throws { try delete(keys) }

    func extendLock(_ key: StoreKey, until: Int64) throws {}
}
