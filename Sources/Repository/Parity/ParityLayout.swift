import BlobEngine
import RepoBase

/// Where packs stand in the shards of a new group: the largest first, each in the first shard that has room (first-fit decreasing).
struct ParityLayout: Hashable {
    struct Place: Hashable {
        let id: ObjectID
        /// Bytes.
        let size: UInt64
        let shard: Int
        let firstBlock: Int

        var blocks: Range<Int> { firstBlock..<firstBlock + ParityGroup.blockCount(size) }
    }

    let shardBlocks: Int
    let shardCount: Int
    let parityCount: Int
    /// Ascending by shard, then by block.
    let places: [Place]

    init(shardBlocks: Int, shardCount: Int, parityCount: Int, places: [Place]) {
        (self.shardBlocks, self.shardCount, self.parityCount) = (shardBlocks, shardCount, parityCount)
        self.places = places.sorted { ($0.shard, $0.firstBlock) < ($1.shard, $1.firstBlock) }
    }

    /// - Parameter parity: bytes for 10,000 of packs.
    init(_ packs: [(id: ObjectID, size: UInt64)], parity: UInt64) {
        let sorted = packs.sorted { $0.size == $1.size ? $0.id < $1.id : $0.size > $1.size }
        shardBlocks = max(1, sorted.first.map { ParityGroup.blockCount($0.size) } ?? 1)
        var used: [Int] = []
        var places: [Place] = []
        // What is as large as the last one fits no shard that had no room for it.
        var (first, last) = (0, Int.max)
        for pack in sorted {
            let blocks = ParityGroup.blockCount(pack.size)
            if blocks < last { (first, last) = (0, blocks) }
            while first < used.count, used[first] + blocks > shardBlocks { first += 1 }
            if first == used.count { used.append(0) }
            places.append(Place(id: pack.id, size: pack.size, shard: first, firstBlock: used[first]))
            used[first] += blocks
        }
        shardCount = max(1, used.count)
        parityCount = Self.parityCount(filled: used.reduce(0, +), shardBlocks: shardBlocks, parity: parity)
        self.places = places.sorted { ($0.shard, $0.firstBlock) < ($1.shard, $1.firstBlock) }
    }

    /// Rows of parity whose bytes come nearest to the share of what packs fill; one at least.
    static func parityCount(filled: Int, shardBlocks: Int, parity: UInt64) -> Int {
        max(1, Int((Double(filled) * Double(parity) / (10_000 * Double(shardBlocks))).rounded()))
    }

    /// Whether a group that exists has about as many rows as it would be given now: one more or less of five.
    static func fits(_ parityCount: Int, filled: Int, shardBlocks: Int, parity: UInt64) -> Bool {
        let ideal = Self.parityCount(filled: filled, shardBlocks: shardBlocks, parity: parity)
        return abs(parityCount - ideal) <= ideal / 5
    }

    /// Shards of a group at most, so that coding keeps up with disks: its cost for a byte grows with the rows.
    static func shardLimit(parity: UInt64) -> Int { max(16, min(1024, Int(128 * 10_000 / max(1, parity)))) }
}
