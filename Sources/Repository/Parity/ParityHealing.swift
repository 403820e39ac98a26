import BlobEngine
public import RepoBase
import Storage

/// Makes damaged and missing packs again from parity, byte for byte (docs/adr/0036-parity.md).
///
/// Only what is lost is solved for, block by block, so that many packs with a damaged sector each heal where no more of them meet at one place than there
/// are rows of parity. A pack counts as healed when its bytes have the hash that it is named by; then it is put in one step, and what was there is kept
/// below `damaged/`. Of one that cannot be made whole, the blocks that came back are put beside those that were good, for whoever salvages what reads.
public struct ParityHealing {
    public struct Result: Sendable {
        public var healed: [ObjectID] = []
        /// Packs that were not asked for and turned out to be damaged.
        public var found: Set<ObjectID> = []
        /// What could not be healed, and why.
        public var failed: [ObjectID: String] = [:]
        /// Of these, packs of which some blocks came back, so that more can be salvaged. Their objects hold what there is.
        public var mended: Set<ObjectID> = []
    }

    private let repository: OpenRepository
    private let threads: Int
    /// Blocks of a window: of each lost shard so many are in memory, and of 16 others.
    private static let largestWindow = 32
    private static let windowMemory = 32 << 20
    private static let lanesAtOnce = 16

    public init(_ repository: OpenRepository, threads: Int = availableProcessors()) {
        (self.repository, self.threads) = (repository, threads)
    }

    /// - Parameter ids: packs that are damaged or missing, or thought to be.
    public func run(_ ids: Set<ObjectID>) throws -> Result {
        var result = Result()
        var waiting = ids
        while !waiting.isEmpty {
            let found = try heal(waiting, &result)
            // What the others' healing has shown to be damaged is healed as well.
            waiting = found.subtracting(result.healed).subtracting(result.failed.keys)
            result.found.formUnion(waiting)
        }
        return result
    }

    /// Returns packs that were found to be damaged on the way.
    private func heal(_ ids: Set<ObjectID>, _ result: inout Result) throws -> Set<ObjectID> {
        let survey = try GroupSurvey(repository, threads: threads)
        var found: Set<ObjectID> = []
        var left = ids
        for entry in try ParityCatalog(repository).entries where !left.isDisjoint(with: entry.group.members.map(\.id)) {
            let work = try GroupHealing(repository, entry, survey, suspects: ids.union(found), wanted: left, threads: threads)
            try work.run()
            found.formUnion(work.found)
            for member in entry.group.members where left.contains(member.id) {
                if let reason = try work.finish(member) {
                    result.failed[member.id] = reason
                    if work.mended.contains(member.id) { result.mended.insert(member.id) }
                } else {
                    result.failed[member.id] = nil
                    result.healed.append(member.id)
                    left.remove(member.id)
                }
            }
        }
        for id in left where result.failed[id] == nil { result.failed[id] = "no parity covers it" }
        return found
    }

    /// Solves one group for what it lost.
    private final class GroupHealing {
        private let repository: OpenRepository
        private let entry: ParityCatalog.Entry
        private let wanted: Set<ObjectID>
        private let threads: Int
        private var map: ErasureMap
        private let spool: SpoolFile
        /// Where a pack's blocks stand in the spool.
        private var places: [ObjectID: UInt64] = [:]
        private var spooled: [ObjectID: Set<Int>] = [:]
        private var spoolEnd: UInt64 = 0
        private(set) var found: Set<ObjectID> = []
        private(set) var mended: Set<ObjectID> = []
        private var group: ParityGroup { entry.group }

        init(
            _ repository: OpenRepository, _ entry: ParityCatalog.Entry, _ survey: GroupSurvey, suspects: Set<ObjectID>,
            wanted: Set<ObjectID>, threads: Int
        ) throws {
            (self.repository, self.entry, self.wanted, self.threads) = (repository, entry, wanted, threads)
            map = try survey.map(entry, suspects: suspects)
            spool = try SpoolFile(in: repository.cacheDirectory)
        }

        func run() throws {
            let targets = group.members.filter { wanted.contains($0.id) }
            var needed = Set(targets.flatMap { map.lost($0) })
            var block = 0
            while block < group.shardBlocks {
                guard needed.contains(block), let rows = map.solvers(block) else {
                    block += 1
                    continue
                }
                let shards = map.shards[block]
                let limit = min(ParityHealing.largestWindow, max(1, ParityHealing.windowMemory / (shards.count * ErasureCode.blockSize)))
                var end = block + 1
                while end < group.shardBlocks, end - block < limit, map.shards[end] == shards, map.solvers(end) == rows { end += 1 }
                // Damage that shows only now changes what is to be solved.
                if try solve(block..<end, shards, rows) { block = end }
                needed = Set(targets.flatMap { map.lost($0) })
            }
        }

        /// False where more is lost than was known; the map knows it then.
        private func solve(_ blocks: Range<Int>, _ shards: [Int], _ rows: [Int]) throws -> Bool {
            let size = blocks.count * ErasureCode.blockSize
            let sums = ParitySums(rows: rows, blocks: blocks.count, threads: threads)
            guard try load(blocks, rows, into: sums) else { return false }
            let others = group.members.filter { !shards.contains($0.shard) && $0.blocks.overlaps(blocks) }
            let lanes = Dictionary(grouping: others, by: \.shard).sorted { $0.key < $1.key }
            let buffers = (0..<min(ParityHealing.lanesAtOnce, max(1, lanes.count))).map { _ in AlignedBuffer(capacity: size) }
            for first in stride(from: 0, to: lanes.count, by: ParityHealing.lanesAtOnce) {
                let batch = Array(lanes[first..<min(first + ParityHealing.lanesAtOnce, lanes.count)])
                guard try read(batch.map(\.value), blocks, into: buffers) else { return false }
                sums.add(batch.map(\.key), Array(buffers.prefix(batch.count)))
            }
            let targets = shards.map { _ in AlignedBuffer(capacity: size) }
            sums.solve(shards, into: targets)
            for (number, shard) in shards.enumerated() { try keep(shard, blocks, targets[number]) }
            return true
        }

        private func load(_ blocks: Range<Int>, _ rows: [Int], into sums: ParitySums) throws -> Bool {
            let bad = Monitor<[(row: Int, blocks: [Int])]>([])
            let group = group
            try ParallelWork.run(rows.count, threads: threads, worker: {}) { [repository] place, _ in
                let target = sums.row(place)
                target.initializeMemory(as: UInt8.self, repeating: 0)
                let damaged = try ParityReading.read(group, rows[place], blocks, into: target, repository)
                if !damaged.isEmpty { bad.withLock { $0.append((rows[place], damaged)) } }
            }
            let damage = bad.withLock { $0 }
            for (row, blocks) in damage { map.lose(row: row, blocks) }
            return damage.isEmpty
        }

        private func read(_ lanes: [[ParityGroup.Member]], _ blocks: Range<Int>, into buffers: [AlignedBuffer]) throws -> Bool {
            let bad = Monitor<[(member: ParityGroup.Member, blocks: [Int])]>([])
            let readers = repository.isRemote ? ParityHealing.lanesAtOnce : threads
            try ParallelWork.run(lanes.count, threads: readers, worker: {}) { [repository] number, _ in
                let buffer = buffers[number]
                UnsafeMutableRawBufferPointer(rebasing: buffer.all[..<(blocks.count * ErasureCode.blockSize)]).initializeMemory(
                    as: UInt8.self, repeating: 0)
                for member in lanes[number] {
                    let part = member.blocks.clamped(to: blocks)
                    let offset = (part.lowerBound - blocks.lowerBound) * ErasureCode.blockSize
                    let target = UnsafeMutableRawBufferPointer(rebasing: buffer.all[offset..<offset + part.count * ErasureCode.blockSize])
                    let damaged = try GroupSurvey.read(member, part, into: target, repository)
                    if !damaged.isEmpty { bad.withLock { $0.append((member, damaged)) } }
                }
            }
            let damage = bad.withLock { $0 }
            for (member, blocks) in damage {
                map.lose(shard: member.shard, blocks)
                if !wanted.contains(member.id) { found.insert(member.id) }
            }
            return damage.isEmpty
        }

        /// Puts what a shard must have had into the spool, pack by pack.
        private func keep(_ shard: Int, _ blocks: Range<Int>, _ solved: AlignedBuffer) throws {
            for member in group.members where member.shard == shard && member.blocks.overlaps(blocks) {
                if places[member.id] == nil {
                    places[member.id] = spoolEnd
                    spoolEnd += UInt64(member.blocks.count * ErasureCode.blockSize)
                }
                for block in member.blocks.clamped(to: blocks) {
                    let bytes = UnsafeRawBufferPointer(start: solved.base + (block - blocks.lowerBound) * ErasureCode.blockSize, count: ErasureCode.blockSize)
                    guard BlockChecksum.of(bytes) == member.checksums[block - member.firstBlock] else { continue }
                    try spool.write(bytes, at: places[member.id]! + UInt64((block - member.firstBlock) * ErasureCode.blockSize))
                    spooled[member.id, default: []].insert(block)
                }
            }
            withExtendedLifetime(solved) {}
        }

        /// Puts a pack back, or what there is of it. Why it is not whole, where it is not.
        func finish(_ member: ParityGroup.Member) throws -> String? {
            let lost = map.lost(member)
            let key = PackObject.key(member.id)
            if lost.isEmpty, try repository.store.stat(key)?.size == member.size { return "it is what its name says" }
            let back = spooled[member.id] ?? []
            let isWhole = lost.allSatisfy(back.contains)
            let reason = isWhole ? nil : map.isRecoverable(member) ? "its parity does not fit it" : map.excess(member)
            guard isWhole || !back.isEmpty else { return reason }
            let buffer = AlignedBuffer(capacity: member.blocks.count * ErasureCode.blockSize)
            buffer.all.initializeMemory(as: UInt8.self, repeating: 0)
            let bytes = UnsafeMutableRawBufferPointer(start: buffer.base, count: Int(member.size))
            do {
                _ = try repository.store.read(key, at: 0, into: bytes)
            } catch let error as RepoError where error.code == .notFound {
                // What there is of it is in the spool.
            }
            for block in back {
                let offset = (block - member.firstBlock) * ErasureCode.blockSize
                let target = UnsafeMutableRawBufferPointer(rebasing: buffer.all[offset..<offset + ErasureCode.blockSize])
                try spool.read(into: target, at: places[member.id]! + UInt64(offset))
            }
            if isWhole, ObjectHasher.hash(UnsafeRawBufferPointer(bytes)) != member.id { return "what parity gives is not what its name says" }
            try DamagedObjects.keep(key, in: repository.store)
            try repository.store.put(key, UnsafeRawBufferPointer(bytes), .replace)
            withExtendedLifetime(buffer) {}
            if !isWhole { mended.insert(member.id) }
            return reason
        }
    }
}
