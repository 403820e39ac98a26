import BlobEngine
import RepoBase
import Storage
import StorageTesting
import Testing

@testable import Repository

/// A repository in memory with snapshots and parity.
struct ProtectedRepository {
    let base: CheckedRepository
    var store: MemoryStore { base.store }

    /// - Parameter parity: bytes for 10,000 of packs.
    init(parity: UInt64 = 3000) throws {
        let plain = try CheckedRepository()
        var keys = plain.keys
        try keys.setParity(parity, in: plain.store)
        plain.remove()
        base = try plain.opened(with: keys)
    }

    init(_ base: CheckedRepository) { self.base = base }

    /// Three snapshots of which the first is gone, so that a prune has something to rewrite and to delete.
    static func withGarbage() throws -> ProtectedRepository {
        let repository = try ProtectedRepository()
        let kept = ["a": testBytes(120_000, seed: 1), "d": testBytes(60_000, seed: 2)]
        let gone = try repository.base.snapshot(["a": kept["a"]!, "b": testBytes(90_000, seed: 3)], second: 1000)
        try repository.update()
        try repository.base.snapshot(kept, second: 2000)
        try repository.update()
        try repository.base.snapshot(kept.merging(["e": testBytes(70_000, seed: 4)]) { $1 }, second: 3000)
        try repository.update()
        try repository.store.delete(SnapshotObject.key(gone))
        return repository
    }

    @discardableResult
    func update(on other: (any Store)? = nil, readsParity: Bool = false) throws -> ParityOutcome {
        try ParityUpkeep(try open(other), threads: 2).run(readsParity: readsParity)
    }

    func open(_ other: (any Store)? = nil) throws -> OpenRepository {
        try OpenRepository(store: other ?? store, keys: base.keys, cacheDirectory: base.cache)
    }

    @discardableResult
    func prune(on other: (any Store)? = nil, fenceAfter: Int64 = 3600) throws -> CollectionOutcome {
        var options = CollectionOptions()
        options.fenceAfter = fenceAfter
        (options.maximumUnused, options.minimumAge) = (0, 0)
        return try Collector(try open(other), options: options).run()
    }

    /// Waits for nobody.
    func pruneToTheEnd() throws {
        for _ in 0..<6 where try prune(fenceAfter: 0).packsDeleted == 0 { return }
    }

    var packs: [ObjectID] { get throws { try base.keys(PackObject.prefix).compactMap(PackObject.id) } }

    var groups: Int { get throws { try ParityCatalog(try open()).entries.count } }

    /// Everything that is wanted is covered, and any one pack that is lost comes back as it was.
    func expectProtected(_ comment: String = "", sourceLocation: SourceLocation = #_sourceLocation) throws {
        let status = try ParityStatus(try open())
        #expect(status.packsUncovered == 0, "\(comment)", sourceLocation: sourceLocation)
        #expect(status.damages.isEmpty, "\(comment)", sourceLocation: sourceLocation)
        let wanted = Set(try open().index().tables.flatMap { $0.packs.map(\.id) })
        for id in try packs where wanted.contains(id) {
            let bytes = try store.get(PackObject.key(id), atMost: 1 << 30)
            try store.delete(PackObject.key(id))
            let result = try ParityHealing(try open(), threads: 2).run([id])
            #expect(result.healed == [id], "\(comment): \(result.failed)", sourceLocation: sourceLocation)
            #expect(try store.get(PackObject.key(id), atMost: 1 << 30) == bytes, "\(comment)", sourceLocation: sourceLocation)
        }
    }
}
