import Glibc

/// A thread of our own for blocking or long work; it must be joined before it is released.
public final class WorkerThread: Sendable {
    private let thread: pthread_t
    private let joined = Monitor(false)

    private final class Body {
        let run: @Sendable () -> Void
        init(_ run: @escaping @Sendable () -> Void) { self.run = run }
    }

    /// Starts at once. The stack is 1 MiB.
    public init(_ run: @escaping @Sendable () -> Void) {
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        pthread_attr_setstacksize(&attributes, 1 << 20)
        defer { pthread_attr_destroy(&attributes) }
        var started = pthread_t()
        let status = pthread_create(
            &started, &attributes,
            { argument in
                Unmanaged<Body>.fromOpaque(argument!).takeRetainedValue().run()
                return nil
            }, Unmanaged.passRetained(Body(run)).toOpaque())
        guard status == 0 else { fatalError("cannot start a thread: \(String(cString: strerror(status)))") }
        thread = started
    }

    /// Waits for its end; further calls return at once.
    public func join() {
        let mine = joined.withLock { done in
            defer { done = true }
            return !done
        }
        if mine { pthread_join(thread, nil) }
    }
}

/// How many threads may work at once: the processors that are online (sysconf).
public func availableProcessors() -> Int { max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN))) }
