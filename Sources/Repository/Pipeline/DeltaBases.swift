import BlobEngine
import RepoBase

/// Which blobs a delta may rest on.
///
/// A chain is bounded, because every link is decoded on the worst day: a candidate that is at the bound is replaced by what it
/// rests on itself, so that chains never grow and a slowly drifting content gets a new plain blob when deltas no longer pay.
/// What is condemned, or rests on what is, is no base: it goes away under the delta (docs/collection.md).
enum DeltaBases {
    static let maximumDepth = 3
    static let maximumCount = 8

    static func choose(from wanted: [BlobID], type: BlobType, index: IndexView) -> [BlobID] {
        var chosen: [BlobID] = []
        for id in wanted {
            guard let usable = usable(id, type: type, index: index), !chosen.contains(usable) else { continue }
            chosen.append(usable)
            if chosen.count == maximumCount { break }
        }
        return chosen
    }

    private static func usable(_ id: BlobID, type: BlobType, index: IndexView) -> BlobID? {
        var id = id
        for _ in 0...maximumDepth {
            guard let record = index.locations(of: id).first?.record, record.type == type,
                record.rawLength <= 8 << 20, index.containsForDeduplication(id)
            else { return nil }
            if depth(record, index: index, limit: maximumDepth) < maximumDepth { return id }
            guard record.bases.count > 0, let below = index.candidates(prefix: record.bases[0]).first else {
                return nil
            }
            id = below
        }
        return nil
    }

    /// How many deltas lie below, at most `limit`.
    private static func depth(_ record: BlobRecord, index: IndexView, limit: Int) -> Int {
        guard record.encoding == .delta, limit > 0 else { return 0 }
        var deepest = 0
        for position in 0..<record.bases.count {
            guard let base = index.candidates(prefix: record.bases[position]).first,
                let below = index.locations(of: base).first?.record
            else { return limit }
            deepest = max(deepest, depth(below, index: index, limit: limit - 1))
        }
        return deepest + 1
    }
}
