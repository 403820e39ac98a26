import RepoBase

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

    /// This machine's clocks.
    public static let system = StoreClock(
        now: { SystemClock.now().seconds }, elapsed: { SystemClock.elapsed() }, sleep: { SystemClock.sleep($0) })
}
