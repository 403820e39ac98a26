import BlobEngine
import RepoBase

/// The plaintexts that a thread has decoded last, as bases of deltas: the oldest are dropped first. For one thread.
struct RecentPlaintexts {
    private struct Key: Hashable {
        let prefix: UInt64
        let type: BlobType
    }

    private var entries: [Key: AlignedBuffer] = [:]
    private var order: [Key] = []
    private var first = 0
    private var bytes = 0
    private let limit: Int

    /// - Parameter limit: bytes.
    init(limit: Int) { self.limit = limit }

    func find(_ prefix: UInt64, _ type: BlobType) -> AlignedBuffer? { entries[Key(prefix: prefix, type: type)] }

    mutating func insert(_ id: BlobID, _ type: BlobType, _ plaintext: AlignedBuffer) {
        let key = Key(prefix: id.prefix, type: type)
        guard plaintext.capacity <= limit / 2, entries[key] == nil else { return }
        entries[key] = plaintext
        order.append(key)
        bytes += plaintext.capacity
        while bytes > limit {
            let oldest = order[first]
            first += 1
            bytes -= entries.removeValue(forKey: oldest)?.capacity ?? 0
        }
        if first > 1024, first * 2 > order.count {
            order.removeFirst(first)
            first = 0
        }
    }
}
