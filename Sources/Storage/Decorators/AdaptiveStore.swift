import RepoBase

/// Lets as many calls run at once as the store bears: half as many after each that it turned away or left unanswered (`.unreachable`), one more
/// after as many in a row that went well.
///
/// Additive increase, multiplicative decrease, as TCP does it (Chiu and Jain, 1989): many machines that share a store come to share it evenly. A
/// listing is not counted, since its receiver may make other calls meanwhile. Belongs below `RetryingStore`, so that whoever waits before the next
/// try holds no place.
public struct AdaptiveStore: StoreDecorator {
    package let base: any Store
    private let gate: ConcurrencyGate

    /// - Parameter most: calls at once, never exceeded.
    public init(_ base: any Store, atMost most: Int = 32) {
        self.base = base
        gate = ConcurrencyGate(most: most)
    }

    /// Calls that may run at once as of now.
    public var allowed: Int { gate.allowed }

    public var location: String { base.location }

    public func put(_ key: StoreKey, _ bytes: UnsafeRawBufferPointer, _ mode: PutMode) throws {
        try gate.pass { try base.put(key, bytes, mode) }
    }

    public func read(_ key: StoreKey, at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        try gate.pass { try base.read(key, at: offset, into: buffer) }
    }

    public func get(_ key: StoreKey, atMost limit: Int) throws -> [UInt8] { try gate.pass { try base.get(key, atMost: limit) } }

    public func stat(_ key: StoreKey) throws -> StoredObject? { try gate.pass { try base.stat(key) } }

    public func delete(_ key: StoreKey) throws { try gate.pass { try base.delete(key) } }

    public func delete(_ keys: [StoreKey]) throws { try gate.pass { try base.delete(keys) } }

    public func makeDurable(_ key: StoreKey) throws { try gate.pass { try base.makeDurable(key) } }

    public func list(_ prefix: String, _ body: (StoredObject) throws -> Void) throws { try base.list(prefix, body) }

    public func listKeys(_ prefix: String, _ body: (StoreKey) throws -> Void) throws { try base.listKeys(prefix, body) }

    public func folders(in folder: String) throws -> [String] { try base.folders(in: folder) }

    public func removeAbandonedPuts(olderThan age: Duration) throws -> Int { try base.removeAbandonedPuts(olderThan: age) }

    public func putData(_ key: StoreKey, _ bytes: UnsafeRawBufferPointer, _ mode: PutMode) throws {
        try gate.pass { try base.putData(key, bytes, mode) }
    }

    public func thaw(_ key: StoreKey, _ request: ThawRequest) throws { try gate.pass { try base.thaw(key, request) } }

    public func lockedUntil(_ key: StoreKey) throws -> Int64? { try gate.pass { try base.lockedUntil(key) } }

    public func extendLock(_ key: StoreKey, until: Int64) throws { try gate.pass { try base.extendLock(key, until: until) } }

    public func purge(_ keys: [StoreKey]) throws { try gate.pass { try base.purge(keys) } }
}

/// How many may be inside at once.
final class ConcurrencyGate: Sendable {
    private struct State {
        var allowed: Int
        var inside = 0
        /// Calls that went well since the number changed.
        var successes = 0
    }

    private let state: Monitor<State>
    private let most: Int

    init(most: Int) {
        precondition(most > 0)
        self.most = most
        state = Monitor(State(allowed: most))
    }

    var allowed: Int { state.withLock { $0.allowed } }

    func pass<R>(_ body: () throws -> R) throws -> R {
        let before = state.wait { state -> Int? in
            guard state.inside < state.allowed else { return nil }
            state.inside += 1
            return state.allowed
        }
        do {
            let result = try body()
            leave(wasTurnedAway: false, before)
            return result
        } catch {
            leave(wasTurnedAway: (error as? RepoError)?.code == .unreachable, before)
            throw error
        }
    }

    /// - Parameter before: how many were allowed when the call began: several that fail together count once.
    private func leave(wasTurnedAway: Bool, _ before: Int) {
        state.update { state in
            state.inside -= 1
            if wasTurnedAway {
                if state.allowed >= before { state.allowed = max(1, state.allowed / 2) }
                state.successes = 0
                return
            }
            state.successes += 1
            guard state.successes >= state.allowed, state.allowed < most else { return }
            state.allowed += 1
            state.successes = 0
        }
    }
}
