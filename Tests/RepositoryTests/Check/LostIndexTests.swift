import BlobEngine
import RepoBase
import Storage
import Testing

@testable import Repository

@Suite struct LostIndexTests {
    @Test func packsOfALostIndexAreNotTakenForGarbage() throws {
        let (repository, _) = try RepositoryCheckTests.make()
        defer { repository.remove() }
        for key in try repository.keys(IndexLoader.prefix) { try repository.store.delete(key) }
        let report = try repository.check(nil)
        #expect(!report.unindexedPacks.isEmpty)
        #expect(report.lacksIndex)
        _ = try IndexRepair(try repository.open()).run()
        #expect(try repository.check(nil).errors == [])
    }

    @Test func packsOfAnInterruptedSnapshotAreNoLostIndex() throws {
        let (repository, _) = try RepositoryCheckTests.make()
        defer { repository.remove() }
        try repository.store.put(PackObject.key(ObjectID(words: 1, 2, 3, 4)), [1, 2, 3], .create)
        let report = try repository.check(nil)
        #expect(report.unindexedPacks.count == 1)
        #expect(!report.lacksIndex)
    }

    /// A blob that a tree names and a delta rests on was told of twice: by its id, and by the first 8 bytes of it.
    @Test func aMissingBlobIsNamedOnce() throws {
        let repository = try CheckedRepository()
        defer { repository.remove() }
        var content = testBytes(60_000, seed: 4)
        let first = try repository.snapshot(["a": content])
        let segments = try repository.keys(IndexLoader.prefix)
        content[1000] ^= 1
        let second = try repository.snapshot(["a": content], second: 2000)
        // The first snapshot's trees must read for its chunks to be missed.
        let view = try repository.open().index()
        let place = try #require(view.names.firstIndex { segments.contains(StoreKey("index/\($0)")) })
        let table = view.tables[place]
        var blobs: [(pack: UInt32, record: BlobRecord)] = []
        for position in 0..<table.count where table.record(at: position)!.type != .chunk {
            blobs.append((UInt32(table.pack(at: position)!), table.record(at: position)!))
        }
        try IndexSegmentStore.store(
            IndexSegment(replaces: [view.names[place]], packs: table.packs, blobs: blobs),
            in: try repository.open())
        let report = try repository.check(nil)
        let names = report.errors.map(\.object)
        #expect(!names.isEmpty)
        for name in names {
            #expect(names.filter { $0.hasPrefix(name.prefix("blob ".count + 16)) }.count == 1, "\(names)")
        }
        #expect(Set(report.errors.flatMap(\.snapshots)) == [first, second])
    }

    @Test func packsAreNamedByTheirFirstDigits() throws {
        let (repository, _) = try RepositoryCheckTests.make()
        defer { repository.remove() }
        let key = try #require(try repository.keys(PackObject.prefix).first)
        let id = try #require(PackObject.id(key))
        let repair = PackRepair(try repository.open())
        for text in ["\(id)".prefix(8), "\(id)"[...], "\(key)"[...], "\(id)".uppercased().prefix(12)] {
            #expect(try repair.identify(String(text)) == id)
        }
        for (text, expected) in [
            ("abc", RepoError.Code.usage), ("xyz12345", .usage), ("0000000000", .notFound),
        ] {
            #expect(code { _ = try repair.identify(text) } == expected)
        }
    }
}
