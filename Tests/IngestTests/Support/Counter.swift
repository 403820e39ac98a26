import Synchronization

/// Counts calls from closures that must be Sendable.
final class Counter: Sendable {
    private let count = Mutex(0)

    /// The number of calls before this one.
    func next() -> Int {
        count.withLock { count in
            count += 1
            return count - 1
        }
    }

    var value: Int { count.withLock { $0 } }
}
