import BlobEngine
import RepoBase
import Storage
import Testing

@testable import Repository

/// Blobs that share the 8 bytes by which deltas name their bases: each is tried.
@Suite struct SharedPrefixTests {
    /// A repository with a delta whose base has a namesake before and behind it in the index, of other content.
    private static func make() throws -> (repository: CheckedRepository, id: ObjectID, content: [UInt8]) {
        let repository = try CheckedRepository()
        var content = testBytes(4_000, seed: 6)
        try repository.snapshot(["a": content])
        content[1000] ^= 1
        let id = try repository.snapshot(["a": content], second: 2000)
        let open = try repository.open()
        let view = try open.index()
        let delta = try #require(
            view.tables.flatMap { table in (0..<table.count).compactMap { table.record(at: $0) } }
                .first { $0.encoding == .delta && $0.type == .chunk })
        let base = try #require(view.candidates(prefix: delta.bases[0]).first)
        let output = PackOutput(open)
        for (last, seed) in [(UInt64(0), UInt64(7)), (.max, 8)] {
            let namesake = BlobID(words: base.word0, last, last, last)
            try testBytes(4_000, seed: seed).withUnsafeBytes {
                try output.append(
                    id: namesake, type: .chunk, encoding: .plain, rawLength: UInt32($0.count),
                    bases: BlobBases(), encoded: $0)
            }
        }
        try output.finish()
        #expect(try open.index().candidates(prefix: delta.bases[0]).count == 3)
        return (repository, id, content)
    }

    @Test func readersFindTheRightOne() throws {
        let (repository, id, content) = try Self.make()
        defer { repository.remove() }
        #expect(try repository.read(id)["a"]?.get() == content)
    }

    @Test func aCheckFindsTheRightOneAndNamesTheFalse() throws {
        let (repository, _, _) = try Self.make()
        defer { repository.remove() }
        #expect(try repository.check(nil).errors == [])
        let report = try repository.check()
        #expect(report.errors.count == 1, "the namesakes alone: \(report.errors)")
        #expect(report.errors.first?.problem.contains("2 blobs do not read") == true)
        #expect(report.errors.first?.snapshots == [])
    }

    @Test func collectionsAndRepairsKeepTheDeltaReadable() throws {
        let (repository, id, content) = try Self.make()
        defer { repository.remove() }
        _ = try PackRepair(try repository.open()).run()
        #expect(try repository.read(id)["a"]?.get() == content)
        _ = try Collector(try repository.open(), options: CollectionWorld.eager).run()
        #expect(try repository.read(id)["a"]?.get() == content)
        #expect(try repository.check().errors == [])
    }

    @Test func writersRestNothingOnDoubtfulBases() throws {
        let (repository, _, content) = try Self.make()
        defer { repository.remove() }
        var next = content
        next[2000] ^= 1
        let id = try repository.snapshot(["a": next], second: 3000)
        #expect(try repository.read(id)["a"]?.get() == next)
    }
}
