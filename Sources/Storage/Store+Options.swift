/// Stores without locks, versions and archives.
extension Store {
    public var isReadOnly: Bool { false }

    public var lock: ObjectLock? { nil }

    public var readsPast: Bool { false }

    public func lockedUntil(_ key: StoreKey) throws -> Int64? { nil }

    public func extendLock(_ key: StoreKey, until: Int64) throws {}

    public func purge(_ keys: [StoreKey]) throws { try delete(keys) }

    public func putData(_ key: StoreKey, _ bytes: UnsafeRawBufferPointer, _ mode: PutMode) throws { try put(key, bytes, mode) }

    public func putData(_ key: StoreKey, _ bytes: [UInt8], _ mode: PutMode) throws { try bytes.withUnsafeBytes { try putData(key, $0, mode) } }

    public var hasArchive: Bool { false }

    public func thaw(_ key: StoreKey, _ request: ThawRequest) throws {}
}

/// A store that does what another does, and something besides. What is asked about locks and archives goes to the other one. Puts of data do not: one
/// that does something with puts does it with these as well.
package protocol StoreDecorator: Store {
    var base: any Store { get }
}

extension StoreDecorator {
    public var isReadOnly: Bool { base.isReadOnly }

    public var lock: ObjectLock? { base.lock }

    public var readsPast: Bool { base.readsPast }

    public func lockedUntil(_ key: StoreKey) throws -> Int64? { try base.lockedUntil(key) }

    public func extendLock(_ key: StoreKey, until: Int64) throws { try base.extendLock(key, until: until) }

    public func purge(_ keys: [StoreKey]) throws { try base.purge(keys) }

    public var hasArchive: Bool { base.hasArchive }

    public func thaw(_ key: StoreKey, _ request: ThawRequest) throws { try base.thaw(key, request) }
}
