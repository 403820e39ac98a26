import BlobEngine
import RepoBase

/// Which blobs a twin lacks, and in which packs they are here.
///
/// A bit for each entry of the index, and about 300 bytes for each pack that is needed.
struct PackPlan {
    struct Need {
        let pack: PackRecord
        /// A full key wrote or verified it, as far as the index says.
        let isTrusted: Bool
        /// The first of the snapshots, in the order in which they are planned, that needs it.
        let first: Int
        /// Sealed bytes of the blobs that are needed.
        var bytes: UInt64 = 0
    }

    let index: IndexView
    private let lacking: IndexView
    private let source: OpenRepository
    private(set) var needs: [ObjectID: Need] = [:]
    /// Entries that are to be sent.
    private(set) var wanted: BlobBitmap
    /// Trees and lists that were gone through.
    private var seen: BlobBitmap
    /// Entries that are there or wanted.
    private var settled: BlobBitmap
    /// Packs that the other's index names, and that are there to stay.
    private let lasting: Set<ObjectID>

    /// - Parameter lacking: the other repository's index, loaded to rest on.
    init(_ source: OpenRepository, lacking: IndexView) throws {
        self.source = source
        self.lacking = lacking
        index = try source.index()
        wanted = BlobBitmap(index)
        seen = BlobBitmap(index)
        settled = BlobBitmap(index)
        lasting = Set(lacking.tables.flatMap { $0.packs.map(\.id) }).subtracting(lacking.condemned).subtracting(lacking.absent)
    }

    /// Adds what a snapshot needs. Throws `.damaged` where something of it is missing or does not read here.
    mutating func add(_ root: BlobID, number: Int, reader: BlobReader) throws {
        try Reachability.walk(roots: [root], source, reader: reader, onProblem: { throw $0.error }) { id, type in
            var isNew = true
            if type != .chunk {
                index.forEachEntry(of: id) { table, position in
                    if !seen.insert(table: table, position: position) { isNew = false }
                }
            }
            if isNew { try want(id, type, number, links: 0) }
            return type != .chunk && isNew
        }
    }

    private mutating func want(_ id: BlobID, _ type: BlobType, _ number: Int, links: Int) throws {
        guard links <= BlobReader.maximumChain else { throw RepoError.damaged("blob \(id)", "its chain of deltas is too long") }
        if lacking.containsForDeduplication(id) { return }
        var chosen: (table: Int, position: Int, record: BlobRecord, pack: PackRecord, rank: Int)?
        for (number, table) in index.tables.enumerated() {
            for position in table.positions(of: id) {
                guard let record = table.record(at: position), record.type == type, let place = table.pack(at: position) else { continue }
                if settled.contains(table: number, position: position) { return }
                let pack = table.packs[place]
                // What is in a pack that goes anyway costs nothing more; what is condemned here is about to go.
                let rank = needs[pack.id] != nil || lasting.contains(pack.id) ? 0 : index.condemned.contains(pack.id) ? 2 : 1
                if chosen == nil || rank < chosen!.rank { chosen = (number, position, record, pack, rank) }
            }
        }
        guard let chosen else {
            throw RepoError(
                .damaged, "blob \(id) is missing: no index segment names it", advice: "Run 'repo check', which names what is lost.")
        }
        settled.insert(table: chosen.table, position: chosen.position)
        for base in 0..<chosen.record.bases.count {
            for candidate in index.candidates(prefix: chosen.record.bases[base]) {
                try want(candidate, type, number, links: links + 1)
            }
        }
        // Nothing new may rest there on what a writer key alone vouches for; it is there all the same.
        guard !lasting.contains(chosen.pack.id) else { return }
        wanted.insert(table: chosen.table, position: chosen.position)
        let signer = index.tables[chosen.table].signer
        needs[
            chosen.pack.id,
            default: Need(pack: chosen.pack, isTrusted: source.trusts(segmentSigner: signer, chosen.pack), first: number)
        ].bytes += UInt64(chosen.record.sealedLength)
    }

    /// The wanted blobs of some packs, in the order in which they lie there. One pass over the index.
    func blobs(of packs: Set<ObjectID>) -> [ObjectID: [BlobRecord]] {
        var found: [ObjectID: [BlobRecord]] = [:]
        for (number, table) in index.tables.enumerated() where table.packs.contains(where: { packs.contains($0.id) }) {
            wanted.forEach(inTable: number) { position in
                guard let place = table.pack(at: position), packs.contains(table.packs[place].id),
                    let record = table.record(at: position)
                else { return }
                found[table.packs[place].id, default: []].append(record)
            }
        }
        return found.mapValues { $0.sorted { $0.offset < $1.offset } }
    }
}
