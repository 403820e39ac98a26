import RepoBase

/// A store in this process's memory, for tests and for what must not outlive the process.
///
/// Every object is held as one array; a put copies its bytes once, and a read copies its range. Listing takes
/// a snapshot first, so `body` may call the store.
public final class MemoryStore: Store {
    public let location: String

    private struct Entry {
        var bytes: [UInt8]
        var modified: Int64

        func described(as key: StoreKey) -> StoredObject {
            StoredObject(key: key, size: UInt64(bytes.count), modified: modified)
        }
    }

    private let objects = Monitor<[StoreKey: Entry]>([:])
    private let clock: StoreClock

    /// - Parameters:
    ///   - location: how messages name it.
    ///   - clock: for `StoredObject.modified`.
    public init(location: String = "memory", clock: StoreClock = .system) {
        self.location = location
        self.clock = clock
    }

    public func put(_ key: StoreKey, _ bytes: UnsafeRawBufferPointer, _ mode: PutMode) throws {
        let entry = Entry(bytes: [UInt8](bytes), modified: clock.now())
        try objects.withLock { objects in
            if mode == .create, objects[key] != nil { throw StoreError.conflict(key, in: location) }
            objects[key] = entry
        }
    }

    public func read(
        _ key: StoreKey, at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer
    ) throws -> Int {
        guard let bytes = objects.withLock({ $0[key]?.bytes }) else {
            throw StoreError.notFound(key, in: location)
        }
        guard offset < UInt64(bytes.count) else { return 0 }
        let start = Int(offset)
        let count = min(buffer.count, bytes.count - start)
        bytes.withUnsafeBytes { buffer.copyMemory(from: .init(rebasing: $0[start..<start + count])) }
        return count
    }

    public func stat(_ key: StoreKey) throws -> StoredObject? {
        objects.withLock { objects in objects[key].map { $0.described(as: key) } }
    }

    public func list(_ prefix: String, _ body: (StoredObject) throws -> Void) throws {
        let found = objects.withLock { objects in
            objects.compactMap { key, entry in
                key.description.utf8.starts(with: prefix.utf8) ? entry.described(as: key) : nil
            }
        }
        for object in found { try body(object) }
    }

    public func makeDurable(_ key: StoreKey) throws {}

    public func delete(_ key: StoreKey) throws {
        objects.withLock { _ = $0.removeValue(forKey: key) }
    }
}
