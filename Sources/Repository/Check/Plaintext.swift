import BlobEngine
import RepoBase

/// A decoded blob of one verifying thread; its buffer goes back to the thread's pool with its last owner.
final class Plaintext {
    let buffer: AlignedBuffer
    private let pool: PlaintextPool

    fileprivate init(_ buffer: AlignedBuffer, _ pool: PlaintextPool) {
        self.buffer = buffer
        self.pool = pool
    }

    deinit { pool.give(buffer) }
}

/// Buffers for plaintexts, used again and again: fresh ones would cost a page fault for every 4 KiB. For one thread.
final class PlaintextPool {
    private var free: [Int: [AlignedBuffer]] = [:]
    private var freeBytes = 0
    private static let granularity = 64 << 10
    private static let limit = 24 << 20

    func take(_ count: Int) -> Plaintext {
        let size = (max(count, 1) + Self.granularity - 1) / Self.granularity
        for candidate in size...(size + 2) {
            guard let buffer = free[candidate]?.popLast() else { continue }
            freeBytes -= buffer.capacity
            buffer.count = count
            return Plaintext(buffer, self)
        }
        let buffer = AlignedBuffer(capacity: size * Self.granularity)
        buffer.count = count
        return Plaintext(buffer, self)
    }

    fileprivate func give(_ buffer: AlignedBuffer) {
        guard freeBytes + buffer.capacity <= Self.limit else { return }
        freeBytes += buffer.capacity
        free[buffer.capacity / Self.granularity, default: []].append(buffer)
    }
}

/// The plaintexts that a thread has decoded last, as bases of deltas: the oldest are dropped first. For one thread.
struct RecentPlaintexts {
    private struct Key: Hashable {
        let prefix: UInt64
        let type: BlobType
    }

    private var entries: [Key: Plaintext] = [:]
    private var order: [Key] = []
    private var first = 0
    private var bytes = 0
    private let limit: Int

    /// - Parameter limit: bytes.
    init(limit: Int) { self.limit = limit }

    func find(_ prefix: UInt64, _ type: BlobType) -> Plaintext? { entries[Key(prefix: prefix, type: type)] }

    mutating func insert(_ id: BlobID, _ type: BlobType, _ plaintext: Plaintext) {
        let key = Key(prefix: id.prefix, type: type)
        guard plaintext.buffer.capacity <= limit / 2, entries[key] == nil else { return }
        entries[key] = plaintext
        order.append(key)
        bytes += plaintext.buffer.capacity
        while bytes > limit {
            let oldest = order[first]
            first += 1
            bytes -= entries.removeValue(forKey: oldest)?.buffer.capacity ?? 0
        }
        if first > 1024, first * 2 > order.count {
            order.removeFirst(first)
            first = 0
        }
    }
}
