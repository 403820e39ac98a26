import BlobEngine
import RepoBase
@testable import Repository
import Storage
import Testing

@Suite struct RepositoryCheckTests {
    /// Two snapshots, the second a slight change of the first, so that it holds deltas.
    static func make() throws -> (repository: CheckedRepository, files: [ObjectID: [String: [UInt8]]]) {
        let repository = try CheckedRepository()
        var files = ["a": testBytes(400_000, seed: 1), "d/b": testBytes(300_000, seed: 2), "d/small": [1, 2, 3], "e": []]
        let first = try repository.snapshot(files, second: 1000)
        let before = files
        for place in stride(from: 1000, to: 390_000, by: 20_000) { files["a"]![place] ^= 1 }
        files["d/new"] = testBytes(50_000, seed: 3)
        let second = try repository.snapshot(files, second: 2000)
        return (repository, [first: before, second: files])
    }

    @Test func aHealthyRepositoryHasNoErrors() throws {
        let (repository, files) = try Self.make()
        defer { repository.remove() }
        for data in [DataSubset?.none, .all] {
            let report = try repository.check(data)
            #expect(report.errors == [])
            #expect(report.unindexedPacks == [])
            #expect(report.blobs > 0)
        }
        let report = try repository.check(.all)
        let packs = try repository.store.list(PackObject.prefix)
        #expect(report.bytesRead == packs.reduce(0) { $0 + $1.size })
        #expect(report.verifiedPacks == UInt64(packs.count))
        let view = try repository.open().index()
        #expect(report.blobs == UInt64(view.blobCount))
        let deltas = view.tables.flatMap { table in (0..<table.count).compactMap { table.record(at: $0) } }
            .filter { $0.encoding == .delta }
        #expect(deltas.count > 5, "the second snapshot is to exercise deltas")
        for (id, content) in files {
            let found = try repository.read(id).mapValues { try $0.get() }
            #expect(found.keys.sorted() == content.keys.sorted())
            for (path, bytes) in content { #expect(found[path] == bytes, "\(path)") }
        }
    }
}
