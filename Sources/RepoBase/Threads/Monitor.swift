import Glibc

/// A value behind a mutex, with one condition variable to wait for it to change (pthread_mutex, pthread_cond).
///
/// Blocking work runs on threads of our own, so threads here may wait. The state is reached only inside
/// `withLock`, which is what makes `@unchecked Sendable` true.
public final class Monitor<State>: @unchecked Sendable {
    private let mutex: UnsafeMutablePointer<pthread_mutex_t>
    private let condition: UnsafeMutablePointer<pthread_cond_t>
    private var state: State
    private let isProcessWide: Bool

    /// - Parameter isProcessWide: for the few that all threads of the process share: nobody waits for a change, and whoever holds the lock makes no
    ///   call that waits. Simulations leave those alone.
    public init(_ state: sending State, isProcessWide: Bool = false) {
        self.state = state
        self.isProcessWide = isProcessWide
        mutex = .allocate(capacity: 1)
        condition = .allocate(capacity: 1)
        precondition(pthread_mutex_init(mutex, nil) == 0)
        precondition(pthread_cond_init(condition, nil) == 0)
    }

    deinit {
        pthread_cond_destroy(condition)
        pthread_mutex_destroy(mutex)
        condition.deallocate()
        mutex.deallocate()
    }

    private func lock() {
        guard !isProcessWide, let machine = ThreadMachine.current else {
            pthread_mutex_lock(mutex)
            return
        }
        while pthread_mutex_trylock(mutex) != 0 { _ = machine.wait(for: mutex, until: nil) }
    }

    private func unlock() {
        pthread_mutex_unlock(mutex)
        if !isProcessWide, let machine = ThreadMachine.current { machine.wake(mutex) }
    }

    private func wakeAll() {
        pthread_cond_broadcast(condition)
        ThreadMachine.current?.wake(condition)
    }

    /// With the lock held, which is held again on return.
    private func waitForChange() {
        guard let machine = ThreadMachine.current else {
            pthread_cond_wait(condition, mutex)
            return
        }
        // Nobody else runs between these: a change cannot be missed.
        unlock()
        _ = machine.wait(for: condition, until: nil)
        lock()
    }

    /// Runs `body` with the lock held.
    @discardableResult
    public func withLock<R, E: Error>(_ body: (inout State) throws(E) -> R) throws(E) -> R {
        lock()
        defer { unlock() }
        return try body(&state)
    }

    /// Runs `body` with the lock held, then wakes every waiter.
    @discardableResult
    public func update<R, E: Error>(_ body: (inout State) throws(E) -> R) throws(E) -> R {
        lock()
        defer {
            wakeAll()
            unlock()
        }
        return try body(&state)
    }

    /// Waits until `body` returns a value. It runs with the lock held, at once and after each `update`; what it changes
    /// is seen by other waiters as well.
    public func wait<R, E: Error>(until body: (inout State) throws(E) -> R?) throws(E) -> R {
        lock()
        defer { unlock() }
        while true {
            if let result = try body(&state) {
                wakeAll()
                return result
            }
            waitForChange()
        }
    }

    /// Waits until `condition` holds or `seconds` have passed (by the realtime clock, pthread_cond_timedwait); whether it holds then.
    public func wait(upTo seconds: Int, until condition: (State) -> Bool) -> Bool {
        if let machine = ThreadMachine.current { return wait(until: machine.elapsed() + .seconds(seconds), machine, condition) }
        var deadline = timespec()
        clock_gettime(CLOCK_REALTIME, &deadline)
        deadline.tv_sec += seconds
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        while !condition(state) {
            if pthread_cond_timedwait(self.condition, mutex, &deadline) == ETIMEDOUT { return condition(state) }
        }
        return true
    }

    private func wait(until deadline: Duration, _ machine: any SimulatedMachine, _ condition: (State) -> Bool) -> Bool {
        lock()
        defer { unlock() }
        while !condition(state) {
            unlock()
            let isWoken = machine.wait(for: self.condition, until: deadline)
            lock()
            if !isWoken { return condition(state) }
        }
        return true
    }
}
