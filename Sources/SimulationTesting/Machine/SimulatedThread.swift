import Glibc
package import RepoBase

/// A thread of a simulated process: a real one that runs only when it is its turn.
package final class SimulatedThread: SimulatedMachine, @unchecked Sendable {
    // Everything here is touched only by the thread whose turn it is; turns are handed over by semaphores.
    enum State: Equatable {
        case ready
        case running
        case waiting(UnsafeRawPointer)
        case ended
    }

    let scheduler: SimulationScheduler
    var owner: SimulatedProcess
    var state = State.ready
    /// Nanoseconds; of a wait that ends by itself.
    var deadline: Int64?
    /// The last wait ended by its deadline.
    var isLate = false
    private let turn: UnsafeMutablePointer<sem_t>

    init(_ scheduler: SimulationScheduler, _ owner: SimulatedProcess) {
        (self.scheduler, self.owner) = (scheduler, owner)
        turn = .allocate(capacity: 1)
        precondition(sem_init(turn, 0, 0) == 0)
    }

    deinit {
        sem_destroy(turn)
        turn.deallocate()
    }

    func giveTurn() { sem_post(turn) }

    func awaitTurn() { while sem_wait(turn) != 0 {} }

    /// What others wait for until this thread is at its end.
    private var endAddress: UnsafeRawPointer { UnsafeRawPointer(turn) }

    // MARK: The machine

    package var hostName: String { owner.host.name }
    package var userName: String { "simulated" }
    package var identity: ProcessIdentity { owner.identity }
    package var processors: Int { owner.host.processors }

    package func isGone(_ process: ProcessIdentity) -> Bool { scheduler.isGone(process) }

    package func now() -> FileTime { scheduler.wallTime }

    package func elapsed() -> Duration { .nanoseconds(scheduler.now) }

    package func sleep(_ duration: Duration) { _ = wait(for: UnsafeRawPointer(Unmanaged.passUnretained(self).toOpaque()), until: elapsed() + duration) }

    package func fill(_ buffer: UnsafeMutableRawBufferPointer) { scheduler.fill(buffer) }

    package func fork() -> any SimulatedMachine { scheduler.addThread(of: owner) }

    package func begin() { awaitTurn() }

    package func end() {
        state = .ended
        wake(endAddress)
        scheduler.passTurn(from: self)
    }

    package func join(_ thread: any SimulatedMachine) {
        guard let thread = thread as? SimulatedThread else { return }
        while thread.state != .ended { _ = wait(for: thread.endAddress, until: nil) }
    }

    package func wait(for address: UnsafeRawPointer, until deadline: Duration?) -> Bool {
        state = .waiting(address)
        self.deadline = deadline.map(SimulationScheduler.nanoseconds)
        isLate = false
        scheduler.passTurn(from: self)
        return !isLate
    }

    package func wake(_ address: UnsafeRawPointer) { scheduler.wake(address) }
}
