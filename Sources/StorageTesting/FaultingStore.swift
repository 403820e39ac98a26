public import RepoBase
public import Storage

/// What goes wrong with one call.
public enum StoreFault: Hashable, Sendable {
    /// The call throws and has done nothing.
    case failBefore(RepoError)
    /// The call does its work and then throws, as when an answer is lost. A listing has told everything by
    /// then.
    case failAfter(RepoError)
    /// The process dies before the call reaches the store: this call and every later one throw `ProcessDied`.
    case dieBefore
    /// The process dies after the store has done the call, and before it learns so.
    case dieAfter
    /// The process dies after a listing has told so many objects; other calls as `dieBefore`.
    case dieAfterListing(Int)
}

/// What every call throws once the process is dead. No code may treat it as a store's error.
public struct ProcessDied: Error, Hashable, Sendable {
    public init() {}
}

/// A store whose calls fail as a script or a seed says. Torn objects are not among the faults: the contract
/// forbids them.
public final class FaultingStore: StoreDecorator {
    /// Decides for each call; it may also do something to the store beneath, to play another process at that
    /// moment, or wait. It runs on the caller's thread, without a lock.
    public typealias Plan = @Sendable (StoreOperation) -> StoreFault?

    /// The store beneath: what another process would see, also after this one has died.
    public let base: any Store
    private let plan: Plan
    private let capacity: UInt64?

    private struct State {
        var log: [StoreOperation] = []
        var isDead = false
    }

    private let state = Monitor(State())
    /// Held while the size of a bounded store is looked at and a put made.
    private let filling = Monitor(())

    /// - Parameters:
    ///   - capacity: bytes of all objects together, above which a put throws `.storeFull`. Each put then
    ///     lists the store.
    ///   - plan: what goes wrong; nothing by default.
    public init(_ base: any Store, capacity: UInt64? = nil, plan: @escaping Plan = { _ in nil }) {
        self.base = base
        self.capacity = capacity
        self.plan = plan
    }

    /// Every call so far, also those that failed; calls after death are not among them.
    public var log: [StoreOperation] { state.withLock { $0.log } }
    public var isDead: Bool { state.withLock { $0.isDead } }
    /// Lets every further call throw `ProcessDied`.
    public func die() { state.withLock { $0.isDead = true } }

    public var location: String { base.location }

    public func put(_ key: StoreKey, _ bytes: UnsafeRawBufferPointer, _ mode: PutMode) throws {
        try perform(.put, key.description) {
            guard let capacity else { return try base.put(key, bytes, mode) }
            try filling.withLock { (_: inout Void) throws in
                var used = UInt64(bytes.count)
                try base.list("") { if $0.key != key { used += $0.size } }
                guard used <= capacity else {
                    throw RepoError(
                        .storeFull, "cannot store \(key) in \(location): no space left",
                        advice: "Free space there.")
                }
                try base.put(key, bytes, mode)
            }
        }
    }

    public func read(
        _ key: StoreKey, at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer
    ) throws -> Int {
        try perform(.read, key.description) { try base.read(key, at: offset, into: buffer) }
    }

    public func stat(_ key: StoreKey) throws -> StoredObject? {
        try perform(.stat, key.description) { try base.stat(key) }
    }

    public func list(_ prefix: String, _ body: (StoredObject) throws -> Void) throws {
        let operation = try begin(.list, prefix)
        var fault = plan(operation)
        var told = 0
        if case .dieAfterListing(let limit) = fault {
            try base.list(prefix) { object in
                guard told < limit else { throw dead() }
                told += 1
                try body(object)
            }
            fault = .dieBefore
        }
        try perform(fault) {
            try base.list(prefix) { object in
                guard !isDead else { throw ProcessDied() }
                try body(object)
            }
        }
    }

    public func listKeys(_ prefix: String, _ body: (StoreKey) throws -> Void) throws {
        try perform(.listKeys, prefix) {
            try base.listKeys(prefix) { key in
                guard !isDead else { throw ProcessDied() }
                try body(key)
            }
        }
    }

    public func folders(in folder: String) throws -> [String] {
        try perform(.folders, folder) { try base.folders(in: folder) }
    }

    public func makeDurable(_ key: StoreKey) throws {
        try perform(.makeDurable, key.description) { try base.makeDurable(key) }
    }

    public func delete(_ key: StoreKey) throws {
        try perform(.delete, key.description) { try base.delete(key) }
    }

    /// One after the other, as deletions of stores that keep no versions.
    public func purge(_ keys: [StoreKey]) throws {
        for key in keys { try perform(.delete, key.description) { try base.purge([key]) } }
    }

    private func perform<R>(
        _ kind: StoreOperation.Kind, _ name: String, _ body: () throws -> R
    ) throws -> R {
        try perform(plan(begin(kind, name)), body)
    }

    private func begin(_ kind: StoreOperation.Kind, _ name: String) throws -> StoreOperation {
        try state.withLock { state in
            if state.isDead { throw ProcessDied() }
            let operation = StoreOperation(kind: kind, name: name, ordinal: state.log.count + 1)
            state.log.append(operation)
            return operation
        }
    }

    private func perform<R>(_ fault: StoreFault?, _ body: () throws -> R) throws -> R {
        switch fault {
        case .failBefore(let error): throw error
        case .dieBefore, .dieAfterListing: throw dead()
        default: break
        }
        // Another thread may have died while the plan waited.
        guard !isDead else { throw ProcessDied() }
        let result = try body()
        switch fault {
        case .failAfter(let error): throw error
        case .dieAfter: throw dead()
        default: return result
        }
    }

    private func dead() -> ProcessDied {
        die()
        return ProcessDied()
    }
}
