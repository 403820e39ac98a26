import BlobEngine
import RepoBase

/// The chunks of an earlier version of a content: what deltas may rest on.
public final class PreviousContent: Sendable {
    let chunks: [Chunk]
    /// The lists of level 0, in order: bases for the lists of the new version.
    let lists: [List]
    let sketches: SketchTable
    private let knownPlaces = Monitor<[BlobID: Int]?>(nil)

    struct Chunk: Sendable {
        let id: BlobID
        let offset: UInt64
    }

    struct List: Sendable {
        let id: BlobID
        /// How many of `chunks` precede it.
        let start: Int
    }

    /// Chunks beyond this are not offered as bases: 48 bytes each.
    static let maximumChunks = 1 << 19

    init(chunks: [Chunk], lists: [List], sketches: [Sketch]) {
        self.chunks = chunks
        self.lists = lists
        self.sketches = SketchTable(sketches)
    }

    /// Reads the lists of `content`. Nil where there is nothing to rest on; unreadable lists are no reason to fail.
    static func load(_ content: Content, _ reader: BlobReader) -> PreviousContent? {
        switch content {
        case .empty: return nil
        case .chunk(let id):
            return PreviousContent(chunks: [Chunk(id: id, offset: 0)], lists: [], sketches: [.empty])
        case .list:
            var chunks: [Chunk] = []
            var sketches: [Sketch] = []
            var lists: [List] = []
            do {
                try ContentWalk.lists(of: content, reader) { id, list, offset in
                    guard chunks.count < maximumChunks else { return false }
                    lists.append(List(id: id, start: chunks.count))
                    var at = offset
                    for entry in list.entries {
                        if let id = entry.id {
                            chunks.append(Chunk(id: id, offset: at))
                            sketches.append(entry.sketch)
                        }
                        at += entry.length
                    }
                    return true
                }
            } catch {
                // What was read until then serves.
            }
            return chunks.isEmpty ? nil : PreviousContent(chunks: chunks, lists: lists, sketches: sketches)
        }
    }

    /// Each chunk's number; of equal chunks the first. Made when first asked for: about 100 ns a chunk, and 60 bytes while this lives.
    var places: [BlobID: Int] {
        knownPlaces.withLock { known in
            if let known { return known }
            var places: [BlobID: Int] = [:]
            places.reserveCapacity(chunks.count)
            for (number, chunk) in chunks.enumerated() where places[chunk.id] == nil { places[chunk.id] = number }
            known = places
            return places
        }
    }

    /// The number of the list that holds a chunk.
    func list(of number: Int) -> Int {
        var low = 0
        var high = lists.count
        while high - low > 1 {
            let middle = (low + high) / 2
            if lists[middle].start <= number { low = middle } else { high = middle }
        }
        return low
    }

    /// The chunk that covers `offset`; for contents that never shift.
    func chunk(at offset: UInt64) -> BlobID? { number(at: offset).map { chunks[$0].id } }

    /// The place in `chunks` of what covers `offset`, or comes last before it.
    func number(at offset: UInt64) -> Int? {
        var low = 0
        var high = chunks.count
        while low < high {
            let middle = (low + high) / 2
            if chunks[middle].offset <= offset { low = middle + 1 } else { high = middle }
        }
        return low > 0 ? low - 1 : nil
    }
}
