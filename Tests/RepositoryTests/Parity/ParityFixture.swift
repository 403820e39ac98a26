import BlobEngine
import RepoBase
import RepositoryTesting
import Storage

@testable import Repository

/// A repository in memory with objects that stand for packs: parity never looks into one.
final class ParityFixture {
    let repository: CheckedRepository
    private(set) var packs: [ObjectID: [UInt8]] = [:]

    init() throws { repository = try CheckedRepository() }

    deinit { repository.remove() }

    var store: MemoryStore { repository.store }

    func addPacks(_ sizes: [Int], _ random: inout SeededNumbers) throws {
        for size in sizes {
            let bytes = random.fastBytes(size)
            let id = ObjectHasher.hash(bytes)
            try store.put(PackObject.key(id), bytes, .create)
            packs[id] = bytes
        }
    }

    /// One group of all packs.
    /// - Parameter parity: bytes for 10,000 of packs.
    func makeGroup(parity: UInt64) throws -> ParityGroup {
        let layout = ParityLayout(packs.map { ($0.key, UInt64($0.value.count)) }, parity: parity)
        return try ParityEncoding(repository: try repository.open(), threads: 2).run(ParityEncoding.Job(layout: layout))
    }

    func heal(_ ids: some Sequence<ObjectID>) throws -> ParityHealing.Result {
        try ParityHealing(try repository.open(), threads: 2).run(Set(ids))
    }

    func damage(_ key: StoreKey, _ change: (inout [UInt8]) -> Void) throws {
        var bytes = try store.get(key, atMost: 1 << 30)
        change(&bytes)
        try store.put(key, bytes, .replace)
    }

    /// What the store has under a pack's name: the pack, or nothing that passes for it.
    func state(_ id: ObjectID) throws -> State {
        guard try store.stat(PackObject.key(id)) != nil else { return .missing }
        return try store.get(PackObject.key(id), atMost: 1 << 30) == packs[id] ? .whole : .damaged
    }

    enum State { case whole, missing, damaged }
}

extension SeededNumbers {
    /// Eight at a time.
    mutating func fastBytes(_ count: Int) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: (count + 7) & ~7) { buffer, filled in
            for offset in stride(from: 0, to: count, by: 8) { UnsafeMutableRawBufferPointer(buffer).storeBytes(of: next(), toByteOffset: offset, as: UInt64.self) }
            filled = count
        }
    }
}
