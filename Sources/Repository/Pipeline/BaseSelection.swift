import BlobEngine
import RepoBase

/// Which earlier versions new content is stored as differences to.
public enum DeltaBaseChoice: String, CaseIterable, Sendable {
    /// From a disk, all that help. From a store that is far away, those that cost fewer bytes down than they save up.
    case auto
    /// All that help, whatever it costs to fetch them.
    case always
    /// None.
    case never
}

/// Chooses, for the chunks of one batch, which of the earlier chunks are worth fetching from a store that is far away as bases of deltas, and knows where all
/// that they rest on lies.
///
/// A byte that goes up is stored as long as snapshots need it, copied and checked, so it counts twice. A base is fetched with all that it rests on, unless it
/// is at hand already, or another chunk of the batch has paid for it. What a chunk would take alone is told by the blob at the end of its best base's chain,
/// which stands alone: chunks that resemble each other compress alike.
struct BaseSelection {
    static let uploadWeight = 2
    /// What fetching a blob costs beside its bytes: what lies between it and the next one.
    static let fetchBytes = 1 << 10

    private let index: IndexView
    private let weighs: Bool
    private let isAtHand: (BlobID) -> Bool
    /// What has to be fetched for the bases that were chosen, with what they rest on.
    private(set) var needed: [BlobID: BlobLocation] = [:]

    /// - Parameters:
    ///   - weighs: whether a base may be left out because it costs too much.
    ///   - isAtHand: whether its plaintext is in memory.
    init(_ index: IndexView, weighs: Bool, isAtHand: @escaping (BlobID) -> Bool) {
        (self.index, self.weighs, self.isAtHand) = (index, weighs, isAtHand)
    }

    /// - Parameters:
    ///   - wanted: the best one last.
    ///   - rawLength: of the chunk that is to be stored, in bytes.
    /// - Returns: those to use, in the same order; none where the best one is not worth it.
    mutating func choose(_ wanted: [BlobID], rawLength: Int) -> [BlobID] {
        guard let best = wanted.last else { return [] }
        // Where that cannot be told, as much as it has itself.
        let limit = Self.uploadWeight * (aloneLength(best, rawLength) ?? rawLength)
        var cost = 0
        var chosen: [BlobID] = []
        for id in wanted.reversed().prefix(DeltaBases.maximumCount) {
            var added: [BlobID: BlobLocation] = [:]
            cost += fetch(id, &added, links: BlobReader.maximumChain)
            guard !weighs || cost <= limit else { break }
            needed.merge(added) { $1 }
            chosen.append(id)
        }
        return chosen.reversed()
    }

    /// Bytes that come down for a base, as far as nothing holds them.
    private func fetch(_ id: BlobID, _ added: inout [BlobID: BlobLocation], links: Int) -> Int {
        guard links > 0, needed[id] == nil, added[id] == nil, !isAtHand(id), let location = index.locations(of: id).first else { return 0 }
        added[id] = location
        let record = location.record
        var bytes = record.sealedLength + Self.fetchBytes
        guard record.encoding == .delta else { return bytes }
        for position in 0..<record.bases.count {
            guard let base = index.candidates(prefix: record.bases[position]).first else { continue }
            bytes += fetch(base, &added, links: links - 1)
        }
        return bytes
    }

    /// What `rawLength` bytes like those of `id` take without a base; nil where that cannot be told.
    private func aloneLength(_ id: BlobID, _ rawLength: Int) -> Int? {
        guard var record = index.locations(of: id).first?.record else { return nil }
        for _ in 0..<BlobReader.maximumChain where record.encoding == .delta {
            guard record.bases.count > 0, let base = index.candidates(prefix: record.bases[record.bases.count - 1]).first,
                let below = index.locations(of: base).first?.record
            else { return nil }
            record = below
        }
        guard record.encoding != .delta, record.rawLength > 0 else { return nil }
        return Int(Double(record.storedLength) / Double(record.rawLength) * Double(rawLength))
    }
}
