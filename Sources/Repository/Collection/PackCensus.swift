import BlobEngine
import RepoBase

/// Every pack that the index names, and what a collection learns of it.
///
/// About 300 bytes a pack.
struct PackCensus {
    /// How good a place for a blob a table's claim about a pack is; lower is better.
    enum Standing: UInt8, Comparable {
        /// A full key wrote or verified it.
        case trusted
        /// Only a writer key says what is in it.
        case unproven
        /// Condemned, or not in the store: it does not count as a place to keep.
        case leaving

        static func < (a: Standing, b: Standing) -> Bool { a.rawValue < b.rawValue }
    }

    struct Use {
        let pack: PackRecord
        /// The table that the pack's blobs are counted in, where several name it.
        let table: Int
        var isCondemned = false
        var isPresent = true
        var blobs = 0
        /// Sealed bytes of its blobs, tags included.
        var blobBytes: UInt64 = 0
        var chunkBlobs = 0
        var liveBlobs = 0
        var liveBytes: UInt64 = 0

        var deadBytes: UInt64 { blobBytes - min(blobBytes, liveBytes) }
    }

    private(set) var uses: [Use] = []
    private(set) var numbers: [ObjectID: Int] = [:]
    /// For each table, for each of its packs: the place in `uses`, and how good the claim is.
    private var places: [[(number: Int, standing: Standing)]] = []

    /// - Parameter isPresent: whether the store has the pack.
    init(_ index: IndexView, _ repository: OpenRepository, isPresent: (ObjectID) throws -> Bool) rethrows {
        for (table, contents) in index.tables.enumerated() {
            var row: [(number: Int, standing: Standing)] = []
            row.reserveCapacity(contents.packs.count)
            for pack in contents.packs {
                let number: Int
                if let known = numbers[pack.id] {
                    number = known
                } else {
                    var use = Use(pack: pack, table: table)
                    use.isCondemned = index.condemned.contains(pack.id)
                    use.isPresent = try isPresent(pack.id)
                    number = uses.count
                    uses.append(use)
                    numbers[pack.id] = number
                }
                let isLeaving = uses[number].isCondemned || !uses[number].isPresent
                let isTrusted = repository.trusts(segmentSigner: contents.signer, pack)
                row.append((number, isLeaving ? .leaving : isTrusted ? .trusted : .unproven))
            }
            places.append(row)
        }
    }

    /// The pack of an entry, by its place in `uses`; nil where the cache is corrupt.
    func place(_ index: IndexView, _ place: IndexPlace) -> (number: Int, standing: Standing)? {
        let table = Int(place.table)
        return index.tables[table].pack(at: Int(place.position)).map { places[table][$0] }
    }

    mutating func countBlob(_ number: Int, table: UInt32, _ record: BlobRecord) {
        guard uses[number].table == Int(table) else { return }
        uses[number].blobs += 1
        uses[number].blobBytes += UInt64(record.sealedLength)
        if record.type == .chunk { uses[number].chunkBlobs += 1 }
    }

    mutating func countLive(_ number: Int, _ record: BlobRecord) {
        uses[number].liveBlobs += 1
        uses[number].liveBytes += UInt64(record.sealedLength)
    }
}

extension BlobRecord {
    /// Bytes in the pack, with the tag.
    var sealedLength: Int { Int(storedLength) + BlobRecord.tagLength }
}
