import RepoBase
import RepositoryTesting
import Storage
import Testing

@testable import Repository

/// Snapshots that are let go in the source, or in the copy, while a copy of them is under way.
@Suite("Copies beside forgetting") struct CopyBesideForgettingTests {
    @Test("A snapshot that is let go here, or there, while it is copied ends no copy", arguments: [SnapshotObject.prefix, "packs/", "index/"], [true, false])
    func letGo(whileListing prefix: String, here: Bool) throws {
        let world = try CollectionWorld()
        let machine = RememberingMachine(world)
        let ids = try (0..<3).map { try machine.snapshot(["a": [UInt8]("number \($0)".utf8)]) }
        let there = MemoryStore()
        try TwinRepository.create(in: there, of: world.open())
        func destination(_ store: any Store) throws -> OpenRepository {
            try OpenRepository(store: store, keys: world.keys, cacheDirectory: "\(machine.folder)/\(UInt64.random(in: 0 ... .max))", freshness: nil)
        }
        let entries = try SnapshotCatalog(world.open()).all()
        let first = try RepositoryCopy(from: world.open(), to: destination(there)).run(Array(entries.prefix(1)))
        #expect(first.copied.map(\.source) == [ids[0]])
        let isDone = Monitor(false)
        let during = DuringListing(there, prefix: prefix) {
            guard !isDone.withLock({ done in
                defer { done = true }
                return done
            }) else { return }
            // One that the copy was told to send, or one that is there already.
            try Forgetting(here ? world.open() : destination(there)).remove([ids[here ? 1 : 0]])
        }
        let outcome = try RepositoryCopy(from: world.open(), to: destination(during)).run(entries)
        #expect(outcome.failures.isEmpty)
        #expect(isDone.withLock { $0 })
        let present = try Set(SnapshotCatalog(destination(there)).all().map(\.id))
        #expect(present.isSuperset(of: here ? [ids[0], ids[2]] : [ids[1], ids[2]]))
        #expect(try RepositoryCheck(destination(there)).run().isClean)
    }
}
