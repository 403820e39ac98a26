import RepoBase
import Storage

/// A clock that only sleeping moves.
final class TestClock: Sendable {
    private let state = Monitor<(elapsed: Duration, sleeps: [Duration])>((.zero, []))

    var sleeps: [Duration] { state.withLock { $0.sleeps } }
    var elapsed: Duration { state.withLock { $0.elapsed } }

    func advance(_ duration: Duration) { state.withLock { $0.elapsed += duration } }

    /// Wall time begins at 1,000,000 seconds.
    var clock: StoreClock {
        StoreClock(
            now: { 1_000_000 + self.elapsed.components.seconds },
            elapsed: { self.elapsed },
            sleep: { duration in
                self.state.withLock {
                    $0.elapsed += duration
                    $0.sleeps.append(duration)
                }
            })
    }
}

/// The error's code, or nil when nothing is thrown or something else.
func code(of body: () throws -> Void) -> RepoError.Code? {
    do { try body() } catch { return (error as? RepoError)?.code }
    return nil
}
