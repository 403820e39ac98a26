import BlobEngine
import RepoBase
import Storage
import Testing

@testable import Repository

@Suite struct RepositoryCheckTests {
    /// Two snapshots, the second a slight change of the first, so that it holds deltas.
    static func make() throws -> (repository: CheckedRepository, files: [ObjectID: [String: [UInt8]]]) {
        let repository = try CheckedRepository()
        var files = [
            "a": testBytes(400_000, seed: 1), "d/b": testBytes(300_000, seed: 2), "d/small": [1, 2, 3],
            "e": [],
        ]
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

/// Packs of writers, taken over by a full key that has verified them.
@Suite struct PackEndorsementTests {
    @Test func aFullKeyTakesOverWhatItVerified() throws {
        let owner = try CheckedRepository()
        defer { owner.remove() }
        try owner.snapshot(["own": testBytes(50_000, seed: 1)])
        var keys = owner.keys
        func writer(_ label: String) throws -> CheckedRepository {
            let added = try keys.addKey(to: owner.store, .machine, role: .writer, label: label)
            return try owner.opened(
                with: try KeyRing.open(owner.store, .machineKey(Array(added.keyFile!.utf8))))
        }
        let first = try writer("first")
        let second = try writer("second")
        defer {
            first.remove()
            second.remove()
        }
        let full = try owner.opened(with: keys)
        defer { full.remove() }
        try first.snapshot(["theirs": testBytes(80_000, seed: 2)], second: 2000)
        let chunks = try first.open().index().tables.flatMap { table in
            (0..<table.count).filter { table.packs[table.pack(at: $0)!].seal.signer == first.keys.keyID }.map
            { table.id(at: $0) }
        }
        #expect(!chunks.isEmpty)
        let before = try second.open().index()
        #expect(chunks.allSatisfy { !before.containsForDeduplication($0) })

        let report = try full.check(.all)
        #expect(report.errors == [])
        #expect(report.endorsedPacks == 2)
        let after = try second.open().index()
        #expect(chunks.allSatisfy { after.containsForDeduplication($0) })
        #expect(try full.check(.all).endorsedPacks == 0, "nothing is left to take over")
        #expect(try full.check(.all).errors == [])
        #expect(try full.keys(WriterRegistration.prefix) == [])
    }

    @Test func aStructureCheckWritesNothing() throws {
        let (repository, _) = try RepositoryCheckTests.make()
        defer { repository.remove() }
        let before = try repository.keys("")
        _ = try repository.check(nil)
        _ = try repository.check(.all)
        #expect(try repository.keys("") == before)
    }
}

@Suite struct SnapshotVerificationTests {
    @Test func whatASnapshotAddedIsReadBack() throws {
        let repository = try CheckedRepository()
        defer { repository.remove() }
        try repository.snapshot(["a": testBytes(90_000, seed: 1)])
        let old = Set(try repository.keys(PackObject.prefix))
        let open = try repository.open()
        let verification = try SnapshotVerification(before: open)
        try repository.snapshot(["b": testBytes(90_000, seed: 2)], second: 2000)
        try open.reloadIndex()
        let new = Set(try repository.keys(PackObject.prefix)).subtracting(old)
        let report = try verification.run()
        #expect(report.objects == UInt64(new.count))
        #expect(report.blobs > 0)
        let key = try #require(new.first)
        var bytes = try repository.store.get(key, atMost: 1 << 30)
        bytes[20] ^= 1
        try repository.store.put(key, bytes, .replace)
        #expect(throws: RepoError.self) { try verification.run() }
    }
}
