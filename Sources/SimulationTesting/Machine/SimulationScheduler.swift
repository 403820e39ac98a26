import Glibc
package import NumbersTesting
import RepoBase

/// What a process does, on its first thread.
package struct ScheduledThread: Sendable {
    package let process: SimulatedProcess
    package let body: @Sendable () -> Void

    package init(_ process: SimulatedProcess, _ body: @escaping @Sendable () -> Void) { (self.process, self.body) = (process, body) }
}

/// Whose turn it is, and what time: the same seed gives the same order of everything.
///
/// One thread runs at a time. It goes on until it waits for another, asks its store for something, or ends; then the seed decides who is next. Time
/// passes with operations, and jumps where all wait for it. Every state is touched only by the thread whose turn it is, which is what makes
/// `@unchecked Sendable` true.
package final class SimulationScheduler: @unchecked Sendable {
    /// Nanoseconds since the start.
    package private(set) var now: Int64
    /// Decides what happens.
    package var choices: SeededNumbers
    /// Random bytes for programs, apart from the choices.
    private var bytes: SeededNumbers
    /// How often another thread may take its turn at an operation, 0 to 1.
    private let switchChance: Double

    private var threads: [SimulatedThread] = []
    private var processes: [SimulatedProcess] = []
    /// What happens by itself at its time, such as the late arrival of a request.
    private var events: [(time: Int64, body: () -> Void)] = []
    private let done: UnsafeMutablePointer<sem_t>
    /// All wait for one another.
    package private(set) var isStuck = false

    /// 2023-11-14, in seconds since 1970.
    private static let startSecond: Int64 = 1_700_000_000

    /// - Parameter start: what `now` is at first, in nanoseconds: where an earlier simulation ended.
    package init(seed: UInt64, switchChance: Double, start: Int64 = 0) {
        now = start
        choices = SeededNumbers(seed: seed)
        bytes = SeededNumbers(seed: ~seed)
        self.switchChance = switchChance
        done = .allocate(capacity: 1)
        precondition(sem_init(done, 0, 0) == 0)
    }

    deinit {
        sem_destroy(done)
        done.deallocate()
    }

    static func nanoseconds(_ duration: Duration) -> Int64 {
        let (seconds, attoseconds) = duration.components
        return seconds * 1_000_000_000 + attoseconds / 1_000_000_000
    }

    var wallTime: FileTime {
        FileTime(seconds: Self.startSecond + now / 1_000_000_000, nanoseconds: UInt32(now % 1_000_000_000))
    }

    func fill(_ buffer: UnsafeMutableRawBufferPointer) {
        var at = 0
        while at < buffer.count {
            let number = bytes.next()
            withUnsafeBytes(of: number) { source in
                let count = min(8, buffer.count - at)
                (buffer.baseAddress! + at).copyMemory(from: source.baseAddress!, byteCount: count)
            }
            at += 8
        }
    }

    // MARK: Processes

    package func makeProcess(on host: SimulatedHost, _ title: String) -> SimulatedProcess {
        let process = SimulatedProcess(number: processes.count + 1, host: host, title: title)
        processes.append(process)
        return process
    }

    func isGone(_ identity: ProcessIdentity) -> Bool {
        let number = Int(truncatingIfNeeded: identity.processID)
        guard processes.indices.contains(number - 1) else { return true }
        return processes[number - 1].isGone
    }

    /// The thread that calls.
    package static var current: SimulatedThread {
        guard let thread = ThreadMachine.current as? SimulatedThread else { fatalError("this thread is not simulated") }
        return thread
    }

    // MARK: Running

    func addThread(of process: SimulatedProcess) -> SimulatedThread {
        let thread = SimulatedThread(self, process)
        threads.append(thread)
        return thread
    }

    /// Runs `bodies`, each on a thread of its process, and all that they start. False when they come to wait for one another: then their threads
    /// are left as they are.
    package func run(_ bodies: [ScheduledThread]) -> Bool {
        let roots = bodies.map { (addThread(of: $0.process), $0.body) }
        let started = roots.map { thread, body in
            ThreadMachine.with(RootMachine(thread)) { WorkerThread(body) }
        }
        guard let first = next(after: nil) else { return true }
        first.state = .running
        first.giveTurn()
        while sem_wait(done) != 0 {}
        guard !isStuck else { return false }
        for thread in started { thread.join() }
        for event in events.sorted(by: { $0.time < $1.time }) { event.body() }
        events = []
        return true
    }

    /// At an operation: others may take their turns.
    func yield(_ thread: SimulatedThread) {
        thread.state = .ready
        passTurn(from: thread)
    }

    /// Time that an operation takes.
    func spend(_ nanoseconds: Int64) { now += nanoseconds }

    func schedule(after nanoseconds: Int64, _ body: @escaping () -> Void) { events.append((now + nanoseconds, body)) }

    func wake(_ address: UnsafeRawPointer) {
        for thread in threads where thread.state == .waiting(address) {
            thread.state = .ready
            thread.deadline = nil
        }
    }

    func passTurn(from thread: SimulatedThread) {
        if thread.state == .ended { threads.removeAll { $0 === thread } }
        guard let next = next(after: thread) else {
            isStuck = !threads.isEmpty
            sem_post(done)
            if thread.state != .ended { thread.awaitTurn() }
            return
        }
        next.state = .running
        guard next !== thread else { return }
        next.giveTurn()
        if thread.state != .ended { thread.awaitTurn() }
    }

    private func next(after current: SimulatedThread?) -> SimulatedThread? {
        while true {
            expire()
            let ready = threads.filter { $0.state == .ready && $0.owner.frozenUntil <= now }
            if let current, current.state == .ready, current.owner.frozenUntil <= now, ready.count > 1,
                Double.random(in: 0..<1, using: &choices) >= switchChance
            {
                return current
            }
            if !ready.isEmpty { return ready.count == 1 ? ready[0] : ready[Int.random(in: 0..<ready.count, using: &choices)] }
            // Everybody waits: for the time at which something happens.
            var times = threads.compactMap { thread -> Int64? in
                if thread.state == .ready { return thread.owner.frozenUntil }
                return thread.deadline.map { max($0, thread.owner.frozenUntil) }
            }
            times += events.map(\.time)
            guard let time = times.min() else { return nil }
            now = max(now, time)
        }
    }

    /// What is due at this time.
    private func expire() {
        for thread in threads {
            guard case .waiting = thread.state, let deadline = thread.deadline, deadline <= now else { continue }
            thread.state = .ready
            thread.deadline = nil
            thread.isLate = true
        }
        guard events.contains(where: { $0.time <= now }) else { return }
        let due = events.filter { $0.time <= now }.sorted { $0.time < $1.time }
        events.removeAll { $0.time <= now }
        for event in due { event.body() }
    }

    /// What waits for what, where all do.
    package var waiting: [String] {
        threads.map { "process \($0.owner.number), \($0.owner.title): \($0.state)" }
    }
}

/// Starts the first threads, on a thread that is not simulated: their machines are there already.
private final class RootMachine: SimulatedMachine {
    private let thread: SimulatedThread
    init(_ thread: SimulatedThread) { self.thread = thread }

    var hostName: String { thread.hostName }
    var userName: String { thread.userName }
    var identity: ProcessIdentity { thread.identity }
    var processors: Int { thread.processors }
    func isGone(_ process: ProcessIdentity) -> Bool { thread.isGone(process) }
    func now() -> FileTime { thread.now() }
    func elapsed() -> Duration { thread.elapsed() }
    func sleep(_ duration: Duration) {}
    func fill(_ buffer: UnsafeMutableRawBufferPointer) { thread.fill(buffer) }
    func fork() -> any SimulatedMachine { thread }
    func begin() {}
    func end() {}
    func join(_ thread: any SimulatedMachine) {}
    func wait(for address: UnsafeRawPointer, until deadline: Duration?) -> Bool { true }
    func wake(_ address: UnsafeRawPointer) {}
}
