import Storage

/// Does something between a listing and its end, as another process may.
final class DuringListing: Store, @unchecked Sendable {
    private let base: any Store
    private let prefix: String
    private let body: () throws -> Void

    init(_ base: any Store, prefix: String, location: String? = nil, _ body: @escaping () throws -> Void) {
        (self.base, self.prefix, self.body, self.location) = (base, prefix, body, location ?? base.location)
    }

    let location: String
    func put(_ key: StoreKey, _ bytes: UnsafeRawBufferPointer, _ mode: PutMode) throws { try base.put(key, bytes, mode) }
    func read(_ key: StoreKey, at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        try base.read(key, at: offset, into: buffer)
    }
    func stat(_ key: StoreKey) throws -> StoredObject? { try base.stat(key) }
    func list(_ prefix: String, _ body: (StoredObject) throws -> Void) throws {
        let listed = try base.list(prefix)
        if prefix == self.prefix { try self.body() }
        try listed.forEach(body)
    }
    func makeDurable(_ key: StoreKey) throws { try base.makeDurable(key) }
    func delete(_ key: StoreKey) throws { try base.delete(key) }
}
