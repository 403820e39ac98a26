import Glibc

/// A thread of our own for blocking or long work; it must be joined before it is released.
public final class WorkerThread: Sendable {
    private let thread: pthread_t
    private let joined = Monitor(false)
    /// Nil outside of simulations.
    private let machine: (any SimulatedMachine)?

    private final class Body {
        let run: @Sendable () -> Void
        let machine: (any SimulatedMachine)?

        init(_ run: @escaping @Sendable () -> Void, _ machine: (any SimulatedMachine)?) { (self.run, self.machine) = (run, machine) }
    }

    private static func start(_ body: Unmanaged<Body>) {
        guard let machine = body.takeUnretainedValue().machine else { return body.takeRetainedValue().run() }
        ThreadMachine.with(machine) {
            machine.begin()
            // What it holds is let go while it is this thread's turn.
            body.takeRetainedValue().run()
            machine.end()
        }
    }

    /// Starts at once. The stack is 1 MiB.
    public init(_ run: @escaping @Sendable () -> Void) {
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        pthread_attr_setstacksize(&attributes, 1 << 20)
        defer { pthread_attr_destroy(&attributes) }
        var started = pthread_t()
        machine = ThreadMachine.current?.fork()
        let status = pthread_create(
            &started, &attributes,
            { argument in
                WorkerThread.start(Unmanaged<Body>.fromOpaque(argument!))
                return nil
            }, Unmanaged.passRetained(Body(run, machine)).toOpaque())
        guard status == 0 else { fatalError("cannot start a thread: \(String(cString: strerror(status)))") }
        thread = started
    }

    /// Waits for its end; further calls return at once.
    public func join() {
        let mine = joined.withLock { done in
            defer { done = true }
            return !done
        }
        guard mine else { return }
        if let machine { ThreadMachine.current?.join(machine) }
        pthread_join(thread, nil)
    }
}

/// How many threads may work at once: the processors that are online (sysconf).
public func availableProcessors() -> Int { ThreadMachine.current?.processors ?? max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN))) }
