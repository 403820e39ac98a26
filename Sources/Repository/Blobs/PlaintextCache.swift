import BlobEngine
import RepoBase

/// Plaintexts of blobs that may be wanted again soon, the least recently used dropped first.
///
/// Bounded in bytes; shared by threads. What is in it was authenticated, so it serves as a base of deltas; it has not been
/// hashed, so a result that is delivered is verified by its reader.
final class PlaintextCache: Sendable {
    private struct Entry {
        let buffer: AlignedBuffer
        var lastUse: UInt64
    }

    private struct State {
        var entries: [BlobID: Entry] = [:]
        var bytes = 0
        var clock: UInt64 = 0
    }

    private let state = Monitor(State())
    private let limit: Int

    /// - Parameter limit: bytes.
    init(limit: Int) { self.limit = limit }

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
            state.clock += 1
            state.entries[id] = Entry(buffer: buffer, lastUse: state.clock)
            state.bytes += buffer.count
            while state.bytes > limit, let oldest = state.entries.min(by: { $0.value.lastUse < $1.value.lastUse }) {
                state.bytes -= oldest.value.buffer.count
                state.entries[oldest.key] = nil
            }
        }
    }
}
