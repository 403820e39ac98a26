import Glibc

/// Time as stores see it, so that tests decide when it passes.
public struct StoreClock: Sendable {
    /// Seconds since 1970, for what people read and for margins; it may jump.
    public let now: @Sendable () -> Int64
    /// Time since an arbitrary start; never goes back.
    public let elapsed: @Sendable () -> Duration
    /// Blocks the calling thread for at least this long.
    public let sleep: @Sendable (Duration) -> Void

    public init(
        now: @escaping @Sendable () -> Int64, elapsed: @escaping @Sendable () -> Duration,
        sleep: @escaping @Sendable (Duration) -> Void
    ) {
        self.now = now
        self.elapsed = elapsed
        self.sleep = sleep
    }

    /// CLOCK_REALTIME, CLOCK_MONOTONIC and clock_nanosleep(2).
    public static let system = StoreClock(
        now: { Int64(time(nil)) },
        elapsed: {
            var reading = timespec()
            clock_gettime(CLOCK_MONOTONIC, &reading)
            return .seconds(reading.tv_sec) + .nanoseconds(reading.tv_nsec)
        },
        sleep: { duration in
            let (seconds, attoseconds) = duration.components
            guard seconds >= 0, attoseconds >= 0 else { return }
            var left = timespec(tv_sec: Int(seconds), tv_nsec: Int(attoseconds / 1_000_000_000))
            withUnsafeMutablePointer(to: &left) { left in
                while clock_nanosleep(CLOCK_MONOTONIC, 0, left, left) == EINTR {}
            }
        })
}
