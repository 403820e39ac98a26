import BlobEngine
import RepoBase

/// Finds the lists of an earlier version that a new list has most in common with.
///
/// A list's bytes are ids and sketches, which do not compress: what it shares with no base costs 224 bytes a chunk. Lists are cut where an id
/// says so, thousands of chunks long, so after tables were dumped in another order one new list holds parts of several old ones.
struct PreviousLists {
    private let previous: PreviousContent
    /// Each chunk's place among the earlier chunks; of equal chunks the first.
    private let places: [BlobID: Int]

    /// What a base must share to be worth reading.
    private static let fewestChunks = 4

    /// Looks up nothing where there is one list or none.
    init(_ previous: PreviousContent) {
        self.previous = previous
        places = previous.lists.count > 1 ? previous.places : [:]
    }

    /// At most as many as a delta may have, the one that shares most last.
    ///
    /// - Parameter offset: of the list's first byte, for where nothing is shared.
    func bases(for entries: [ContentList.Entry], at offset: UInt64) -> [BlobID] {
        guard previous.lists.count > 1 else { return previous.lists.map(\.id) }
        var shared = [Int](repeating: 0, count: previous.lists.count)
        var expected = previous.number(at: offset) ?? 0
        for entry in entries {
            guard let id = entry.id else { continue }
            // A changed chunk has most of its sketch in common with what it was.
            let place =
                places[id]
                ?? previous.sketches.bestMatches(entry.sketch, upTo: 1, near: expected).last
            guard let place else { continue }
            shared[previous.list(of: place)] += 1
            expected = place + 1
        }
        let best = shared.indices.filter { shared[$0] >= Self.fewestChunks }
            .sorted { (shared[$0], $1) > (shared[$1], $0) }
            .prefix(DeltaBases.maximumCount)
        // Contents without sketches, such as pages, that have changed everywhere: what was at the same place.
        guard !best.isEmpty else { return [previous.lists[previous.list(of: previous.number(at: offset) ?? 0)].id] }
        return best.reversed().map { previous.lists[$0].id }
    }
}
