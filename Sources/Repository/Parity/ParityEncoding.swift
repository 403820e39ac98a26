import BlobEngine
import RepoBase
import Storage

/// Makes the parity of a group and stores it: its objects, then its descriptions. Until the first of these is there, nothing happened.
///
/// All packs are read once, a window of blocks of each at a time, and verified by their names. Memory: the window of all rows of parity (about 32 MiB), and
/// 16 buffers of as many blocks.
struct ParityEncoding: Sendable {
    /// A group to be made.
    struct Job {
        let layout: ParityLayout
        /// The group that the new one is made from, with what is taken out of it and with `layout` holding what is kept and what is added; nil to code all
        /// packs anew.
        var base: ParityGroup?
    }

    /// Packs of a job that are not what their names say, or not there; nothing was stored.
    struct Unusable: Error {
        var damaged: Set<ObjectID> = []
        var gone: Set<ObjectID> = []
        /// The group to start from does not read.
        var base = false
    }

    let repository: OpenRepository
    var threads = availableProcessors()
    /// Told of bytes as they are coded.
    var onBytes: @Sendable (UInt64) -> Void = { _ in }

    private static let windowMemory = 32 << 20
    private static let largestWindow = 32
    private static let lanesAtOnce = 16
    private var readers: Int { repository.isRemote ? Self.lanesAtOnce : threads }

    /// A pack that goes into the sums. One thread at a time works on it; `Monitor`s of the work between windows order them.
    private final class Source: @unchecked Sendable {
        let place: ParityLayout.Place
        var hasher = ObjectHasher()
        var checksums: [UInt32] = []

        init(_ place: ParityLayout.Place) { self.place = place }
    }

    /// Packs that stand in one shard without overlapping.
    private struct Lane: Sendable {
        let shard: Int
        let sources: [Source]
    }

    /// Throws `Unusable`, and what the store throws.
    func run(_ job: Job) throws -> ParityGroup {
        let layout = job.layout
        let kept = Set(job.base?.members.map(\.id) ?? []).intersection(layout.places.map(\.id))
        let added = layout.places.filter { !kept.contains($0.id) }.map(Source.init)
        let removed = (job.base?.members ?? []).filter { !kept.contains($0.id) }.map {
            Source(ParityLayout.Place(id: $0.id, size: $0.size, shard: $0.shard, firstBlock: $0.firstBlock))
        }
        let lanes = Self.lanes(added) + Self.lanes(removed)
        let spool = try SpoolFile(in: repository.cacheDirectory)
        let sums = try sum(lanes, layout, job.base, into: spool)
        var unusable = Unusable()
        for source in added + removed where source.hasher.finish() != source.place.id { unusable.damaged.insert(source.place.id) }
        guard unusable.damaged.isEmpty else { throw unusable }

        var checksums = Dictionary(uniqueKeysWithValues: added.map { ($0.place.id, $0.checksums) })
        for member in job.base?.members ?? [] where kept.contains(member.id) { checksums[member.id] = member.checksums }
        let group = ParityGroup(
            id: RandomBytes.make(ParityObject.groupIDByteCount), shardBlocks: layout.shardBlocks, shardCount: layout.shardCount,
            members: layout.places.map {
                ParityGroup.Member(id: $0.id, size: $0.size, shard: $0.shard, firstBlock: $0.firstBlock, checksums: checksums[$0.id] ?? [])
            }, paritySums: sums)
        try store(group, spool)
        return group
    }

    private static func lanes(_ sources: [Source]) -> [Lane] {
        Dictionary(grouping: sources, by: \.place.shard).sorted { $0.key < $1.key }.map {
            Lane(shard: $0.key, sources: $0.value.sorted { $0.place.firstBlock < $1.place.firstBlock })
        }
    }

    // MARK: Summing up

    /// Fills the spool with the rows of parity, one after the other, and returns the checksums of their blocks.
    private func sum(_ lanes: [Lane], _ layout: ParityLayout, _ base: ParityGroup?, into spool: SpoolFile) throws -> [[UInt32]] {
        let rows = Array(0..<layout.parityCount)
        let window = max(1, min(Self.largestWindow, Self.windowMemory / (rows.count * ErasureCode.blockSize), layout.shardBlocks))
        let buffers = (0..<min(Self.lanesAtOnce, max(1, lanes.count))).map { _ in AlignedBuffer(capacity: window * ErasureCode.blockSize) }
        var checksums = [[UInt32]](repeating: [], count: rows.count)
        for start in stride(from: 0, to: layout.shardBlocks, by: window) {
            let blocks = start..<min(start + window, layout.shardBlocks)
            let sums = ParitySums(rows: rows, blocks: blocks.count, threads: threads)
            if let base { try load(base, blocks, into: sums) }
            let busy = lanes.filter { $0.sources.contains { $0.place.blocks.overlaps(blocks) } }
            for first in stride(from: 0, to: busy.count, by: Self.lanesAtOnce) {
                let batch = Array(busy[first..<min(first + Self.lanesAtOnce, busy.count)])
                try read(batch, blocks, into: buffers)
                sums.add(batch.map(\.shard), Array(buffers.prefix(batch.count)))
            }
            for row in rows {
                let bytes = UnsafeRawBufferPointer(sums.row(row))
                checksums[row] += BlockChecksum.all(of: bytes)
                try spool.write(bytes, at: UInt64(row * layout.shardBlocks + start) * UInt64(ErasureCode.blockSize))
            }
            withExtendedLifetime(sums) {}
        }
        return checksums
    }

    /// The window of a batch of shards, all zeros where no pack stands.
    private func read(_ batch: [Lane], _ blocks: Range<Int>, into buffers: [AlignedBuffer]) throws {
        let bad = Monitor(Unusable())
        try ParallelWork.run(batch.count, threads: readers, worker: {}) { number, _ in
            let buffer = buffers[number]
            buffer.count = blocks.count * ErasureCode.blockSize
            buffer.all.initializeMemory(as: UInt8.self, repeating: 0)
            for source in batch[number].sources where source.place.blocks.overlaps(blocks) {
                do {
                    try read(source, blocks, into: buffer)
                } catch let error as RepoError where error.code == .notFound {
                    bad.withLock { _ = $0.gone.insert(source.place.id) }
                } catch let error as RepoError where error.code == .damaged {
                    bad.withLock { _ = $0.damaged.insert(source.place.id) }
                }
            }
        }
        let unusable = bad.withLock { $0 }
        guard unusable.damaged.isEmpty, unusable.gone.isEmpty else { throw unusable }
    }

    private func read(_ source: Source, _ blocks: Range<Int>, into buffer: AlignedBuffer) throws {
        let place = source.place
        let part = place.blocks.clamped(to: blocks)
        let offset = UInt64(part.lowerBound - place.firstBlock) * UInt64(ErasureCode.blockSize)
        let count = Int(min(UInt64(part.count * ErasureCode.blockSize), place.size - offset))
        let target = UnsafeMutableRawBufferPointer(
            rebasing: buffer.all[(part.lowerBound - blocks.lowerBound) * ErasureCode.blockSize..<(part.upperBound - blocks.lowerBound) * ErasureCode.blockSize])
        let bytes = UnsafeMutableRawBufferPointer(rebasing: target[..<count])
        let key = PackObject.key(place.id)
        guard try repository.store.read(key, at: offset, into: bytes) == count else { throw RepoError.damaged("\(key)", "it ends early") }
        source.hasher.update(UnsafeRawBufferPointer(bytes))
        source.checksums += BlockChecksum.all(of: UnsafeRawBufferPointer(target))
        onBytes(UInt64(count))
    }

    /// Begins with the parity that a group has. Beyond the end of its shards it is zero.
    private func load(_ base: ParityGroup, _ blocks: Range<Int>, into sums: ParitySums) throws {
        let part = blocks.clamped(to: 0..<base.shardBlocks)
        guard !part.isEmpty else { return }
        let count = part.count * ErasureCode.blockSize
        let isBad = Monitor(false)
        try ParallelWork.run(base.parityCount, threads: readers, worker: {}) { row, _ in
            let target = UnsafeMutableRawBufferPointer(rebasing: sums.row(row)[..<count])
            do {
                let offset = UInt64(part.lowerBound) * UInt64(ErasureCode.blockSize)
                let got = try repository.store.read(ParityObject.shard(base.id, row: row), at: offset, into: target)
                let isGood = got == count && BlockChecksum.all(of: UnsafeRawBufferPointer(target)).elementsEqual(base.paritySums[row][part])
                if !isGood { isBad.withLock { $0 = true } }
            } catch let error as RepoError where error.code == .notFound {
                isBad.withLock { $0 = true }
            }
        }
        if isBad.withLock({ $0 }) {
            var unusable = Unusable()
            unusable.base = true
            throw unusable
        }
    }

    // MARK: Storing

    private func store(_ group: ParityGroup, _ spool: SpoolFile) throws {
        let size = Int(group.shardSize)
        let uploaders = repository.isRemote ? 4 : 2
        try ParallelWork.run(group.parityCount, threads: uploaders, worker: { AlignedBuffer(capacity: size) }) { row, buffer in
            let bytes = UnsafeMutableRawBufferPointer(start: buffer.base, count: size)
            try spool.read(into: bytes, at: UInt64(row) * group.shardSize)
            try repository.store.put(ParityObject.shard(group.id, row: row), UnsafeRawBufferPointer(bytes), .create)
        }
        let keys = repository.keys
        let description = SealedRecord.seal(.parity, group.encoded(), epoch: keys.currentEpoch, signer: keys.signer)
        guard description.count <= SealedRecord.byteLimit else {
            throw RepoError(.failed, "the description of a group of parity would have \(description.count) bytes, too many to be read again")
        }
        for copy in 0..<ParityObject.descriptionCopies {
            try repository.store.put(ParityObject.description(group.id, copy: copy), description, .create)
        }
    }
}
