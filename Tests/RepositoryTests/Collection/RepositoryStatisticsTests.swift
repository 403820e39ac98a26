import BlobEngine
import RepoBase
import RepositoryTesting
import Storage
import Testing

@testable import Repository

@Suite struct RepositoryStatisticsTests {
    @Test func tellsWhatBelongsToOneSnapshotAndOneSource() throws {
        let world = try CollectionWorld()
        var numbers = SeededNumbers(seed: 30)
        let shared = numbers.bytes(4_000)
        let ofSource = numbers.bytes(3_000)
        let first = try world.snapshot(["a": shared, "b": ofSource], source: "one")
        let second = try world.snapshot(
            ["a": shared, "b": ofSource, "c": numbers.bytes(2_000)], source: "one")
        try world.snapshot(["a": shared], source: "two")
        try world.forget(try world.snapshot(["x": numbers.bytes(3_500)], source: "gone"))
        let statistics = try RepositoryStatistics(try world.open())

        #expect(statistics.blobs[.chunk]?.count == 3)
        #expect(statistics.blobs[.chunk]?.rawBytes == 9_000)
        #expect(statistics.uniqueBytes == 9_000)
        #expect(statistics.indexedBlobs > statistics.blobs.values.reduce(0) { $0 + $1.count })
        // The root tree is each snapshot's own; the chunk of 2,000 bytes is the second's.
        let unique = Dictionary(uniqueKeysWithValues: statistics.snapshots.map { ($0.entry.id, $0.unique) })
        #expect(unique[first]?.count == 1)
        #expect(unique[second]?.count == 2)
        #expect(unique[second]!.rawBytes > unique[first]!.rawBytes + 2_000)
        #expect(statistics.sources.map(\.source) == ["one", "two"])
        #expect(statistics.sources.map(\.snapshots) == [2, 1])
        #expect(statistics.sources.map(\.unique.count) == [4, 1])
        let objects = try world.store.list("")
        #expect(statistics.storedBytes == objects.reduce(0) { $0 + $1.size })
        #expect(statistics.packBytes == (try world.storedBytes))
        // The last snapshot stored a tree and no chunk.
        #expect(statistics.packs == 7)
        #expect(statistics.logicalBytes == 7_000 + 9_000 + 4_000)
    }
}
