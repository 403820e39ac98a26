import BlobEngine
import RepoBase
public import Storage

/// What this machine knows of the locks of a repository's objects, so that each is asked about once and not in every run.
///
/// A lock never ends earlier than the store has said, so what is known stays true for as long as the object is the same, which its time tells. A file of the cache that
/// carries its own hash; without it everything is asked again. About 150 bytes an object.
///
/// Layout: `repolock`, u32 1, the count, and for each object its key (text), its time and the end of its lock (zigzag each); then the BLAKE2b-256 of all that.
public final class LockLedger {
    struct Entry {
        /// Of the object, by the store's clock.
        let modified: Int64
        /// 0 for an object that is not locked.
        let until: Int64
    }

    private static let magic = Array("repolock".utf8)
    private static let version: UInt32 = 1
    private static let byteLimit = 1 << 30
    /// Questions at once, where each is a request.
    private static let threads = 8

    private let store: any Store
    private let path: String
    private var entries: [StoreKey: Entry]

    public init(_ repository: OpenRepository) {
        store = repository.store
        path = Self.path(repository)
        entries = LocalFolder.contents(path, atMost: Self.byteLimit).flatMap { try? Self.decode($0) } ?? [:]
    }

    /// One for each place: twins share an id and the names of their objects, and not their locks.
    static func path(_ repository: OpenRepository) -> String {
        "\(repository.cacheDirectory)/locks-\(ObjectHasher.hash(Array(repository.store.location.utf8)).short)"
    }

    /// Until when each of the objects is locked, in seconds since 1970; 0 for one that is not. A request for each that is not known, several at once.
    public func ends(of objects: [StoredObject]) throws -> [Int64] {
        let unknown = objects.filter { entries[$0.key]?.modified != $0.modified }
        let answers = Monitor<[Int64]>(Array(repeating: 0, count: unknown.count))
        try ParallelWork.run(unknown.count, threads: Self.threads, worker: {}) { [store] number, _ in
            let until = try store.lockedUntil(unknown[number].key) ?? 0
            answers.withLock { $0[number] = until }
        }
        for (object, until) in zip(unknown, answers.withLock({ $0 })) { entries[object.key] = Entry(modified: object.modified, until: until) }
        return objects.map { entries[$0.key]?.until ?? 0 }
    }

    /// Locks all of them until then. A request for each, several at once.
    func extend(_ objects: [StoredObject], until: Int64) throws {
        try ParallelWork.run(objects.count, threads: Self.threads, worker: {}) { [store] number, _ in
            try store.extendLock(objects[number].key, until: until)
        }
        for object in objects { entries[object.key] = Entry(modified: object.modified, until: until) }
    }

    /// Forgets all others.
    func keep(only keys: Set<StoreKey>) { entries = entries.filter { keys.contains($0.key) } }

    /// For the next run. That it cannot be written costs that run its questions, and is no failure.
    public func save() {
        var writer = ByteWriter(capacity: 64 + entries.count * 110)
        writer.raw(Self.magic)
        writer.u32(Self.version)
        writer.varint(entries.count)
        for (key, entry) in entries {
            writer.text(key.description)
            writer.zigzag(entry.modified)
            writer.zigzag(entry.until)
        }
        writer.hash(ObjectHasher.hash(writer.bytes))
        guard let slash = path.lastIndex(of: "/"), (try? LocalFolder.make(String(path[..<slash]))) != nil else { return }
        try? LocalFolder.replace(path, with: writer.bytes)
    }

    static func decode(_ bytes: [UInt8]) throws(RepoError) -> [StoreKey: Entry] {
        var reader = ByteReader(bytes, object: "the ledger of locks")
        guard bytes.count > 32, try reader.raw(8) == magic[...], try reader.u32() == version,
            ObjectHasher.hash(Array(bytes.dropLast(32))).bytes.elementsEqual(bytes.suffix(32))
        else { throw reader.fail("it is another file") }
        var entries: [StoreKey: Entry] = [:]
        for _ in 0..<(try reader.count(ofAtLeast: 4)) {
            guard let key = StoreKey(checking: try reader.text()) else { throw reader.fail("a key is none") }
            entries[key] = Entry(modified: try reader.zigzag(), until: try reader.zigzag())
        }
        return entries
    }
}
