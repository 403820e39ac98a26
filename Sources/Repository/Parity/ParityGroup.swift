import BlobEngine
import RepoBase

/// Packs that share parity: where each stands in the group's shards, and a checksum for each block (format.md, 13).
///
/// A shard is a row of blocks that holds one pack or several back to back, each from a block's beginning, zeros between. The blocks at the same place of all
/// shards, parity included, are one codeword: of them any `parityCount` may be lost.
struct ParityGroup: Hashable {
    struct Member: Hashable {
        let id: ObjectID
        /// Bytes.
        let size: UInt64
        let shard: Int
        let firstBlock: Int
        /// CRC-32C of each block, the last one filled up with zeros.
        var checksums: [UInt32]

        var blocks: Range<Int> { firstBlock..<firstBlock + ParityGroup.blockCount(size) }
    }

    let id: [UInt8]
    /// Blocks of every shard.
    let shardBlocks: Int
    /// Of data.
    let shardCount: Int
    /// Ascending by shard, then by block.
    let members: [Member]
    /// Of each row of parity, the checksums of its blocks.
    let paritySums: [[UInt32]]

    var parityCount: Int { paritySums.count }
    /// Of packs.
    var bytes: UInt64 { members.reduce(0) { $0 + $1.size } }
    var parityBytes: UInt64 { UInt64(parityCount) * shardSize }
    /// Bytes of an object of parity.
    var shardSize: UInt64 { UInt64(shardBlocks) * UInt64(ErasureCode.blockSize) }
    /// Blocks that packs fill.
    var filledBlocks: Int { members.reduce(0) { $0 + $1.blocks.count } }

    static func blockCount(_ size: UInt64) -> Int {
        Int((size + UInt64(ErasureCode.blockSize) - 1) / UInt64(ErasureCode.blockSize))
    }

    /// The most that a pack has.
    static let maximumShardBlocks = PackObject.maximumSize / ErasureCode.blockSize
    /// What solving takes memory for, whoever made the group.
    static let maximumRows = 1024
}

extension ParityGroup {
    func encoded() -> [UInt8] {
        var writer = ByteWriter(capacity: members.count * 64 + (filledBlocks + parityCount * shardBlocks) * 4)
        writer.field(1) { $0.raw(id) }
        writer.field(2) { $0.varint(ErasureCode.blockSize) }
        writer.field(3) { $0.varint(shardBlocks) }
        writer.field(4) { $0.varint(shardCount) }
        for member in members {
            writer.field(5) { writer in
                writer.hash(member.id)
                writer.varint(member.size)
                writer.varint(member.shard)
                writer.varint(member.firstBlock)
                for sum in member.checksums { writer.u32(sum) }
            }
        }
        for row in paritySums {
            writer.field(6) { writer in for sum in row { writer.u32(sum) } }
        }
        return writer.bytes
    }

    /// Throws `.damaged` for what contradicts itself: nothing that comes of it goes past an object's end or takes more than its own size.
    init(_ body: [UInt8], object: String) throws(RepoError) {
        var reader = ByteReader(body, object: object)
        var id: [UInt8] = []
        var (blockSize, shardBlocks, shardCount) = (0, 0, 0)
        var members: [Member] = []
        var paritySums: [[UInt32]] = []
        try reader.fields { (tag, field) throws(RepoError) -> Bool in
            switch tag {
            case 1: id = Array(try field.raw(ParityObject.groupIDByteCount))
            case 2: blockSize = try field.varint(atMost: 1 << 30, "its blocks' size")
            case 3: shardBlocks = try field.varint(atMost: Self.maximumShardBlocks, "the blocks of a shard")
            case 4: shardCount = try field.varint(atMost: ErasureCode.maximumShards - 2, "the count of shards")
            case 5: members.append(try Member(from: &field, shardBlocks: shardBlocks, shardCount: shardCount))
            case 6: paritySums.append(try field.checksums(shardBlocks))
            default: return false
            }
            return true
        }
        guard id.count == ParityObject.groupIDByteCount, blockSize == ErasureCode.blockSize, shardBlocks > 0, shardCount > 0, !members.isEmpty,
            (1...Self.maximumRows).contains(paritySums.count), paritySums.count + shardCount < ErasureCode.maximumShards
        else { throw .damaged(object, "a field is missing or out of range") }
        for (one, next) in zip(members, members.dropFirst()) {
            let isBehind = next.shard > one.shard || next.shard == one.shard && next.firstBlock >= one.blocks.upperBound
            guard isBehind else { throw .damaged(object, "its packs are out of order") }
        }
        guard Set(members.map(\.id)).count == members.count else { throw .damaged(object, "it names a pack twice") }
        (self.id, self.shardBlocks, self.shardCount, self.members, self.paritySums) = (id, shardBlocks, shardCount, members, paritySums)
    }
}

extension ParityGroup.Member {
    fileprivate init(from field: inout ByteReader, shardBlocks: Int, shardCount: Int) throws(RepoError) {
        id = try field.hash()
        size = UInt64(try field.varint(atMost: PackObject.maximumSize, "a pack's size"))
        shard = try field.varint(atMost: shardCount - 1, "a shard's number")
        firstBlock = try field.varint(atMost: shardBlocks - 1, "a block's number")
        let count = ParityGroup.blockCount(size)
        guard count > 0, count <= shardBlocks - firstBlock else { throw field.fail("a pack does not fit its shard") }
        checksums = try field.checksums(count)
    }
}

extension ByteReader {
    fileprivate mutating func checksums(_ count: Int) throws(RepoError) -> [UInt32] {
        guard remaining == count * 4 else { throw fail("it has checksums of another count") }
        var sums: [UInt32] = []
        sums.reserveCapacity(count)
        for _ in 0..<count { sums.append(try u32()) }
        return sums
    }
}
