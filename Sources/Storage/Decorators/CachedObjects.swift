import RepoBase

/// An object's bytes with what the store told of it.
struct CachedObject: Sendable {
    let status: StoredObject
    private let bytes: [UInt8]
    /// Where the object begins in `bytes`.
    private let start: Int

    /// Copies are files of a u64 magic, the store's i64 time of modification (little-endian), then the
    /// object.
    private static let magic: UInt64 = 0x3165_6863_6163_7072  // "rpcache1"
    private static let headerBytes = 16

    init(status: StoredObject, bytes: [UInt8]) {
        self.status = status
        self.bytes = bytes
        start = 0
    }

    /// Nil for a file that is no copy.
    init?(key: StoreKey, file: [UInt8]) {
        guard file.count >= Self.headerBytes else { return nil }
        let (magic, modified) = file.withUnsafeBytes {
            (
                UInt64(littleEndian: $0.loadUnaligned(as: UInt64.self)),
                Int64(littleEndian: $0.loadUnaligned(fromByteOffset: 8, as: Int64.self))
            )
        }
        guard magic == Self.magic else { return nil }
        bytes = file
        start = Self.headerBytes
        status = StoredObject(key: key, size: UInt64(file.count - start), modified: modified)
    }

    var file: [UInt8] {
        var file: [UInt8] = []
        file.reserveCapacity(Self.headerBytes + bytes.count)
        withUnsafeBytes(of: Self.magic.littleEndian) { file.append(contentsOf: $0) }
        withUnsafeBytes(of: status.modified.littleEndian) { file.append(contentsOf: $0) }
        file.append(contentsOf: bytes[start...])
        return file
    }

    func withBytes<R>(_ body: (UnsafeRawBufferPointer) throws -> R) rethrows -> R {
        try bytes.withUnsafeBytes { try body(UnsafeRawBufferPointer(rebasing: $0[start...])) }
    }

    func copyRange(at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) -> Int {
        withBytes { bytes in
            guard offset < UInt64(bytes.count) else { return 0 }
            let range = bytes[Int(offset)...].prefix(buffer.count)
            buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: range))
            return range.count
        }
    }
}

/// A directory of copies whose total size is bounded: the oldest copies go first.
///
/// Nothing here throws after the start: a cache that cannot be read or written only makes things slower.
final class CachedObjects: Sendable {
    private let files: LocalStore
    private let maximumBytes: UInt64

    /// The total is counted when a process adds its first copy and again after each eighth of the maximum,
    /// since other processes add and remove copies as well.
    private struct Total {
        var bytes: UInt64 = 0
        var addedSinceCount: UInt64?
    }

    private let total = Monitor(Total())

    init(directory: String, maximumBytes: UInt64, clock: StoreClock) throws {
        files = try LocalStore(
            path: directory, mustExist: false, clock: clock, calls: .kernel, synchronises: false)
        self.maximumBytes = maximumBytes
        _ = try? files.removeAbandonedPuts(olderThan: .seconds(86_400))
    }

    func load(_ key: StoreKey) -> CachedObject? {
        guard let file = try? files.get(key, atMost: Int(clamping: maximumBytes)) else { return nil }
        guard let object = CachedObject(key: key, file: file) else {
            remove(key)
            return nil
        }
        return object
    }

    func keep(_ object: CachedObject) {
        let file = object.file
        let size = UInt64(file.count)
        total.withLock { total in
            if let added = total.addedSinceCount, added + size <= maximumBytes / 8 {
                total.bytes += size
                total.addedSinceCount = added + size
            } else {
                total.bytes = count() + size
                total.addedSinceCount = 0
            }
            if total.bytes > maximumBytes { total.bytes = evict(makingRoomFor: size) + size }
            try? files.put(object.status.key, file, .replace)
        }
    }

    func remove(_ key: StoreKey) { try? files.delete(key) }

    func keys(_ prefix: String) -> [StoreKey] {
        ((try? files.list(prefix)) ?? []).map(\.key)
    }

    private func count() -> UInt64 {
        ((try? files.list("")) ?? []).reduce(0) { $0 + $1.size }
    }

    /// Removes the oldest copies until three quarters of the maximum hold the rest and `size`. Returns what
    /// is left.
    private func evict(makingRoomFor size: UInt64) -> UInt64 {
        let objects = ((try? files.list("")) ?? []).sorted { ($0.modified, $0.key) < ($1.modified, $1.key) }
        var left = objects.reduce(0) { $0 + $1.size }
        for object in objects {
            if left + size <= maximumBytes / 4 * 3 { break }
            remove(object.key)
            left -= object.size
        }
        return left
    }
}
