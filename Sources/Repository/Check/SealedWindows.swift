import BlobEngine
import RepoBase
import Storage

/// Sealed blobs by ranged reads that fetch somewhat more than was asked for: neighbours are mostly wanted next. For one thread.
struct SealedWindows {
    private struct Window {
        let buffer: AlignedBuffer
        let start: UInt64
        var lastUse: UInt64
    }

    private let repository: OpenRepository
    private var windows: [UInt32: Window] = [:]
    private var bytes = 0
    private var clock: UInt64 = 0
    private static let readAhead = 256 << 10
    private static let limit = 12 << 20

    init(_ repository: OpenRepository) { self.repository = repository }

    /// The bytes are valid until the next call, and while `body` runs. Throws `.damaged` where the pack ends early, `.notFound`.
    mutating func withSealed<R>(
        _ copy: PackNumbering.Copy, of pack: PackRecord, _ body: (UnsafeRawBufferPointer) throws -> R
    ) throws -> R {
        let size = Int(copy.record.storedLength) + BlobRecord.tagLength
        let offset = UInt64(copy.record.offset)
        let window = try window(copy.pack, pack, offset, size)
        return try withExtendedLifetime(window.buffer) {
            let place = Int(offset - window.start)
            guard place + size <= window.buffer.count else {
                throw RepoError.damaged("a blob", "its pack ends early")
            }
            return try body(UnsafeRawBufferPointer(start: window.buffer.base + place, count: size))
        }
    }

    private mutating func window(
        _ number: UInt32, _ pack: PackRecord, _ offset: UInt64, _ size: Int
    ) throws -> Window {
        clock += 1
        if let window = windows[number], window.start <= offset,
            offset + UInt64(size) <= window.start + UInt64(window.buffer.count)
        {
            windows[number]?.lastUse = clock
            return window
        }
        let old = windows.removeValue(forKey: number)
        if let old { bytes -= old.buffer.capacity }
        let capacity = max(size, Self.readAhead)
        let buffer =
            old.map { $0.buffer.capacity == capacity ? $0.buffer : AlignedBuffer(capacity: capacity) }
            ?? AlignedBuffer(capacity: capacity)
        buffer.count = try repository.store.read(
            PackObject.key(pack.id), at: offset,
            into: UnsafeMutableRawBufferPointer(start: buffer.base, count: capacity))
        let window = Window(buffer: buffer, start: offset, lastUse: clock)
        windows[number] = window
        bytes += capacity
        while bytes > Self.limit, windows.count > 1,
            let oldest = windows.filter({ $0.key != number }).min(by: { $0.value.lastUse < $1.value.lastUse })
        {
            windows[oldest.key] = nil
            bytes -= oldest.value.buffer.capacity
        }
        return window
    }
}
