/// Numbered pieces of work, shared out among a few threads in ascending order.
public enum ParallelWork {
    private struct State {
        var next = 0
        var error: (any Error)?
    }

    /// Runs `body` once for each number below `count`, on at most `threads` threads, the caller's among them. `makeWorker` makes what one
    /// thread needs for itself. After the first error no further piece is begun, and that error is thrown.
    public static func run<Worker>(
        _ count: Int, threads: Int, worker makeWorker: @escaping @Sendable () -> Worker,
        _ body: @escaping @Sendable (_ number: Int, _ worker: Worker) throws -> Void
    ) throws {
        guard count > 0 else { return }
        let state = Monitor(State())
        let work: @Sendable () -> Void = {
            let worker = makeWorker()
            while true {
                let number: Int? = state.withLock { state in
                    guard state.error == nil, state.next < count else { return nil }
                    defer { state.next += 1 }
                    return state.next
                }
                guard let number else { return }
                do { try body(number, worker) } catch { state.withLock { $0.error = $0.error ?? error } }
            }
        }
        let helpers = (1..<max(1, min(threads, count))).map { _ in WorkerThread(work) }
        work()
        for helper in helpers { helper.join() }
        if let error = state.withLock({ $0.error }) { throw error }
    }
}
