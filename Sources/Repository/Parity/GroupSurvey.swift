import BlobEngine
import RepoBase
import Storage

/// Finds out what of a group is lost.
struct GroupSurvey: Sendable {
    let repository: OpenRepository
    let threads: Int
    /// Packs in the store, and their sizes.
    let sizes: [ObjectID: UInt64]

    private static let piece = 32

    init(_ repository: OpenRepository, threads: Int) throws {
        (self.repository, self.threads) = (repository, threads)
        var sizes: [ObjectID: UInt64] = [:]
        try repository.store.list(PackObject.prefix) { object in
            if let id = PackObject.id(object.key) { sizes[id] = object.size }
        }
        self.sizes = sizes
    }

    /// - Parameter suspects: packs whose blocks are all read; of others only presence and size are looked at.
    func map(_ entry: ParityCatalog.Entry, suspects: Set<ObjectID>) throws -> ErasureMap {
        let group = entry.group
        var map = ErasureMap(group)
        for row in 0..<group.parityCount where !entry.rows.contains(row) { map.lose(row: row, 0..<group.shardBlocks) }
        var doubtful: [ParityGroup.Member] = []
        for member in group.members {
            if sizes[member.id] == nil {
                map.lose(shard: member.shard, member.blocks)
            } else if suspects.contains(member.id) || sizes[member.id] != member.size {
                doubtful.append(member)
            }
        }
        let bad = Monitor<[(member: ParityGroup.Member, blocks: [Int])]>([])
        try ParallelWork.run(doubtful.count, threads: threads, worker: { AlignedBuffer(capacity: Self.piece * ErasureCode.blockSize) }) {
            [doubtful] number, buffer in
            let member = doubtful[number]
            var blocks: [Int] = []
            for start in stride(from: member.firstBlock, to: member.blocks.upperBound, by: Self.piece) {
                let range = start..<min(start + Self.piece, member.blocks.upperBound)
                blocks += try Self.read(member, range, into: buffer.all, repository)
            }
            if !blocks.isEmpty { bad.withLock { $0.append((member, blocks)) } }
        }
        for (member, blocks) in bad.withLock({ $0 }) { map.lose(shard: member.shard, blocks) }
        return map
    }

    /// Reads blocks of a pack, filled up with zeros, and returns those that are not what they were.
    static func read(
        _ member: ParityGroup.Member, _ blocks: Range<Int>, into buffer: UnsafeMutableRawBufferPointer, _ repository: OpenRepository
    ) throws -> [Int] {
        let target = UnsafeMutableRawBufferPointer(rebasing: buffer[..<(blocks.count * ErasureCode.blockSize)])
        target.initializeMemory(as: UInt8.self, repeating: 0)
        let offset = UInt64(blocks.lowerBound - member.firstBlock) * UInt64(ErasureCode.blockSize)
        let count = Int(min(UInt64(target.count), member.size - offset))
        do {
            _ = try repository.store.read(PackObject.key(member.id), at: offset, into: UnsafeMutableRawBufferPointer(rebasing: target[..<count]))
        } catch let error as RepoError where error.code == .notFound {
            return Array(blocks)
        }
        let sums = BlockChecksum.all(of: UnsafeRawBufferPointer(target))
        return blocks.filter { sums[$0 - blocks.lowerBound] != member.checksums[$0 - member.firstBlock] }
    }
}
