import BlobEngine
import RepoBase

/// What of a group is lost: at each place of a block, which shards and which rows of parity. Everything at one place is one codeword.
struct ErasureMap {
    let group: ParityGroup
    /// By block: numbers of shards, ascending.
    private(set) var shards: [[Int]]
    /// By block: numbers of rows, ascending.
    private(set) var rows: [[Int]]

    init(_ group: ParityGroup) {
        self.group = group
        shards = [[Int]](repeating: [], count: group.shardBlocks)
        rows = shards
    }

    mutating func lose(shard: Int, _ blocks: some Sequence<Int>) {
        for block in blocks where !shards[block].contains(shard) {
            shards[block].append(shard)
            shards[block].sort()
        }
    }

    mutating func lose(row: Int, _ blocks: some Sequence<Int>) {
        for block in blocks where !rows[block].contains(row) {
            rows[block].append(row)
            rows[block].sort()
        }
    }

    /// The rows of parity to solve a place with: as many as shards are lost there. Nil where fewer are left.
    func solvers(_ block: Int) -> [Int]? {
        let need = shards[block].count
        let left = (0..<group.parityCount).lazy.filter { !rows[block].contains($0) }.prefix(need)
        return left.count == need ? Array(left) : nil
    }

    /// The blocks of a pack that are lost.
    func lost(_ member: ParityGroup.Member) -> [Int] { member.blocks.filter { shards[$0].contains(member.shard) } }

    func isRecoverable(_ member: ParityGroup.Member) -> Bool {
        lost(member).allSatisfy { shards[$0].count <= group.parityCount - rows[$0].count }
    }

    /// In words: where the worst of a pack's blocks stands.
    func excess(_ member: ParityGroup.Member) -> String {
        let worst = lost(member).max { shards[$0].count + rows[$0].count < shards[$1].count + rows[$1].count }
        guard let worst else { return "nothing of it is lost" }
        let rest = group.parityCount - rows[worst].count
        return "\(shards[worst].count) blocks are lost that share parity, which brings back \(rest) of them"
    }
}
