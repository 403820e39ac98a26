import BlobEngine
import RepoBase
import Storage

/// A stretch of a pack, in bytes from its beginning.
struct PackRange: Hashable, Sendable {
    let pack: ObjectID
    private(set) var bytes: Range<Int>

    /// Of a stretch that is fetched ahead from a store that is far away: so long that its transfer takes as long as the round trip, so short that several
    /// are under way at once.
    static let limit = 8 << 20
    /// What nobody has asked for and is fetched all the same, between two blobs that are wanted: less than another request would cost.
    static let gapLimit = 256 << 10

    init(pack: ObjectID, offset: Int, count: Int) {
        self.pack = pack
        bytes = offset..<offset + count
    }

    /// With a stretch that lies behind it, or within; nil where that is another's, too far away, or would make it too long.
    func extended(to next: PackRange, gapLimit: Int = PackRange.gapLimit) -> PackRange? {
        guard next.pack == pack, next.bytes.lowerBound >= bytes.lowerBound, next.bytes.lowerBound - bytes.upperBound <= gapLimit else { return nil }
        var range = self
        range.bytes = bytes.lowerBound..<max(bytes.upperBound, next.bytes.upperBound)
        return range.bytes.count <= Self.limit ? range : nil
    }
}

/// A stretch of a pack in memory, for whoever needs a blob of it. Read only.
final class FetchedRange: Sendable {
    private let range: PackRange
    private let buffer: AlignedBuffer
    private let whenDone: @Sendable () -> Void

    /// - Parameter whenDone: called when nobody needs it any more.
    init(_ range: PackRange, _ buffer: AlignedBuffer, whenDone: @escaping @Sendable () -> Void) {
        (self.range, self.buffer, self.whenDone) = (range, buffer, whenDone)
    }

    deinit { whenDone() }

    /// Empty where it cannot be read: whoever then reads a blob of it by itself learns what is wrong.
    static func read(_ range: PackRange, from store: any Store, whenDone: @escaping @Sendable () -> Void) -> FetchedRange {
        let buffer = AlignedBuffer(capacity: range.bytes.count, isFilledAtOnce: true)
        let room = UnsafeMutableRawBufferPointer(start: buffer.base, count: range.bytes.count)
        buffer.count = (try? store.read(PackObject.key(range.pack), at: UInt64(range.bytes.lowerBound), into: room)) ?? 0
        return FetchedRange(range, buffer, whenDone: whenDone)
    }

    func holds(_ location: BlobLocation) -> Bool {
        let place = Int(location.record.offset) - range.bytes.lowerBound
        return location.pack.id == range.pack && place >= 0 && place + location.record.sealedLength <= buffer.count
    }

    /// Sealed, valid while this lives.
    func bytes(of record: BlobRecord) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: buffer.base + (Int(record.offset) - range.bytes.lowerBound), count: record.sealedLength)
    }
}
