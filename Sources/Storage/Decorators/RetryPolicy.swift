/// How often and how long a call on a store is tried: exponential waits with jitter, so that many clients of
/// a store that comes back do not return in step (Brooker, "Exponential Backoff and Jitter", 2015).
public struct RetryPolicy: Hashable, Sendable {
    /// Tries in all, the first one included; at least 1.
    public let attempts: Int
    /// The longest first wait; each further one may be twice as long.
    public let firstDelay: Duration
    /// No wait is longer.
    public let maximumDelay: Duration
    /// No wait begins that would end later than this after the first try began.
    public let totalTime: Duration

    public init(attempts: Int, firstDelay: Duration, maximumDelay: Duration, totalTime: Duration) {
        precondition(attempts >= 1 && firstDelay >= .zero && maximumDelay >= firstDelay)
        self.attempts = attempts
        self.firstDelay = firstDelay
        self.maximumDelay = maximumDelay
        self.totalTime = totalTime
    }

    /// Rides out a server's restart: at most 12 tries within 10 minutes.
    public static let standard = RetryPolicy(
        attempts: 12, firstDelay: .milliseconds(500), maximumDelay: .seconds(60), totalTime: .seconds(600))

    /// The same for another time: as many tries as fit into it.
    public func lasting(_ time: Duration) -> RetryPolicy {
        RetryPolicy(attempts: max(attempts, 1000), firstDelay: firstDelay, maximumDelay: maximumDelay, totalTime: time)
    }

    /// The wait after so many failed tries, or nil to give up. Between half of the longest wait and all of
    /// it.
    /// - Parameter random: in 0..<1.
    public func delay(afterFailures failures: Int, elapsed: Duration, random: Double) -> Duration? {
        guard failures < attempts else { return nil }
        var longest = firstDelay
        for _ in 1..<max(failures, 1) {
            longest = min(longest * 2, maximumDelay)
            if longest == maximumDelay { break }
        }
        let delay = longest * (0.5 + 0.5 * random)
        return elapsed + delay <= totalTime ? delay : nil
    }
}
