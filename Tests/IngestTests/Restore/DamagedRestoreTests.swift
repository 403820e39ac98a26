import BlobEngine
import Glibc
import RepoBase
import Storage
import Testing

@testable import Ingest
@testable import Repository

struct DamagedRestoreTests {
    /// The contents are in two packs; one is damaged or lost: what needs it is named, and everything else is as it was.
    @Test(arguments: [false, true])
    func undamagedFilesAreDeliveredAndOthersNamed(isLost: Bool) throws {
        let fixture = try RestoreFixture()
        var generator = SeededGenerator(seed: 3)
        var entries: [TreeEntry] = []
        func store(_ name: String) throws {
            let bytes = (0..<300_000).map { _ in UInt8(truncatingIfNeeded: generator.next()) }
            entries.append(
                TreeEntry(
                    name: Array(name.utf8), metadata: RestoreFixture.metadata(.regular, size: 300_000),
                    payload: try fixture.chunk(bytes)))
        }
        for name in ["a", "b"] { try store(name) }
        let first = Set(try fixture.store.list("packs/").map(\.key))
        for name in ["c", "d"] { try store(name) }
        let root = try fixture.snapshot(of: entries)
        let reader = BlobReader(fixture.repository)
        var lost: Set<[UInt8]> = [Array("/a".utf8), Array("/b".utf8)]
        if isLost {
            for key in first { try fixture.store.delete(key) }
        } else {
            // One chunk of a.
            var chunk: BlobID?
            try ContentWalk.entries(of: entries[0].content!, size: 300_000, reader) { entry, _ in
                chunk = entry.id
                return false
            }
            let location = try #require(try fixture.repository.index().locations(of: chunk!).first)
            let key = PackObject.key(location.pack.id)
            var bytes = try fixture.store.get(key, atMost: 1 << 28)
            bytes[Int(location.record.offset) + 100] ^= 1
            try fixture.store.put(key, bytes, .replace)
            lost = [Array("/a".utf8)]
        }

        let result = try fixture.restore(root)

        #expect(result.hasDamage && result.exitStatus == 12)
        #expect(lost.isSubset(of: result.problems.map(\.path)))
        let restored = try FileManifest(fixture.target)
        #expect(Set(restored.items.keys) == Set(["/a", "/b", "/c", "/d"].map { Array($0.utf8) }).subtracting(lost))
        for (name, item) in restored.items {
            let entry = try #require(entries.first { $0.name == Array(name.dropFirst()) })
            var bytes: [UInt8] = []
            try ContentStream(fixture.repository).read(entry.content!, size: 300_000) { bytes += $0 }
            #expect(item.hash == ObjectHasher.hash(bytes))
        }
    }

    @Test func streamDeliversWhatPrecedesTheDamageAndNothingWrong() throws {
        let fixture = try RestoreFixture()
        var generator = SeededGenerator(seed: 4)
        let content = (0..<2_000_000).map { _ in UInt8(truncatingIfNeeded: generator.next()) }
        fixture.source.write(Array("a".utf8), content)
        let root = try fixture.snapshot().root
        let key = try #require(try fixture.store.list("packs/").max { $0.size < $1.size }).key
        var bytes = try fixture.store.get(key, atMost: 1 << 28)
        bytes[1_000_000] ^= 1
        try fixture.store.put(key, bytes, .replace)

        let file = try SnapshotPath.file(root, fixture.source.path("a"), BlobReader(fixture.repository))
        var read: [UInt8] = []
        #expect(throws: RepoError.self) {
            try ContentStream(fixture.repository).read(file.content!, size: file.metadata.size) { read += $0 }
        }
        #expect(read.count < content.count)
        #expect(content.starts(with: read))
    }

    @Test(arguments: [0, 1, 5000, 3_000_000])
    func streamIsTheFile(size: Int) throws {
        let fixture = try RestoreFixture()
        var tree = RandomTree(seed: 9)
        let content = Array((0..<16).flatMap { _ in tree.bytes() }.prefix(size))
        fixture.source.write(Array("a".utf8), content)
        let sparse = open(fixture.source.text("sparse"), O_WRONLY | O_CREAT, 0o644)
        #expect(pwrite(sparse, "end", 3, 900_000) == 3)
        close(sparse)
        let root = try fixture.snapshot().root
        let reader = BlobReader(fixture.repository)
        for (name, expected) in [("a", content), ("sparse", [UInt8](repeating: 0, count: 900_000) + Array("end".utf8))] {
            let file = try SnapshotPath.file(root, fixture.source.path(name), reader)
            var read: [UInt8] = []
            try ContentStream(fixture.repository, readAhead: 100_000).read(file.content!, size: file.metadata.size) {
                read += $0
            }
            #expect(read == expected)
        }
    }

    @Test func whoeverEndsAStreamEarlyGetsTheirErrorBack() throws {
        struct Enough: Error {}
        let fixture = try RestoreFixture()
        var generator = SeededGenerator(seed: 4)
        fixture.source.write(
            Array("a".utf8), (0..<3_000_000).map { _ in UInt8(truncatingIfNeeded: generator.next()) })
        let root = try fixture.snapshot().root
        let file = try SnapshotPath.file(root, fixture.source.path("a"), BlobReader(fixture.repository))
        #expect(throws: Enough.self) {
            try ContentStream(fixture.repository).read(file.content!, size: file.metadata.size) { _ in throw Enough() }
        }
    }
}
