import CISAL
public import RepoBase

/// Rows of parity over a window of blocks, summed up shard by shard: memory is the rows and not the shards, which are far more.
///
/// The same sums encode and decode: over what is left, for as many rows as shards are lost, they tell what the lost ones must have been.
public final class ParitySums: Sendable {
    public let rows: [Int]
    /// Blocks of each row in the window.
    public let blocks: Int
    /// Row after row.
    private let sums: AlignedBuffer
    private let threads: Int

    /// What a thread codes at a time, in bytes of each half of a block: sums of a hundred rows then stay in the processor's cache.
    private static let pieceSize = 4 << 10
    private static let piecesPerBlock = ErasureCode.halfSize / pieceSize

    /// All zero.
    public init(rows: [Int], blocks: Int, threads: Int) {
        (self.rows, self.blocks, self.threads) = (rows, blocks, threads)
        sums = AlignedBuffer(capacity: rows.count * blocks * ErasureCode.blockSize)
        sums.count = sums.capacity
        sums.all.initializeMemory(as: UInt8.self, repeating: 0)
    }

    /// A row of the window, by its place in `rows`: `blocks` blocks. Valid while this lives; nobody else may be adding.
    public func row(_ place: Int) -> UnsafeMutableRawBufferPointer {
        let size = blocks * ErasureCode.blockSize
        return UnsafeMutableRawBufferPointer(rebasing: sums.all[place * size..<(place + 1) * size])
    }

    /// Adds what these shards have in the window, or takes it away, which is the same.
    /// - Parameter sources: a buffer of `blocks` blocks for each.
    public func add(_ shards: [Int], _ sources: [AlignedBuffer]) {
        let tables = ErasureCode.tables(ErasureCode.matrix(rows: rows, shards: shards), width: shards.count * 2)
        multiply(tables, sources, rows.count) { [sums, blocks] place, offset, product in
            let target = sums.base + place * blocks * ErasureCode.blockSize + offset
            Self.xor(product, into: target, count: Self.pieceSize)
        }
    }

    /// What these shards have in the window, when all others of the group were added to rows that hold the group's parity.
    /// - Parameters:
    ///   - shards: as many as rows.
    ///   - targets: a buffer for each, of `blocks` blocks.
    public func solve(_ shards: [Int], into targets: [AlignedBuffer]) {
        let tables = ErasureCode.tables(ErasureCode.inverse(rows: rows, shards: shards), width: shards.count * 2)
        let size = blocks * ErasureCode.blockSize
        let sources = rows.indices.map { place in
            let copy = AlignedBuffer(capacity: size)
            copy.base.copyMemory(from: sums.base + place * size, byteCount: size)
            return copy
        }
        multiply(tables, sources, shards.count) { place, offset, product in
            (targets[place].base + offset).copyMemory(from: product, byteCount: Self.pieceSize)
        }
    }

    /// Calls `take` with each piece of each product: its vector's number, its offset in the vector, its bytes.
    private func multiply(
        _ tables: [UInt8], _ sources: [AlignedBuffer], _ count: Int,
        take: @escaping @Sendable (_ place: Int, _ offset: Int, _ product: UnsafeRawPointer) -> Void
    ) {
        let work: @Sendable (Int, AlignedBuffer) -> Void = { piece, scratch in
            let offset = piece / Self.piecesPerBlock * ErasureCode.blockSize + piece % Self.piecesPerBlock * Self.pieceSize
            var inputs: [UnsafeMutablePointer<UInt8>?] = []
            for source in sources {
                for half in 0..<2 {
                    inputs.append((source.base + offset + half * ErasureCode.halfSize).assumingMemoryBound(to: UInt8.self))
                }
            }
            var outputs: [UnsafeMutablePointer<UInt8>?] = (0..<count * 2).map {
                (scratch.base + $0 * Self.pieceSize).assumingMemoryBound(to: UInt8.self)
            }
            tables.withUnsafeBufferPointer { tables in
                ec_encode_data(
                    Int32(Self.pieceSize), Int32(inputs.count), Int32(outputs.count), UnsafeMutablePointer(mutating: tables.baseAddress),
                    &inputs, &outputs)
            }
            for vector in 0..<count * 2 {
                take(vector / 2, offset + vector % 2 * ErasureCode.halfSize, scratch.base + vector * Self.pieceSize)
            }
        }
        // Nothing in it throws.
        try? ParallelWork.run(
            blocks * Self.piecesPerBlock, threads: threads, worker: { AlignedBuffer(capacity: count * 2 * Self.pieceSize) }, work)
    }

    private static func xor(_ bytes: UnsafeRawPointer, into target: UnsafeMutableRawPointer, count: Int) {
        let words = count / MemoryLayout<SIMD8<UInt64>>.size
        let from = bytes.assumingMemoryBound(to: SIMD8<UInt64>.self)
        let to = target.assumingMemoryBound(to: SIMD8<UInt64>.self)
        for word in 0..<words { to[word] ^= from[word] }
    }
}
