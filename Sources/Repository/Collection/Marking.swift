import BlobEngine
import RepoBase

/// Finds out what snapshots need: every blob that their trees lead to, every base that a needed delta rests on; and for each
/// blob the copy that is to be kept.
///
/// Two bits for each entry of the index. Chunks are looked up in sorted batches and copies are chosen in one merge over all tables,
/// so that the mapped index is read in order and little of it is resident at a time.
struct Marking {
    let index: IndexView
    private(set) var packs: PackCensus
    /// All copies of what is needed.
    private var needed: BlobBitmap
    /// The copies that are kept.
    private(set) var chosen: BlobBitmap
    private(set) var liveBlobs = 0
    private(set) var deadBlobs = 0
    /// Copies that must move: no other pack has the blob.
    private(set) var rescues: [IndexPlace] = []

    private var chunks: [BlobID] = []
    private var bases: [Base] = []
    private var lookups = 0

    private struct Base {
        let prefix: UInt64
        let type: BlobType
    }

    /// Ids of chunks looked up together: 32 MiB.
    private static let batchCount = 1 << 20
    /// Single lookups between two releases of resident memory; each may map 16 pages around two that it touches.
    private static let lookupsPerRelease = 1 << 11

    init(_ index: IndexView, _ packs: PackCensus) {
        self.index = index
        self.packs = packs
        needed = BlobBitmap(index)
        chosen = BlobBitmap(index)
    }

    // MARK: Reaching

    /// Marks what these root trees need. Throws `.damaged` when something of it is missing or does not read: nothing must be deleted then
    /// that a repair might want.
    mutating func reach(_ roots: [BlobID], _ repository: OpenRepository) throws {
        try Reachability.walk(roots: roots, repository, onProblem: { throw $0.error }) { id, type in
            if type != .chunk { return try reachNow(id, type) }
            try reachChunk(id)
            return false
        }
        try resolveChunks()
        chunks = []
    }

    /// Marks a chunk, with many others, at the latest in `resolveChunks`.
    mutating func reachChunk(_ id: BlobID) throws {
        chunks.append(id)
        if chunks.count == Self.batchCount { try resolveChunks() }
    }

    /// True when it was not marked before.
    private mutating func reachNow(_ id: BlobID, _ type: BlobType) throws -> Bool {
        lookups += 1
        if lookups % Self.lookupsPerRelease == 0 { index.releaseResident() }
        var isFound = false
        var isNew = false
        for (number, table) in index.tables.enumerated() {
            for position in table.positions(of: id) where table.record(at: position)?.type == type {
                isFound = true
                if needed.insert(table: number, position: position) { isNew = true }
            }
        }
        guard isFound else { throw Self.missing("blob \(id)") }
        return isNew
    }

    mutating func resolveChunks() throws {
        chunks.sort()
        var isFound = [Bool](repeating: false, count: chunks.count)
        for (number, table) in index.tables.enumerated() {
            for (order, id) in chunks.enumerated() {
                for position in table.positions(of: id) where table.record(at: position)?.type == .chunk {
                    isFound[order] = true
                    needed.insert(table: number, position: position)
                }
            }
            table.releaseResident()
        }
        if let order = isFound.firstIndex(of: false) { throw Self.missing("blob \(chunks[order])") }
        chunks.removeAll(keepingCapacity: true)
    }

    private static func missing(_ what: String) -> RepoError {
        RepoError(
            .damaged, "\(what), which a snapshot needs, is in no pack that the index names",
            advice:
                "Nothing was deleted. Run 'repo check', which names the snapshots concerned, then 'repo repair index'; what that does not bring back, "
                + "'repo repair snapshots' takes out of them, and 'repo forget ID' ends one of which nothing is left. A snapshot that was killed after a prune no longer waited for it may lack content, too: "
                + "it was never reported as done.")
    }

    // MARK: Choosing

    /// Chooses copies, and marks and chooses the bases that they rest on, link by link.
    mutating func choose() throws {
        var isFirst = true
        var neededBefore: Int
        repeat {
            neededBefore = needed.count
            var entries = MergedEntries(index.tables)
            var places: [IndexPlace] = []
            while entries.next(&places) != nil {
                if isFirst { count(places) }
                chooseCopy(places)
                if bases.count >= Self.batchCount { try reachBases() }
            }
            isFirst = false
            try reachBases()
        } while needed.count > neededBefore
        bases = []
        deadBlobs = packs.uses.reduce(0) { $0 + $1.blobs } - liveBlobs
    }

    private mutating func count(_ places: [IndexPlace]) {
        for place in places {
            guard let record = record(place), let pack = packs.place(index, place) else { continue }
            packs.countBlob(pack.number, table: place.table, record)
        }
    }

    private func record(_ place: IndexPlace) -> BlobRecord? {
        index.tables[Int(place.table)].record(at: Int(place.position))
    }

    private struct Copy {
        let place: IndexPlace
        let record: BlobRecord
        let pack: Int
        let standing: PackCensus.Standing
        /// 0 rests on nothing, 1 on what is there, 2 on what is missing.
        var chain = 0

        func isBetter(than other: Copy) -> Bool {
            (chain / 2, standing.rawValue, chain) < (other.chain / 2, other.standing.rawValue, other.chain)
        }
    }

    /// Of the copies of one blob one is kept. What only writer keys vouch for is not enough to let go of other copies: all are kept then.
    private mutating func chooseCopy(_ places: [IndexPlace]) {
        var copies: [Copy] = []
        for place in places where needed.contains(table: Int(place.table), position: Int(place.position)) {
            if chosen.contains(table: Int(place.table), position: Int(place.position)) { return }
            guard let record = record(place), let pack = packs.place(index, place) else { continue }
            copies.append(Copy(place: place, record: record, pack: pack.number, standing: pack.standing))
        }
        if copies.count > 1 {
            for copy in copies.indices where copies[copy].record.encoding == .delta {
                copies[copy].chain = hasChain(copies[copy].record, links: 0) ? 1 : 2
            }
        }
        guard var best = copies.first else { return }
        for copy in copies.dropFirst() where copy.isBetter(than: best) { best = copy }
        keep(best)
        guard best.standing == .unproven else { return }
        var kept: Set<Int> = [best.pack]
        for copy in copies where copy.standing == .unproven && kept.insert(copy.pack).inserted { keep(copy) }
    }

    private mutating func keep(_ copy: Copy) {
        chosen.insert(table: Int(copy.place.table), position: Int(copy.place.position))
        liveBlobs += 1
        packs.countLive(copy.pack, copy.record)
        if copy.standing == .leaving { rescues.append(copy.place) }
        for base in 0..<copy.record.bases.count {
            bases.append(Base(prefix: copy.record.bases[base], type: copy.record.type))
        }
    }

    private func hasChain(_ record: BlobRecord, links: Int) -> Bool {
        guard links < BlobReader.maximumChain else { return false }
        return (0..<record.bases.count).allSatisfy { base in
            index.candidates(prefix: record.bases[base]).contains { id in
                index.locations(of: id).contains {
                    $0.record.type == record.type && hasChain($0.record, links: links + 1)
                }
            }
        }
    }

    /// Marks the bases of what was chosen last. Those that come later in the merge are chosen in the same pass.
    private mutating func reachBases() throws {
        bases.sort { $0.prefix < $1.prefix }
        var isFound = [Bool](repeating: false, count: bases.count)
        for (number, table) in index.tables.enumerated() {
            for (order, base) in bases.enumerated() {
                for position in table.positions(ofPrefix: base.prefix)
                where table.record(at: position)?.type == base.type {
                    isFound[order] = true
                    needed.insert(table: number, position: position)
                }
            }
            table.releaseResident()
        }
        if let order = isFound.firstIndex(of: false) {
            let digits = String(bases[order].prefix, radix: 16)
            throw Self.missing(
                "blob \(String(repeating: "0", count: 16 - digits.count))\(digits)…, a delta's base")
        }
        bases.removeAll(keepingCapacity: true)
    }
}
