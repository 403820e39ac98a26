import BlobEngine
import RepoBase
import RepositoryTesting
import Storage
import Testing

@testable import Repository

/// What somebody sees who has the store: sizes of what is put, and ranges of what is read (docs/adr/0039-sizes.md).
@Suite("Sizes that a store sees") struct ObservedSizesTests {
    private let world: CollectionWorld
    private let observer: ObservedStore
    private let store: any Store

    init() throws {
        world = try CollectionWorld()
        observer = ObservedStore(world.store)
        store = RoundedReadStore(observer)
    }

    private var packs: [Int] { observer.puts.withLock { $0.filter { $0.key.description.hasPrefix("packs/") }.map(\.size) } }

    @Test("Packs have sizes of few classes, whatever is in them")
    func classes() throws {
        var numbers = SeededNumbers(seed: 39)
        for _ in 0..<60 {
            try world.snapshot(["a": numbers.bytes(Int.random(in: 70_000...80_000, using: &numbers))], on: store, source: "\(numbers.next())")
        }
        #expect(packs.count == 120)
        #expect(packs.allSatisfy { PackSize.padded($0) == $0 })
        let data = packs.filter { $0 > 60_000 }
        #expect(data.count == 60 && Set(data).count <= 8, "\(Set(data))")
        try world.verify()
    }

    @Test("Full packs have one size, and a pack that is not full costs at most 3 %")
    func fullPacks() throws {
        var numbers = SeededNumbers(seed: 40)
        let content = numbers.bytes(50 << 20)
        try world.snapshot(["a": content], on: store)
        let data = packs.filter { $0 > 1 << 20 }
        #expect(data.count(where: { $0 == 16 << 20 }) == 3, "\(data)")
        #expect(Double(packs.reduce(0, +)) < Double(content.count) * 1.035)
    }

    @Test("Reads begin and end at blocks, and a restore gives the same bytes")
    func reads() throws {
        var numbers = SeededNumbers(seed: 41)
        let files = ["a": numbers.bytes(300_000), "b": numbers.bytes(10), "c": numbers.bytes(60_000)]
        let id = try world.snapshot(files, on: store)
        observer.reads.withLock { $0 = [] }
        #expect(try SnapshotReading(world.open(store)).files(id) == files)
        let block = Int(RoundedReadStore.blockSize)
        let ranges = observer.reads.withLock { $0.filter { $0.key.description.hasPrefix("packs/") } }
        #expect(ranges.count > 10)
        #expect(ranges.allSatisfy { $0.offset % block == 0 && $0.count % block == 0 })
    }

    @Test("Rounding delivers what was asked for, at every place", arguments: [0, 1, 4095, 4096, 4097, 12_000])
    func rounding(size: Int) throws {
        var numbers = SeededNumbers(seed: UInt64(size))
        let bytes = numbers.bytes(size)
        try world.store.put(StoreKey("packs/00/x"), bytes, .create)
        for offset in [0, 1, 4095, 4096, 5000, 11_999, 12_000, 20_000] {
            for count in [0, 1, 100, 4096, 8193] {
                var buffer = [UInt8](repeating: 0, count: count)
                let found = try buffer.withUnsafeMutableBytes { try store.read(StoreKey("packs/00/x"), at: UInt64(offset), into: $0) }
                #expect(Array(buffer[..<found]) == Array(bytes.dropFirst(offset).prefix(count)), "\(count) at \(offset)")
            }
        }
    }
}

/// Writes down what it is asked.
private final class ObservedStore: Store {
    let puts = Monitor<[(key: StoreKey, size: Int)]>([])
    let reads = Monitor<[(key: StoreKey, offset: Int, count: Int)]>([])
    private let base: any Store

    init(_ base: any Store) { self.base = base }

    var location: String { base.location }
    func put(_ key: StoreKey, _ bytes: UnsafeRawBufferPointer, _ mode: PutMode) throws {
        puts.withLock { $0.append((key, bytes.count)) }
        try base.put(key, bytes, mode)
    }
    func read(_ key: StoreKey, at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        reads.withLock { $0.append((key, Int(offset), buffer.count)) }
        return try base.read(key, at: offset, into: buffer)
    }
    func stat(_ key: StoreKey) throws -> StoredObject? { try base.stat(key) }
    func list(_ prefix: String, _ body: (StoredObject) throws -> Void) throws { try base.list(prefix, body) }
    func makeDurable(_ key: StoreKey) throws { try base.makeDurable(key) }
    func delete(_ key: StoreKey) throws { try base.delete(key) }
}
