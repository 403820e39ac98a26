/// Stores without locks and versions.
extension Store {
    public var isReadOnly: Bool { false }

    public var lock: ObjectLock? { nil }

    public func lockedUntil(_ key: StoreKey) throws -> Int64? { nil }

    public func extendLock(_ key: StoreKey, until: Int64) throws {}

    public func purge(_ keys: [StoreKey]) throws { try delete(keys) }
}

/// A store that does what another does, and something besides. What is asked about locks goes to the other one.
package protocol StoreDecorator: Store {
    var base: any Store { get }
}

extension StoreDecorator {
    public var isReadOnly: Bool { base.isReadOnly }

    public var lock: ObjectLock? { base.lock }

    public func lockedUntil(_ key: StoreKey) throws -> Int64? { try base.lockedUntil(key) }

    public func extendLock(_ key: StoreKey, until: Int64) throws { try base.extendLock(key, until: until) }

    public func purge(_ keys: [StoreKey]) throws { try base.purge(keys) }
}
