import RepoBase
public import Storage

/// The contract of `Store` as checks that every store and every decorator must pass.
///
/// A check makes an empty store, uses it, and throws a `ConformanceFailure` that says what the contract asks
/// and what happened instead. Run all of `StoreConformance.checks`, one test each.
public struct StoreConformance: Sendable, CustomStringConvertible {
    /// What the contract promises.
    public let description: String
    private let body: @Sendable (any Store) throws -> Void

    init(_ description: String, _ body: @escaping @Sendable (any Store) throws -> Void) {
        self.description = description
        self.body = body
    }

    /// - Parameter store: empty.
    public func run(on store: any Store) throws { try body(store) }

    public static let checks: [StoreConformance] = objects + ranges + errors + listings + races
}

/// What the contract asks for, and what the store did instead.
public struct ConformanceFailure: Error, CustomStringConvertible {
    public let description: String

    init(_ description: String) { self.description = description }
}

func require(_ condition: @autoclosure () throws -> Bool, _ promise: @autoclosure () -> String) throws {
    guard try condition() else { throw ConformanceFailure(promise()) }
}

/// The code of the `RepoError` that `body` throws.
func requireError(_ code: RepoError.Code, _ what: String, _ body: () throws -> Void) throws {
    do { try body() } catch let error as RepoError {
        try require(error.code == code, "\(what) throws \(code), not \(error.code): \(error)")
        try require(!error.message.isEmpty, "\(what) says what failed")
        return
    }
    throw ConformanceFailure("\(what) throws \(code), but threw nothing")
}

/// Runs `body` on so many threads at once and throws the first error that one of them throws.
func onThreads(_ count: Int, _ body: @escaping @Sendable (_ thread: Int) throws -> Void) throws {
    let failure = Monitor<(any Error)?>(nil)
    let started = Monitor(0)
    let threads = (0..<count).map { thread in
        WorkerThread {
            // A common start makes races likely.
            started.update { $0 += 1 }
            started.wait { $0 == count ? () : nil }
            do { try body(thread) } catch { failure.withLock { $0 = $0 ?? error } }
        }
    }
    for thread in threads { thread.join() }
    if let error = failure.withLock({ $0 }) { throw error }
}

/// Bytes that differ with the seed at nearly every position.
func pattern(_ count: Int, seed: Int = 1) -> [UInt8] {
    var state = UInt64(truncatingIfNeeded: seed) &* 0x9e37_79b9_7f4a_7c15 | 1
    return [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
        for index in 0..<count {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            buffer[index] = UInt8(truncatingIfNeeded: state >> 56)
        }
        filled = count
    }
}

extension Store {
    func readRange(_ key: StoreKey, _ offset: UInt64, _ count: Int) throws -> [UInt8] {
        try [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            filled = try read(key, at: offset, into: UnsafeMutableRawBufferPointer(buffer))
        }
    }

    func keys(_ prefix: String = "") throws -> [String] {
        try list(prefix).map(\.key.description).sorted()
    }
}
