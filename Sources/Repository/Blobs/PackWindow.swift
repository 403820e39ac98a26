import BlobEngine
import RepoBase
import Storage

/// A stretch of one pack that holds several blobs which are wanted next, fetched by one read instead of one for each.
struct PackWindow {
    private var pack: ObjectID?
    private var start = 0
    private var buffer = AlignedBuffer(capacity: 1)
    /// What somebody else has fetched; not to be written to.
    private var adopted: [FetchedRange] = []

    /// Bytes of a stretch, and of what between two blobs nobody has asked for: less than another read would cost.
    static let limit = 4 << 20
    static let gapLimit = 64 << 10

    /// The sealed bytes of a blob, where they are in the window. Valid until it moves.
    func sealed(_ location: BlobLocation) -> UnsafeRawBufferPointer? {
        let record = location.record
        if let range = adopted.first(where: { $0.holds(location) }) { return range.bytes(of: record) }
        let place = Int(record.offset) - start
        let end = place + record.sealedLength
        guard pack == location.pack.id, place >= 0, end <= buffer.count else { return nil }
        return UnsafeRawBufferPointer(start: buffer.base + place, count: record.sealedLength)
    }

    /// The first of `wanted`, and those after it that lie behind it in the same pack, each near the one before: where they begin and end. Nil when
    /// it stands alone.
    static func stretch(_ wanted: some Sequence<BlobLocation?>) -> Range<Int>? {
        var found: (pack: ObjectID, range: Range<Int>, count: Int)?
        for location in wanted {
            guard let location else { break }
            let begin = Int(location.record.offset)
            let end = begin + location.record.sealedLength
            guard let known = found else {
                found = (location.pack.id, begin..<end, 1)
                continue
            }
            guard location.pack.id == known.pack, begin >= known.range.upperBound,
                begin - known.range.upperBound <= gapLimit, end - known.range.lowerBound <= limit
            else { break }
            found = (known.pack, known.range.lowerBound..<end, known.count + 1)
        }
        return found.flatMap { $0.count > 1 ? $0.range : nil }
    }

    /// Blobs in these are read from there, until others are given.
    mutating func adopt(_ ranges: [FetchedRange]) { adopted = ranges }

    /// Moves to a stretch of a pack. Where that cannot be read, or ends early, the window is empty or short, and whoever then reads a blob by
    /// itself learns what is wrong, and whether with this blob.
    mutating func move(to range: Range<Int>, of id: ObjectID, key: StoreKey, in store: any Store) {
        pack = nil
        if buffer.capacity < range.count { buffer = AlignedBuffer(capacity: range.count) }
        let room = UnsafeMutableRawBufferPointer(start: buffer.base, count: range.count)
        guard let count = try? store.read(key, at: UInt64(range.lowerBound), into: room) else { return }
        buffer.count = count
        start = range.lowerBound
        pack = id
    }
}
