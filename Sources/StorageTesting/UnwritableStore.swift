package import RepoBase
package import Storage

/// A store as somebody sees it who may store and delete nothing: on a read-only mount, a full disk, with credentials that may only read.
package struct UnwritableStore: StoreDecorator {
    package let base: any Store
    /// What each try throws.
    package let code: RepoError.Code

    package init(_ base: any Store, _ code: RepoError.Code = .failed) { (self.base, self.code) = (base, code) }

    package var location: String { base.location }

    package func put(_ key: StoreKey, _ bytes: UnsafeRawBufferPointer, _ mode: PutMode) throws { throw refusal(key) }

    package func read(_ key: StoreKey, at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) throws -> Int { try base.read(key, at: offset, into: buffer) }

    package func get(_ key: StoreKey, atMost limit: Int) throws -> [UInt8] { try base.get(key, atMost: limit) }

    package func stat(_ key: StoreKey) throws -> StoredObject? { try base.stat(key) }

    package func list(_ prefix: String, _ body: (StoredObject) throws -> Void) throws { try base.list(prefix, body) }

    package func makeDurable(_ key: StoreKey) throws { try base.makeDurable(key) }

    package func delete(_ key: StoreKey) throws { throw refusal(key) }

    private func refusal(_ key: StoreKey) -> RepoError { RepoError(code, "cannot change \(key) in \(location): this store cannot be written") }
}
