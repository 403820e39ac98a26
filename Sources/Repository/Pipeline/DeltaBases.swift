import BlobEngine
import RepoBase

/// Which blobs a delta may rest on.
///
/// A chain is bounded, because every link is decoded on the worst day: a candidate that is at the bound is replaced by what it rests on
/// itself, rung by rung, so that chains never grow. `ChainRenewal` says how far down (docs/adr/0007-short-chains-of-deltas.md).
/// What is condemned, or rests on what is, is no base: it goes away under the delta (docs/collection.md).
struct DeltaBases {
    static let maximumCount = 8
    /// Longer ones would make the prefix of a delta too long.
    private static let maximumRawLength: UInt32 = 8 << 20

    /// Deltas in a chain, at most, above the blob that stands alone. Trees and lists lead to much that is not in them, so damage of theirs must
    /// stay narrow: trees rest on nothing, lists on whole ones (docs/adr/0012-trees-rest-on-nothing.md).
    static func maximumDepth(_ type: BlobType) -> Int {
        switch type {
        case .chunk: 3
        case .list: 1
        case .tree: 0
        }
    }

    /// A blob to rest on.
    struct Rung {
        let id: BlobID
        /// Deltas from it down to a blob that stands alone, itself counted.
        let depth: Int
        /// Bytes that it takes itself.
        let storedLength: Int
    }

    /// In the order in which they serve, the best one last.
    private let candidates: [Rung]
    private let type: BlobType
    private let index: IndexView

    /// - Parameter wanted: the best one last.
    init(from wanted: [BlobID], type: BlobType, index: IndexView) {
        self.type = type
        self.index = index
        candidates = wanted.suffix(Self.maximumCount).compactMap { Self.rung($0, type, index)?.rung }
    }

    /// Depth of the best candidate: what resembles most of the blob.
    var depth: Int { candidates.last?.depth ?? 0 }

    /// Every candidate, or what it rests on where it is deeper than `depth`; distinct, the best one last.
    func rungs(atMost depth: Int) -> [Rung] {
        var chosen: [Rung] = []
        for candidate in candidates.reversed() {
            guard let rung = descend(candidate, to: depth), !chosen.contains(where: { $0.id == rung.id }) else { continue }
            chosen.append(rung)
        }
        return chosen.reversed()
    }

    private func descend(_ candidate: Rung, to depth: Int) -> Rung? {
        var rung = candidate
        while rung.depth > depth {
            // The last base is the one that it resembles most.
            guard let record = Self.rung(rung.id, type, index)?.record, record.bases.count > 0,
                let below = index.candidates(prefix: record.bases[record.bases.count - 1]).first,
                let next = Self.rung(below, type, index)?.rung, next.depth < rung.depth
            else { return nil }
            rung = next
        }
        return rung
    }

    /// Nil for what cannot be a base.
    private static func rung(_ id: BlobID, _ type: BlobType, _ index: IndexView) -> (rung: Rung, record: BlobRecord)? {
        guard let record = index.locations(of: id).first?.record, record.type == type,
            record.rawLength <= maximumRawLength, index.containsForDeduplication(id),
            // A delta names its bases by 8 bytes of their ids, which must say which blob is meant.
            index.candidates(prefix: id.prefix).count == 1
        else { return nil }
        let depth = depth(record, index, limit: BlobReader.maximumChain)
        return (Rung(id: id, depth: depth, storedLength: Int(record.storedLength)), record)
    }

    /// At most `limit`, also where a base is missing.
    private static func depth(_ record: BlobRecord, _ index: IndexView, limit: Int) -> Int {
        guard record.encoding == .delta, limit > 0 else { return 0 }
        var deepest = 0
        for position in 0..<record.bases.count {
            guard let base = index.candidates(prefix: record.bases[position]).first,
                let below = index.locations(of: base).first?.record
            else { return limit }
            deepest = max(deepest, depth(below, index, limit: limit - 1))
        }
        return deepest + 1
    }
}
