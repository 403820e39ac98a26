import Glibc
import RepoBase
import Testing

@testable import Ingest
@testable import Repository

struct RoundTripTests {
    @Test(arguments: 1...12)
    func restoredTreeIsTheOneThatWasBackedUp(seed: Int) throws {
        let fixture = try RestoreFixture()
        var tree = RandomTree(seed: UInt64(seed))
        tree.fill(fixture.source.path)
        let before = try FileManifest(fixture.source.path)
        let root = try fixture.snapshot().root

        let result = try fixture.restore(root) { $0.verifies = seed % 2 == 0 }

        #expect(result.problems.isEmpty)
        let after = try FileManifest(fixture.restored)
        #expect(before == after, "\(before.differences(after))")
        #expect(after.blocks <= before.blocks + 8 * Int64(before.items.count))
        #expect(result.counts.filesDone == result.counts.filesTotal)
        #expect(result.counts.bytesDone == result.counts.bytesTotal)
    }

    @Test func secondRestoreIntoTheSameTargetWritesNothing() throws {
        let fixture = try RestoreFixture()
        var tree = RandomTree(seed: 77)
        tree.fill(fixture.source.path)
        let root = try fixture.snapshot().root
        try fixture.restore(root)

        for mode in [RestoreOverwrite.ifChanged, .always] {
            let result = try fixture.restore(root) { $0.overwrite = mode }
            #expect(result.problems.isEmpty)
            #expect(result.counts.bytesWritten == 0)
            #expect(try FileManifest(fixture.source.path) == FileManifest(fixture.restored))
        }
    }

    @Test func onlyWhatDiffersIsWritten() throws {
        let fixture = try RestoreFixture()
        var tree = RandomTree(seed: 5)
        tree.fill(fixture.source.path)
        fixture.source.write(Array("large".utf8), (0..<1_000_000).map { UInt8(truncatingIfNeeded: $0 / 97 &* $0) })
        let root = try fixture.snapshot().root
        try fixture.restore(root)
        let before = try FileManifest(fixture.restored)
        // One byte changes in the middle, with it the time; another file loses its end, a third is gone.
        let large = fixture.restored + Array("/large".utf8)
        let file = large.withTerminated { open($0, O_WRONLY) }
        #expect(pwrite(file, "x", 1, 500_000) == 1)
        close(file)

        let result = try fixture.restore(root) { $0.overwrite = .ifChanged }

        #expect(result.problems.isEmpty)
        #expect(result.counts.bytesWritten > 0 && result.counts.bytesWritten <= 65536)
        #expect(try FileManifest(fixture.restored) == before)
    }

    @Test func shortenedLengthenedMissingAndReplacedFilesComeBack() throws {
        let fixture = try RestoreFixture()
        for name in ["short", "long", "gone", "link", "directory"] {
            fixture.source.write(Array(name.utf8), (0..<100_000).map { UInt8(truncatingIfNeeded: $0 * $0 >> 7) })
        }
        let root = try fixture.snapshot().root
        try fixture.restore(root)
        func path(_ name: String) -> String { String(decoding: fixture.restored, as: UTF8.self) + "/" + name }
        truncate(path("short"), 5000)
        truncate(path("long"), 200_000)
        for name in ["gone", "link", "directory"] { unlink(path(name)) }
        symlink(fixture.place.text("outside") + "/victim", path("link"))
        mkdir(path("directory"), 0o755)

        let result = try fixture.restore(root) { $0.overwrite = .always }

        #expect(result.problems.isEmpty)
        #expect(try FileManifest(fixture.restored) == FileManifest(fixture.source.path))
        #expect(try FileManifest(fixture.place.path("outside")).items.isEmpty)
    }

    @Test func holesReplaceDataThatStoodThere() throws {
        let fixture = try RestoreFixture()
        let path = fixture.source.text("sparse")
        let file = open(path, O_WRONLY | O_CREAT, 0o644)
        #expect(pwrite(file, "end", 3, 3_000_000) == 3)
        close(file)
        let root = try fixture.snapshot().root
        try fixture.restore(root)
        let restored = String(decoding: fixture.restored, as: UTF8.self) + "/sparse"
        let dirty = open(restored, O_WRONLY)
        let junk = [UInt8](repeating: 7, count: 1_000_000)
        #expect(pwrite(dirty, junk, junk.count, 500_000) == junk.count)
        close(dirty)

        try fixture.restore(root) { $0.overwrite = .always }

        let after = try FileManifest(fixture.restored)
        #expect(try after == FileManifest(fixture.source.path))
        #expect(after.blocks < 200)
    }

    @Test func pathsBeyondPATH_MAXComeBack() throws {
        let fixture = try RestoreFixture()
        let name = [UInt8](repeating: UInt8(ascii: "d"), count: 200)
        var directory = fixture.source.open()
        for _ in 0..<300 {
            _ = name.withTerminated { mkdirat(directory, $0, 0o755) }
            let next = name.withTerminated { openat(directory, $0, O_RDONLY | O_DIRECTORY) }
            close(directory)
            directory = next
        }
        let file = openat(directory, "deep", O_WRONLY | O_CREAT, 0o600)
        #expect(write(file, "treasure", 8) == 8)
        close(file)
        close(directory)
        let root = try fixture.snapshot().root

        let result = try fixture.restore(root)

        #expect(result.problems.isEmpty)
        #expect(try FileManifest(fixture.restored) == FileManifest(fixture.source.path))
    }

    @Test func selectionRestoresPartsWithTheirParents() throws {
        let fixture = try RestoreFixture()
        for directory in ["a", "a/b", "c"] { fixture.source.makeDirectory(directory) }
        for name in ["a/b/one.txt", "a/b/two.bin", "c/three.bin", "four.txt"] { fixture.source.write(name, name) }
        let root = try fixture.snapshot().root

        let result = try fixture.restore(root) {
            $0.selection = { path, isDirectory in
                isDirectory ? .descend : path.suffix(4) == Array(".txt".utf8) ? .restore : .skip
            }
        }

        #expect(result.problems.isEmpty)
        let names = try FileManifest(fixture.restored).items.keys.map { String(decoding: $0, as: UTF8.self) }
        #expect(names.sorted() == ["/a", "/a/b", "/a/b/one.txt", "/four.txt"])
    }

    @Test func otherNamesAreNotLinkedToAFileThatIsKept() throws {
        let fixture = try RestoreFixture()
        fixture.source.write("a", "from the snapshot")
        link(fixture.source.text("a"), fixture.source.text("b"))
        let root = try fixture.snapshot().root
        try fixture.restore(root)
        let restored = String(decoding: fixture.restored, as: UTF8.self)
        for name in ["a", "b"] { unlink(restored + "/" + name) }
        let file = open(restored + "/a", O_WRONLY | O_CREAT, 0o644)
        #expect(write(file, "other", 5) == 5)
        close(file)

        let result = try fixture.restore(root) { $0.overwrite = .never }

        #expect(result.problems.isEmpty)
        let items = try FileManifest(fixture.restored).items
        #expect(items[Array("/a".utf8)]?.size == 5)
        #expect(items[Array("/b".utf8)]?.size == 17)
    }
}
