import RepoBase

/// The same for many, by several threads of our own: each takes the next number until none is left or one fails.
enum ParallelWork {
    /// What `body` returns for each number below `count`, in their order. After a failure no further number is begun; the first is thrown when all
    /// threads have ended.
    static func map<Result: Sendable>(
        _ count: Int, threads: Int, _ body: @escaping @Sendable (Int) throws(RepoError) -> Result
    ) throws(RepoError) -> [Result] {
        let state = Monitor(State<Result>(results: Array(repeating: nil, count: count)))
        let workers = (0..<max(1, min(threads, count))).map { _ in
            WorkerThread {
                while let index = state.withLock({ state -> Int? in
                    guard state.failure == nil, state.next < count else { return nil }
                    defer { state.next += 1 }
                    return state.next
                }) {
                    do throws(RepoError) {
                        let result = try body(index)
                        state.withLock { $0.results[index] = result }
                    } catch {
                        state.withLock { $0.failure = $0.failure ?? error }
                    }
                }
            }
        }
        for worker in workers { worker.join() }
        return try state.withLock { state throws(RepoError) in
            if let failure = state.failure { throw failure }
            return state.results.compactMap { $0 }
        }
    }

    private struct State<Result> {
        var next = 0
        var results: [Result?]
        var failure: RepoError?
    }
}
