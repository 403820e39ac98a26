import RepoBase
import Storage
import StorageTesting
import Testing

@Suite("Caching what never changes")
struct CachingStoreTests {
    let folder: TemporaryDirectory
    let base = MemoryStore()
    let counting: CountingStore

    init() throws {
        folder = try TemporaryDirectory()
        counting = CountingStore(base)
    }

    /// Objects name themselves by the sum of their bytes.
    static func key(_ bytes: [UInt8], _ prefix: String = "index/") -> StoreKey {
        StoreKey("\(prefix)\(bytes.reduce(0) { $0 + Int($1) })-\(bytes.count)")
    }

    func cache(_ base: (any Store)? = nil, maximumBytes: UInt64 = 1 << 20) throws -> CachingStore {
        try CachingStore(base ?? counting, directory: folder.path + "/cache", maximumBytes: maximumBytes) {
            key, bytes in
            key.description.hasSuffix("/\(bytes.reduce(0) { $0 + Int($1) })-\(bytes.count)")
        }
    }

    /// How many calls reach the store beneath while an object is got, which must have these bytes.
    func requests(_ store: CachingStore, _ key: StoreKey, _ bytes: [UInt8]) throws -> Int {
        counting.reset()
        #expect(try store.get(key, atMost: 1 << 20) == bytes)
        return counting.counts.calls.values.reduce(0, +)
    }

    @Test("A second reader, also of another process, asks the store nothing")
    func hits() throws {
        let bytes = [UInt8](repeating: 3, count: 5000)
        let key = Self.key(bytes)
        try base.put(key, bytes, .create)
        let status = try base.stat(key)
        let first = try cache()
        #expect(try requests(first, key, bytes) == 2, "stat and read")
        #expect(try requests(first, key, bytes) == 0)
        let second = try cache()
        #expect(try requests(second, key, bytes) == 0)
        #expect(try second.stat(key) == status)
    }

    @Test("Keys outside the prefixes, large objects and objects that are not what they claim pass through")
    func passing() throws {
        let bytes = [UInt8](repeating: 3, count: 100)
        let large = [UInt8](repeating: 3, count: 600_000)
        let misnamed = StoreKey("index/not-this")
        for (key, bytes) in [
            (Self.key(bytes, "writers/"), bytes), (Self.key(large), large), (misnamed, bytes),
        ] {
            try base.put(key, bytes, .create)
            let store = try cache()
            for _ in 0..<2 {
                #expect(try requests(store, key, bytes) >= 2, "\(key)")
            }
        }
        #expect(!folder.contents().contains { $0.hasPrefix("cache/") })
    }

    @Test("A damaged copy is thrown away and read anew", arguments: [0, 8, 16, 500])
    func damage(_ position: Int) throws {
        let bytes = [UInt8](repeating: 3, count: 1000)
        let key = Self.key(bytes)
        try base.put(key, bytes, .create)
        _ = try cache().get(key, atMost: 9999)
        let files = try LocalStore(path: folder.path + "/cache", mustExist: true)
        var copy = try files.get(key, atMost: 9999)
        copy[position] ^= 1
        for damaged in [copy, Array(copy.prefix(position)), copy + [0]] {
            try files.put(key, damaged, .replace)
            #expect(try cache().get(key, atMost: 9999) == bytes)
        }
    }

    @Test("A cache that is deleted while in use costs nothing but time")
    func deletion() throws {
        let store = try cache()
        let all = (1...5).map { [UInt8](repeating: UInt8($0), count: 100) }
        for bytes in all {
            try base.put(Self.key(bytes), bytes, .create)
            _ = try store.get(Self.key(bytes), atMost: 100)
        }
        for name in folder.contents().reversed() { TemporaryDirectory.remove("\(folder.path)/\(name)") }
        for bytes in all { #expect(try store.get(Self.key(bytes), atMost: 100) == bytes) }
    }

    @Test("A deleted object is gone at once here, and after a listing elsewhere")
    func forgetting() throws {
        let bytes = [UInt8](repeating: 9, count: 50)
        let kept = [UInt8](repeating: 8, count: 50)
        for one in [bytes, kept] { try base.put(Self.key(one), one, .create) }
        let here = try cache()
        let there = try cache()
        for one in [bytes, kept] {
            for store in [here, there] { _ = try store.get(Self.key(one), atMost: 50) }
        }
        _ = try there.get(Self.key(bytes), atMost: 50)
        try here.delete(Self.key(bytes))
        #expect(try here.stat(Self.key(bytes)) == nil)
        #expect(try there.list("snapshots/").isEmpty)
        #expect(try there.list("in").map(\.key) == [Self.key(kept)])
        #expect(try there.stat(Self.key(bytes)) == nil)
        #expect(try requests(there, Self.key(kept), kept) == 0)
    }

    @Test("Copies stay within their bound, and the oldest go")
    func bound() throws {
        let store = try cache(maximumBytes: 20_000)
        for index in 0..<100 {
            let bytes = [UInt8](repeating: UInt8(index), count: 1000 + index)
            try base.put(Self.key(bytes), bytes, .create)
            #expect(try store.get(Self.key(bytes), atMost: 9999) == bytes)
            let files = try LocalStore(path: folder.path + "/cache", mustExist: true)
            let total = try files.list("").reduce(0) { $0 + $1.size }
            #expect(total <= 20_000 && (index < 30 || total > 10_000))
        }
    }

    @Test("What was being fetched while it was deleted is not kept")
    func fetchedWhileDeleted() throws {
        let key = StoreKey("index/one")
        try base.put(key, [1, 2, 3], .create)
        // Verification comes between fetching and keeping.
        let deleting = Monitor<CachingStore?>(nil)
        let store = try CachingStore(base, directory: folder.path + "/cache", maximumBytes: 1 << 20) {
            key, _ in
            let store = deleting.withLock { store in
                defer { store = nil }
                return store
            }
            try? store?.delete(key)
            return true
        }
        deleting.withLock { $0 = store }
        #expect(try store.get(key, atMost: 9) == [1, 2, 3])
        #expect(try store.stat(key) == nil)
        #expect(code { _ = try store.get(key, atMost: 9) } == .notFound)
    }
}
