/// A first-in, first-out queue between threads, with a bound: whoever is faster waits.
public final class BoundedQueue<Element: Sendable>: Sendable {
    private struct State {
        /// What was popped is nil, so that nothing is kept alive until its place is given up.
        var elements: [Element?] = []
        var first = 0
        var isClosed = false
        var count: Int { elements.count - first }
    }
    private let state: Monitor<State>
    private let limit: Int

    public init(limit: Int) {
        self.limit = limit
        state = Monitor(State())
    }

    /// Waits while the queue is full. False when it is closed: the element was not taken.
    /// `willWait` runs once, unlocked, before the first wait.
    @discardableResult
    public func push(_ element: Element, willWait: () -> Void = {}) -> Bool {
        let pushed: Bool? = state.update { state in
            if state.isClosed { return false }
            guard state.count < limit else { return nil }
            state.elements.append(element)
            return true
        }
        if let pushed { return pushed }
        willWait()
        return state.wait { state in
            if state.isClosed { return false }
            guard state.count < limit else { return nil }
            state.elements.append(element)
            return true
        }
    }

    /// Waits for an element; nil when the queue is closed and empty.
    public func pop() -> Element? {
        let popped: Element?? = state.wait { state -> Element?? in
            if state.count > 0 {
                let element = state.elements[state.first].take()
                state.first += 1
                if state.first > 256, state.first * 2 > state.elements.count {
                    state.elements.removeFirst(state.first)
                    state.first = 0
                }
                return element
            }
            return state.isClosed ? .some(nil) : nil
        }
        return popped ?? nil
    }

    /// No more elements; those in it are still popped.
    public func close() { state.update { $0.isClosed = true } }
}
