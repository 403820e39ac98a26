import Glibc

/// What stands in for the machine on one thread, and on all that it starts: clocks, random bytes, names, and which thread runs when.
///
/// For simulations of the real code alone (docs/adr/0037-simulation.md): elsewhere no thread has one, and everything asks the system. Of the
/// threads of one simulation only one runs at a time, and only in these calls may another take its turn.
package protocol SimulatedMachine: AnyObject, Sendable {
    var hostName: String { get }
    var userName: String { get }
    var identity: ProcessIdentity { get }
    /// What `availableProcessors` says.
    var processors: Int { get }
    /// Whether that process of this host runs no more.
    func isGone(_ process: ProcessIdentity) -> Bool

    func now() -> FileTime
    /// Since an arbitrary start; never goes back.
    func elapsed() -> Duration
    func sleep(_ duration: Duration)
    func fill(_ buffer: UnsafeMutableRawBufferPointer)

    /// Announces a thread, on the one that is about to start it; what is returned is the new thread's machine.
    func fork() -> any SimulatedMachine
    /// The first thing that a new thread does: waits for its first turn.
    func begin()
    /// The last thing that it does: gives its turn away for good.
    func end()
    /// Waits until the thread of that machine is at its end.
    func join(_ thread: any SimulatedMachine)

    /// Gives the turn away until `address` is woken, or `deadline` (as `elapsed` counts) is past: then false.
    func wait(for address: UnsafeRawPointer, until deadline: Duration?) -> Bool
    /// Lets all go on that wait for `address`.
    func wake(_ address: UnsafeRawPointer)
}

/// The machine of the calling thread.
package enum ThreadMachine {
    private final class Holder {
        let machine: any SimulatedMachine
        init(_ machine: any SimulatedMachine) { self.machine = machine }
    }

    /// pthread_getspecific costs about a nanosecond.
    private static let key: pthread_key_t = {
        var key = pthread_key_t()
        precondition(pthread_key_create(&key, nil) == 0)
        return key
    }()

    /// Nil outside of simulations.
    package static var current: (any SimulatedMachine)? {
        guard let holder = pthread_getspecific(key) else { return nil }
        return Unmanaged<Holder>.fromOpaque(holder).takeUnretainedValue().machine
    }

    /// Runs `body` with a machine as the calling thread's.
    package static func with<R>(_ machine: any SimulatedMachine, _ body: () throws -> R) rethrows -> R {
        let before = pthread_getspecific(key)
        let holder = Unmanaged.passRetained(Holder(machine))
        pthread_setspecific(key, holder.toOpaque())
        defer {
            pthread_setspecific(key, before)
            holder.release()
        }
        return try body()
    }
}
