import RepoBase
import RepositoryTesting
import Storage

@testable import Repository

/// Somebody at work on a repository, whose calls on the store a test lets through a few at a time, so that it decides how several of them interleave.
///
/// It works on a thread of its own, and may use more.
final class SteppedProcess: Sendable {
    private struct State {
        var allowed = 0
        /// The calls that want to be made, one for each thread.
        var waiting: [String] = []
        var calls = 0
        var result: Result<ObjectID?, any Error>?
    }

    private let state: Monitor<State>
    private let thread: WorkerThread

    /// Starts; the first call on the store already waits.
    /// - Parameter body: returns the snapshot that it made, if it made one.
    init(_ store: any Store, _ body: @escaping @Sendable (any Store) throws -> ObjectID?) {
        let state = Monitor(State())
        self.state = state
        let stepped = SteppedStore(store) { call in
            state.update { $0.waiting.append(call) }
            state.wait { state -> Void? in
                guard state.allowed > 0 else { return nil }
                state.allowed -= 1
                state.waiting.remove(at: state.waiting.firstIndex(of: call)!)
                state.calls += 1
                return ()
            }
        }
        thread = WorkerThread {
            let result = Result { try body(stepped) }
            state.update { $0.result = result }
        }
    }

    /// Lets so many more calls through and returns when they have been made and it wants another, or has ended.
    func advance(_ calls: Int) {
        state.update { $0.allowed += calls }
        state.wait { state -> Void? in
            state.result != nil || (state.allowed == 0 && !state.waiting.isEmpty) ? () : nil
        }
    }

    /// Lets calls through up to the first that begins and ends with these, such as `put gc/` and `/writers`, which then waits. False when
    /// it has ended without one.
    func advance(toCall begin: String, ending end: String = "") -> Bool {
        while result == nil {
            if state.withLock({ $0.waiting.contains { $0.hasPrefix(begin) && $0.hasSuffix(end) } }) { return true }
            advance(1)
        }
        return false
    }

    /// Calls so far.
    var calls: Int { state.withLock { $0.calls } }

    /// Nil while it is at work.
    var result: Result<ObjectID?, any Error>? { state.withLock { $0.result } }

    /// Lets all calls through.
    func finish() throws -> ObjectID? {
        advance(1 << 40)
        state.wait { state -> Void? in state.result != nil ? () : nil }
        thread.join()
        return try result!.get()
    }
}

/// Asks before each call.
private final class SteppedStore: Store {
    private let base: any Store
    private let pass: @Sendable (_ call: String) -> Void

    init(_ base: any Store, pass: @escaping @Sendable (_ call: String) -> Void) {
        self.base = base
        self.pass = pass
    }

    var location: String { base.location }

    func put(_ key: StoreKey, _ bytes: UnsafeRawBufferPointer, _ mode: PutMode) throws {
        pass("put \(key)")
        try base.put(key, bytes, mode)
    }

    func read(_ key: StoreKey, at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        pass("read \(key)")
        return try base.read(key, at: offset, into: buffer)
    }

    func stat(_ key: StoreKey) throws -> StoredObject? {
        pass("stat \(key)")
        return try base.stat(key)
    }

    func list(_ prefix: String, _ body: (StoredObject) throws -> Void) throws {
        pass("list \(prefix)")
        try base.list(prefix, body)
    }

    func makeDurable(_ key: StoreKey) throws { try base.makeDurable(key) }
    func delete(_ key: StoreKey) throws {
        pass("delete \(key)")
        try base.delete(key)
    }
}

extension CollectionWorld {
    func startSnapshot(_ files: Files, source: String = "files") throws -> SteppedProcess {
        let folder = try makeCache()
        return SteppedProcess(store) { [keys] store in
            try SnapshotTaking(
                OpenRepository(store: store, keys: keys, cacheDirectory: folder), files, source: source
            ).run()
        }
    }

    func startPrune(_ options: CollectionOptions = eager) throws -> SteppedProcess {
        let folder = try makeCache()
        return SteppedProcess(store) { [keys] store in
            let repository = try OpenRepository(store: store, keys: keys, cacheDirectory: folder)
            _ = try Collector(repository, options: options).run()
            return nil
        }
    }
}
