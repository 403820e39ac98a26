import BlobEngine
import RepoBase
import Storage

/// Reads objects of parity and compares them with their groups' checksums.
struct ParityReading: Sendable {
    let repository: OpenRepository
    let threads: Int
    private static let piece = 32

    init(_ repository: OpenRepository, threads: Int) { (self.repository, self.threads) = (repository, threads) }

    /// Damaged blocks of every row that is there, by group: of rows that have any.
    func damage(_ catalog: ParityCatalog, onBytes: @escaping @Sendable (UInt64) -> Void = { _ in }) throws -> [[UInt8]: [Int: [Int]]] {
        let rows = catalog.entries.flatMap { entry in entry.rows.sorted().map { (group: entry.group, row: $0) } }
        let found = Monitor<[[UInt8]: [Int: [Int]]]>([:])
        try ParallelWork.run(rows.count, threads: threads, worker: { AlignedBuffer(capacity: Self.piece * ErasureCode.blockSize) }) {
            [repository] number, buffer in
            let (group, row) = rows[number]
            var bad: [Int] = []
            for start in stride(from: 0, to: group.shardBlocks, by: Self.piece) {
                let blocks = start..<min(start + Self.piece, group.shardBlocks)
                bad += try Self.read(group, row, blocks, into: buffer.all, repository)
                onBytes(UInt64(blocks.count * ErasureCode.blockSize))
            }
            if !bad.isEmpty { found.withLock { $0[group.id, default: [:]][row] = bad } }
        }
        return found.withLock { $0 }
    }

    func damagedGroups(_ catalog: ParityCatalog) throws -> Set<[UInt8]> { Set(try damage(catalog).keys) }

    /// Reads blocks of a row and returns those that are not what they were.
    static func read(
        _ group: ParityGroup, _ row: Int, _ blocks: Range<Int>, into buffer: UnsafeMutableRawBufferPointer, _ repository: OpenRepository
    ) throws -> [Int] {
        let target = UnsafeMutableRawBufferPointer(rebasing: buffer[..<(blocks.count * ErasureCode.blockSize)])
        target.initializeMemory(as: UInt8.self, repeating: 0)
        do {
            let offset = UInt64(blocks.lowerBound) * UInt64(ErasureCode.blockSize)
            _ = try repository.store.read(ParityObject.shard(group.id, row: row), at: offset, into: target)
        } catch let error as RepoError where error.code == .notFound {
            return Array(blocks)
        }
        let sums = BlockChecksum.all(of: UnsafeRawBufferPointer(target))
        return blocks.filter { sums[$0 - blocks.lowerBound] != group.paritySums[row][$0] }
    }
}
