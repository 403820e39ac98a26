import Glibc
import RepoBase
import Testing

@testable import Ingest
@testable import Repository

struct ListingTests {
    @Test func differencesAreToldByKind() throws {
        let fixture = try RestoreFixture()
        let source = fixture.source
        for directory in ["same", "same/deep", "gone", "dir"] { source.makeDirectory(directory) }
        for name in ["same/deep/file", "gone/file", "changed", "touched", "kind", "dir/x"] { source.write(name, name) }
        let old = try fixture.snapshot().root
        source.write("changed", "otherwise")
        chmod(source.text("touched"), 0o600)
        unlink(source.text("kind"))
        source.makeDirectory("kind")
        source.write("kind/below", "x")
        unlink(source.text("gone/file"))
        rmdir(source.text("gone"))
        source.write("dir/y", "new")
        let new = try fixture.snapshot().root

        var told: [String] = []
        try SnapshotDiff(BlobReader(fixture.repository)).compare(old, new) { path, change in
            let kind =
                switch change {
                case .added: "+"
                case .removed: "-"
                case .modified: "M"
                case .typeChanged: "T"
                case .metadataChanged: "U"
                }
            let name = String(decoding: path.dropFirst(source.path.count), as: UTF8.self)
            // Directories' times change with what is in them.
            if kind != "U" || name == "/touched" { told.append("\(kind) \(name)") }
        }

        #expect(
            told == [
                "M /changed", "+ /dir/y", "- /gone", "- /gone/file", "T /kind", "+ /kind/below", "U /touched",
            ])
    }

    @Test func comparisonOfRandomTreesIsWhatTheirManifestsSay() throws {
        for seed in 1...6 as ClosedRange<UInt64> {
            let fixture = try RestoreFixture()
            var tree = RandomTree(seed: seed)
            tree.fill(fixture.source.path)
            let old = try fixture.snapshot().root
            let before = try FileManifest(fixture.source.path)
            tree.fill(fixture.source.path)
            let new = try fixture.snapshot().root
            let after = try FileManifest(fixture.source.path)
            var added: Set<[UInt8]> = []
            try SnapshotDiff(BlobReader(fixture.repository)).compare(old, new) { path, change in
                if case .added = change { added.insert(Array(path.dropFirst(fixture.source.path.count))) }
                if case .removed = change { Issue.record("nothing was removed") }
            }
            #expect(added == Set(after.items.keys).subtracting(before.items.keys))
            #expect(!added.isEmpty)
        }
    }

    @Test func filesAreFoundInEverySnapshotThatHasThem() throws {
        let fixture = try RestoreFixture()
        fixture.source.makeDirectory("a")
        fixture.source.makeDirectory("b")
        fixture.source.write("a/one", "1")
        fixture.source.write("b/two", "2")
        let first = try fixture.snapshot().root
        fixture.source.write("b/three", "3")
        let second = try fixture.snapshot().root

        var find = FindFiles(BlobReader(fixture.repository))
        var told: [String] = []
        for root in [first, second, second] {
            try find.search(root, matching: { path, _ in path.suffix(3) == Array("two".utf8) || path.suffix(5) == Array("three".utf8) }) {
                path, _ in
                told.append(String(decoding: path.dropFirst(fixture.source.path.count), as: UTF8.self))
            }
        }
        #expect(told == ["/b/two", "/b/three", "/b/two", "/b/three", "/b/two"])
    }

    @Test func pathsNameWhatIsThere() throws {
        let fixture = try RestoreFixture()
        fixture.source.makeDirectory("a")
        fixture.source.write("a/one", "1")
        let root = try fixture.snapshot().root
        let reader = BlobReader(fixture.repository)
        #expect(try SnapshotPath.find(root, Array("/".utf8), reader).tree == root)
        #expect(try SnapshotPath.file(root, fixture.source.path("a//./one"), reader).metadata.size == 1)
        #expect(throws: RepoError.self) { try SnapshotPath.find(root, fixture.source.path("a/two"), reader) }
        #expect(throws: RepoError.self) { try SnapshotPath.find(root, fixture.source.path("a/one/x"), reader) }
        #expect(throws: RepoError.self) { try SnapshotPath.file(root, fixture.source.path("a"), reader) }
        #expect(throws: RepoError.self) { try SnapshotPath.file(root, [], reader) }
    }
}
