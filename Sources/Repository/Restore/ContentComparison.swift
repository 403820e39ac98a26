import BlobEngine
import RepoBase

/// Compares a file's bytes with the chunks that it should consist of, by hashing them: for resuming, and for verifying.
final class ContentComparison {
    private let hasher: BlobHasher
    private let descriptor: CInt
    private let onResult: (ContentList.Entry, UInt64, _ isSame: Bool) throws -> Void
    private let buffer: AlignedBuffer
    private var waiting: [(entry: ContentList.Entry, offset: UInt64, length: Int)] = []
    private var filled = 0

    private static let room = 2 << 20

    /// - Parameter onResult: told of each chunk, in order. Holes are not told of.
    init(
        _ descriptor: CInt, _ hasher: BlobHasher,
        onResult: @escaping (ContentList.Entry, UInt64, _ isSame: Bool) throws -> Void
    ) {
        self.descriptor = descriptor
        self.hasher = hasher
        self.onResult = onResult
        buffer = AlignedBuffer(capacity: Self.room + Int(BlobRecord.maximumRawLength))
    }

    /// Takes the next chunk; throws `.damaged` for one longer than a blob may be.
    func add(_ entry: ContentList.Entry, at offset: UInt64) throws {
        guard entry.id != nil else { return }
        guard entry.length <= UInt64(BlobRecord.maximumRawLength) else {
            throw RepoError.damaged("a list", "it tells of a chunk of \(entry.length) bytes")
        }
        let window = UnsafeMutableRawBufferPointer(start: buffer.base + filled, count: Int(entry.length))
        let count = try TargetCalls.read(descriptor, into: window, at: offset)
        waiting.append((entry, offset, count))
        filled += count
        if filled >= Self.room || waiting.count >= 64 { try flush() }
    }

    /// Must follow the last `add`.
    func flush() throws {
        var start = 0
        var pieces: [UnsafeRawBufferPointer] = []
        for item in waiting {
            pieces.append(UnsafeRawBufferPointer(start: buffer.base + start, count: item.length))
            start += item.length
        }
        let ids = hasher.ids(.chunk, pieces)
        let items = waiting
        waiting.removeAll(keepingCapacity: true)
        filled = 0
        for (item, id) in zip(items, ids) {
            try onResult(item.entry, item.offset, item.length == Int(item.entry.length) && id == item.entry.id)
        }
    }
}
