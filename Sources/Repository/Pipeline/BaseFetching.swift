import BlobEngine
import RepoBase
import Storage

/// Fetches the bases that a batch of chunks will be encoded against from a store that is far away: near ones by one request, several requests at once,
/// instead of a round trip for each.
struct BaseFetching {
    /// Requests at once, of one batch.
    private static let threads = 4
    /// Bytes fetched for one batch; what goes beyond is read when it is needed.
    private static let limit = 16 << 20
    /// What nobody has asked for, between two blobs that are.
    private static let gapLimit = 64 << 10

    private let store: any Store

    init(_ store: any Store) { self.store = store }

    /// What cannot be read is left out: a base that is missing is no reason to fail.
    func fetch(_ needed: some Sequence<BlobLocation>) -> [FetchedRange] {
        let ranges = Self.ranges(needed)
        let fetched = Monitor<[FetchedRange]>([])
        try? ParallelWork.run(ranges.count, threads: Self.threads, worker: {}) { [store] number, _ in
            let range = FetchedRange.read(ranges[number], from: store) {}
            fetched.withLock { $0.append(range) }
        }
        return fetched.withLock { $0 }
    }

    /// Of one batch, in the order of packs and places.
    static func ranges(_ needed: some Sequence<BlobLocation>) -> [PackRange] {
        let places = needed.sorted { ($0.pack.id, $0.record.offset) < ($1.pack.id, $1.record.offset) }
        var ranges: [PackRange] = []
        var bytes = 0
        for place in places {
            let range = PackRange(pack: place.pack.id, offset: Int(place.record.offset), count: place.record.sealedLength)
            let longer = ranges.last?.extended(to: range, gapLimit: gapLimit)
            bytes += longer.map { $0.bytes.count - ranges[ranges.count - 1].bytes.count } ?? range.bytes.count
            guard bytes <= limit else { break }
            if let longer {
                ranges[ranges.count - 1] = longer
            } else {
                ranges.append(range)
            }
        }
        return ranges
    }
}
