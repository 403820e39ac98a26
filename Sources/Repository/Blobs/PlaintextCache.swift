import BlobEngine
import RepoBase

/// Plaintexts of blobs that may be wanted again soon, the least recently used dropped first.
///
/// Bounded in bytes; shared by threads. What is in it was authenticated, so it serves as a base of deltas; it has not been
/// hashed, so a result that is delivered is verified by its reader.
///
/// It begins small, since most bases serve one chunk or two neighbours, and memory that stays in the processor's caches is written several times
/// as fast as fresh pages. Each blob that is wanted again after it was dropped makes it larger by as much, up to the limit.
final class PlaintextCache: Sendable {
    private struct Entry {
        let buffer: AlignedBuffer
        var lastUse: UInt64
    }

    private struct State {
        var entries: [BlobID: Entry] = [:]
        var bytes = 0
        var clock: UInt64 = 0
        /// Bytes that it may hold now.
        var allowance: Int
        /// What was dropped lately.
        var dropped: Set<BlobID> = []
        var droppedOrder: [BlobID] = []
    }

    private let state: Monitor<State>
    private let limit: Int
    private static let initialAllowance = 2 << 20
    /// Ids remembered, at least: some 64 MiB of chunks.
    private static let droppedLimit = 256

    /// - Parameter limit: bytes.
    init(limit: Int) {
        self.limit = limit
        state = Monitor(State(allowance: min(limit, Self.initialAllowance)))
    }

    func find(_ id: BlobID) -> AlignedBuffer? {
        state.withLock { state in
            guard let entry = state.entries[id] else { return nil }
            state.clock += 1
            state.entries[id]?.lastUse = state.clock
            return entry.buffer
        }
    }

    func insert(_ id: BlobID, _ buffer: AlignedBuffer) {
        guard buffer.count <= limit / 4 else { return }
        state.withLock { state in
            guard state.entries[id] == nil else { return }
            if state.dropped.remove(id) != nil { state.allowance = min(limit, state.allowance + buffer.count) }
            state.clock += 1
            state.entries[id] = Entry(buffer: buffer, lastUse: state.clock)
            state.bytes += buffer.count
            while state.bytes > state.allowance,
                let oldest = state.entries.min(by: { $0.value.lastUse < $1.value.lastUse })
            {
                state.bytes -= oldest.value.buffer.count
                state.entries[oldest.key] = nil
                Self.remember(oldest.key, &state)
            }
        }
    }

    private static func remember(_ id: BlobID, _ state: inout State) {
        guard state.dropped.insert(id).inserted else { return }
        state.droppedOrder.append(id)
        guard state.droppedOrder.count == 2 * droppedLimit else { return }
        for old in state.droppedOrder.prefix(droppedLimit) { state.dropped.remove(old) }
        state.droppedOrder.removeFirst(droppedLimit)
    }
}
