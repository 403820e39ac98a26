/// Finds the chunks of an earlier content that a new chunk resembles: which chunk has which sketch value.
///
/// Chunks are numbered from 0 in the order in which they were added. Takes 8 bytes for each value: 384 a chunk up
/// to 85 Ki chunks (about 22 GB of content), then half the values are dropped each time the number of chunks
/// doubles, down to 8 values and 64 bytes a chunk: the table stays below 32 MiB up to half a million chunks.
public struct SketchTable: Sendable {
    /// Value in the upper half, number of the chunk in the lower: ascending, so one search finds a value's chunks
    /// in their order.
    private let entries: [UInt64]
    public let chunkCount: Int

    /// Values that repeat across a whole content say little: of one value only the chunks nearest to where one
    /// is expected are looked at.
    private static let chunksPerValue = 16
    /// Unrelated chunks of one table still share a value or two, and each base costs time: with a best match below
    /// this, no more than two are worth trying.
    private static let relatedValueCount = 4
    private static let unrelatedLimit = 2
    /// In larger tables one value in common is more often chance than kinship.
    private static let largeChunkCount = 1 << 15

    /// The chunks that share most with `sketch`, **the best one last**: the order in which they serve as a delta's
    /// bases, as zstd finds nearer matches cheaper.
    ///
    /// Each next one is the chunk that covers most of the values that those before it leave uncovered, so a chunk
    /// made of pieces of several others gets all of them. Among equals the one nearest to `expected` is taken, then
    /// the lower number: the answer depends on nothing else. Costs a few microseconds.
    ///
    /// - Parameter expected: the number of the chunk that one would expect here, such as the one behind the
    ///   previous match.
    public func bestMatches(_ sketch: Sketch, upTo limit: Int, near expected: Int) -> [Int] {
        guard !entries.isEmpty, !sketch.isEmpty, limit > 0 else { return [] }
        var candidates = sharing(sketch, near: expected)
        let minimum = chunkCount < Self.largeChunkCount ? 1 : 2
        var uncovered = UInt64.max
        var matches: [Int] = []
        var limit = limit
        while matches.count < limit {
            var best: Shared?
            for candidate in candidates where (candidate.values & uncovered).nonzeroBitCount >= minimum {
                if best.map({ candidate.isBetter(than: $0, uncovered: uncovered, near: expected) }) ?? true {
                    best = candidate
                }
            }
            guard let best else { break }
            if matches.isEmpty, best.values.nonzeroBitCount < Self.relatedValueCount {
                limit = min(limit, Self.unrelatedLimit)
            }
            matches.append(best.chunk)
            uncovered &= ~best.values
            candidates.removeAll { $0.values & uncovered == 0 }
        }
        return matches.reversed()
    }

    /// A chunk, and as a mask which of the sketch's values it has.
    private struct Shared {
        let chunk: Int
        var values: UInt64

        func isBetter(than other: Shared, uncovered: UInt64, near expected: Int) -> Bool {
            let gain = (values & uncovered).nonzeroBitCount
            let otherGain = (other.values & uncovered).nonzeroBitCount
            if gain != otherGain { return gain > otherGain }
            if values.nonzeroBitCount != other.values.nonzeroBitCount {
                return values.nonzeroBitCount > other.values.nonzeroBitCount
            }
            let distance = abs(chunk - expected)
            let otherDistance = abs(other.chunk - expected)
            return distance != otherDistance ? distance < otherDistance : chunk < other.chunk
        }
    }

    /// Every chunk with at least one of the values, by number.
    private func sharing(_ sketch: Sketch, near expected: Int) -> [Shared] {
        var hits: [Shared] = []
        hits.reserveCapacity(4 * Sketch.valueCount)
        for rank in 0..<Sketch.valueCount {
            let value = UInt64(sketch[rank])
            if value == 0 { break }
            let first = lowerBound(value << 32)
            guard first < entries.count, entries[first] >> 32 == value else { continue }
            // The chunks of the value around the expected one.
            let here = lowerBound(value << 32 | UInt64(UInt32(clamping: expected)))
            var low = here
            var high = here
            while high - low < Self.chunksPerValue {
                let below = low > first ? Int(UInt32(truncatingIfNeeded: entries[low - 1])) : nil
                let above =
                    high < entries.count && entries[high] >> 32 == value
                    ? Int(UInt32(truncatingIfNeeded: entries[high])) : nil
                switch (below, above) {
                case (let below?, let above?):
                    if expected - below < above - expected { low -= 1 } else { high += 1 }
                case (.some, nil): low -= 1
                case (nil, .some): high += 1
                case (nil, nil): break
                }
                if below == nil && above == nil { break }
            }
            for entry in entries[low..<high] {
                hits.append(Shared(chunk: Int(UInt32(truncatingIfNeeded: entry)), values: 1 << UInt64(rank)))
            }
        }
        hits.sort { $0.chunk < $1.chunk }
        var merged: [Shared] = []
        for hit in hits {
            if let last = merged.last, last.chunk == hit.chunk {
                merged[merged.count - 1].values |= hit.values
            } else {
                merged.append(hit)
            }
        }
        return merged
    }

    /// The number of entries below `key`.
    private func lowerBound(_ key: UInt64) -> Int {
        var low = 0
        var high = entries.count
        while low < high {
            let middle = (low + high) / 2
            if entries[middle] < key { low = middle + 1 } else { high = middle }
        }
        return low
    }

    private init(entries: [UInt64], chunkCount: Int) {
        self.entries = entries
        self.chunkCount = chunkCount
    }

    /// Builds the table in one go.
    public init(_ sketches: some Sequence<Sketch>) {
        var builder = Builder()
        for sketch in sketches { builder.add(sketch) }
        self = builder.finish()
    }

    /// Takes the sketches of a content one by one, as its lists are read.
    public struct Builder: Sendable {
        private var entries: [UInt64] = []
        private var chunkCount = 0
        /// How many of each sketch's values are kept: the lowest, which are as good a sample of the chunk.
        private var ranks = Sketch.valueCount
        private let capacity: Int

        /// The most entries before values are dropped, 8 bytes each.
        public static let defaultCapacity = 4 << 20
        private static let fewestRanks = 8

        public init(capacity: Int = defaultCapacity) { self.capacity = capacity }

        /// An empty sketch takes a number, too.
        public mutating func add(_ sketch: Sketch) {
            if entries.count >= capacity, ranks > Self.fewestRanks { thin() }
            for rank in 0..<ranks {
                let value = sketch[rank]
                if value == 0 { break }
                entries.append(UInt64(value) << 32 | UInt64(UInt32(truncatingIfNeeded: chunkCount)))
            }
            chunkCount += 1
        }

        /// Keeps the lower half of each chunk's values: they were appended together, ascending.
        private mutating func thin() {
            ranks = max(ranks / 2, Self.fewestRanks)
            var kept = 0
            var rank = 0
            var previous: UInt32?
            for index in entries.indices {
                let chunk = UInt32(truncatingIfNeeded: entries[index])
                rank = chunk == previous ? rank + 1 : 0
                previous = chunk
                if rank < ranks {
                    entries[kept] = entries[index]
                    kept += 1
                }
            }
            entries.removeLast(entries.count - kept)
        }

        /// Sorts: about 100 ns a value.
        public consuming func finish() -> SketchTable {
            entries.sort()
            return SketchTable(entries: entries, chunkCount: chunkCount)
        }
    }
}
