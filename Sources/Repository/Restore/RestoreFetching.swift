import RepoBase
import Storage

/// Fetches what a restore needs from a store that is far away, ahead of the threads that decode it: in long stretches, several at once, as much as memory allows.
///
/// Stretches are granted in the order of the batches that need them, so the first batches always get all of theirs, whatever waits behind. What cannot be fetched
/// is left to the thread that decodes, which learns what is wrong with which blob.
final class RestoreFetching: Sendable {
    /// Bytes fetched or being fetched, and not decoded yet. One batch needs at most 48 MiB, with all that lies between its chunks.
    private static let memoryLimit = 64 << 20
    /// Round trips at once.
    private static let threadCount = 8

    /// A batch that waits for what it needs.
    private final class Waiting: Sendable {
        private let state: Monitor<(batch: RestoreBatch, missing: Int)>

        init(_ batch: RestoreBatch, missing: Int) { state = Monitor((batch, missing)) }

        /// The batch, with its last stretch.
        func add(_ range: FetchedRange?) -> RestoreBatch? {
            state.withLock { state in
                if let range { state.batch.fetched.append(range) }
                state.missing -= 1
                guard state.missing == 0 else { return nil }
                defer { state.batch = RestoreBatch() }
                return state.batch
            }
        }
    }

    private struct Request: Sendable {
        var range: PackRange
        var batches: [Waiting]
    }

    private struct State {
        var requests: [Request] = []
        var next = 0
        var bytes = 0
        var isClosed = false
    }

    private let store: any Store
    private let isNeeded: @Sendable () -> Bool
    private let deliver: @Sendable (RestoreBatch) -> Void
    private let state = Monitor(State())
    private let threads = Monitor<[WorkerThread]>([])

    /// - Parameters:
    ///   - isNeeded: asked before each request; when false, batches are delivered as they are.
    ///   - deliver: called once for each batch, by any thread.
    init(_ store: any Store, isNeeded: @escaping @Sendable () -> Bool, deliver: @escaping @Sendable (RestoreBatch) -> Void) {
        (self.store, self.isNeeded, self.deliver) = (store, isNeeded, deliver)
        threads.withLock { threads in
            threads = (0..<Self.threadCount).map { _ in
                WorkerThread { [self] in
                    while let request = take() { fetch(request) }
                }
            }
        }
    }

    /// In the order of packs and places.
    func submit(_ batches: [RestoreBatch]) {
        var requests: [Request] = []
        for batch in batches {
            let waiting = Waiting(batch, missing: batch.ranges.count)
            for range in batch.ranges {
                if let longer = requests.last?.range.extended(to: range) {
                    requests[requests.count - 1].range = longer
                    requests[requests.count - 1].batches.append(waiting)
                } else {
                    requests.append(Request(range: range, batches: [waiting]))
                }
            }
        }
        state.update { [requests] state in
            state.requests.removeFirst(state.next)
            state.next = 0
            state.requests += requests
        }
    }

    /// Ends the threads, after what was submitted.
    func stop() {
        state.update { $0.isClosed = true }
        let threads = threads.withLock { threads in
            defer { threads = [] }
            return threads
        }
        for thread in threads { thread.join() }
    }

    /// The next one, as soon as there is memory for it.
    private func take() -> Request? {
        let taken: Request?? = state.wait { state -> Request?? in
            guard state.next < state.requests.count else { return state.isClosed ? .some(nil) : nil }
            let count = state.requests[state.next].range.bytes.count
            guard state.bytes == 0 || state.bytes + count <= Self.memoryLimit else { return nil }
            state.bytes += count
            defer {
                state.requests[state.next].batches = []
                state.next += 1
            }
            return state.requests[state.next]
        }
        return taken ?? nil
    }

    private func fetch(_ request: Request) {
        let range = request.range
        let count = range.bytes.count
        let giveBack: @Sendable () -> Void = { [state] in state.update { $0.bytes -= count } }
        let fetched =
            isNeeded()
            ? FetchedRange.read(range, from: store, whenDone: giveBack) : FetchedRange(range, AlignedBuffer(capacity: 1), whenDone: giveBack)
        for waiting in request.batches {
            if let batch = waiting.add(fetched) { deliver(batch) }
        }
    }
}
