import BlobEngine
import Glibc
import RepoBase
import Storage
import Testing

@testable import Ingest
@testable import Repository

/// Whatever a tree says and whatever stands in the target: nothing outside of it is touched.
struct HostileTreeTests {
    private static func entry(_ name: String, _ payload: TreeEntry.Payload, size: UInt64 = 0) -> TreeEntry {
        let type: FileType =
            switch payload {
            case .file: .regular
            case .directory: .directory
            case .symbolicLink: .symbolicLink
            case .special: .fifo
            }
        return TreeEntry(
            name: Array(name.utf8), metadata: RestoreFixture.metadata(type, size: size), payload: payload)
    }

    @Test(arguments: ["..", ".", "../outside/x", "a/b", "/etc/x", "x\0y", ""])
    func namesThatLeadElsewhereAreRefused(name: String) throws {
        let fixture = try RestoreFixture()
        let content = try fixture.chunk(Array("evil".utf8))
        let root = try fixture.snapshot(of: [Self.entry(name, content, size: 4)])

        #expect(throws: RepoError.self) { try fixture.restore(root) }
        #expect(try FileManifest(fixture.place.path).items.keys.filter { !$0.starts(with: Array("/cache".utf8)) }.count == 1)
    }

    /// Below an undamaged root, the bad tree is named and the rest restored.
    @Test func badTreeBelowIsNamed() throws {
        let fixture = try RestoreFixture()
        let content = try fixture.chunk(Array("evil".utf8))
        let bad = try fixture.snapshot(of: [Self.entry("..", content, size: 4)])
        let root = try fixture.snapshot(of: [
            Self.entry("bad", .directory(bad)), Self.entry("good", content, size: 4),
        ])

        let result = try fixture.restore(root)

        #expect(result.problems.map(\.path) == [Array("/bad".utf8)])
        #expect(result.exitStatus == 12)
        #expect(try FileManifest(fixture.target).items.keys.sorted(by: isBefore) == [Array("/bad".utf8), Array("/good".utf8)])
    }

    /// A link and, below the same name in the next snapshot, a directory: the second restore must not go through the first's link.
    @Test(arguments: [RestoreOverwrite.always, .ifChanged, .never])
    func linkOnTheWayIsNotFollowed(mode: RestoreOverwrite) throws {
        let fixture = try RestoreFixture()
        let content = try fixture.chunk(Array("evil".utf8))
        let outside = fixture.place.path("outside")
        fixture.place.write("outside/victim", "precious")
        let before = try FileManifest(outside)
        let inner = try fixture.snapshot(of: [Self.entry("victim", content, size: 4), Self.entry("x", .special)])
        let links = try fixture.snapshot(of: [
            Self.entry("dir", .symbolicLink(target: outside)),
            Self.entry("file", .symbolicLink(target: outside + Array("/victim".utf8))),
        ])
        let root = try fixture.snapshot(of: [
            Self.entry("dir", .directory(inner)), Self.entry("file", content, size: 4),
        ])
        try fixture.restore(links)

        let result = try fixture.restore(root) {
            $0.overwrite = mode
            $0.deletes = true
        }

        #expect(result.problems.isEmpty)
        #expect(try FileManifest(outside) == before)
        let restored = try FileManifest(fixture.target)
        #expect(restored.items[Array("/dir/victim".utf8)] == nil || mode != .never)
        if mode == .never {
            #expect(result.counts.kept == 2)
        } else {
            #expect(restored.items[Array("/dir/victim".utf8)]?.size == 4)
        }
    }

    /// A file of the target that has another name outside is replaced, not written to.
    @Test(arguments: [RestoreOverwrite.always, .ifChanged])
    func otherNamesOfAFileKeepTheirContent(mode: RestoreOverwrite) throws {
        let fixture = try RestoreFixture()
        let content = try fixture.chunk(Array("evil".utf8))
        fixture.place.write("outside/victim", "good")
        let before = try FileManifest(fixture.place.path("outside"))
        fixture.place.makeDirectory("target")
        link(fixture.place.text("outside/victim"), fixture.place.text("target/file"))
        let root = try fixture.snapshot(of: [Self.entry("file", content, size: 4)])

        let result = try fixture.restore(root) { $0.overwrite = mode }

        #expect(result.problems.isEmpty)
        #expect(try FileManifest(fixture.place.path("outside")) == before)
        #expect(try FileManifest(fixture.target).items[Array("/file".utf8)]?.hash == ObjectHasher.hash(Array("evil".utf8)))
    }

    /// While the restore runs, a directory that it has made is swapped for a link to another place.
    @Test func directorySwappedForALinkIsNotFollowed() throws {
        let fixture = try RestoreFixture()
        let content = try fixture.chunk(Array("evil".utf8))
        let inner = try fixture.snapshot(of: [Self.entry("a", content, size: 4)])
        let root = try fixture.snapshot(of: [Self.entry("dir", .directory(inner)), Self.entry("z", .special)])
        let outside = fixture.place.text("outside")
        let target = String(decoding: fixture.target, as: UTF8.self)

        let result = try Restorer(fixture.repository, root: root, target: fixture.target).run { path, _ in
            // Decided about, and written only when the window is full.
            guard path == Array("/dir/a".utf8) else { return }
            #expect(rename(target + "/dir", target + "/moved") == 0)
            #expect(symlink(outside, target + "/dir") == 0)
        }

        _ = result
        #expect(try FileManifest(fixture.place.path("outside")).items.isEmpty)
    }

    @Test func deletionDoesNotFollowLinksAndKeepsWhatIsNotSelected() throws {
        let fixture = try RestoreFixture()
        let content = try fixture.chunk(Array("evil".utf8))
        fixture.place.write("outside/victim", "precious")
        let before = try FileManifest(fixture.place.path("outside"))
        let root = try fixture.snapshot(of: [Self.entry("keep", content, size: 4)])
        fixture.place.makeDirectory("target")
        fixture.place.makeDirectory("target/old")
        fixture.place.makeDirectory("target/old/older")
        fixture.place.write("target/old/older/file", "x")
        fixture.place.write("target/notes", "x")
        symlink(fixture.place.text("outside"), fixture.place.text("target/old/link"))

        let result = try fixture.restore(root) {
            $0.overwrite = .always
            $0.deletes = true
            $0.selection = { path, _ in path == Array("/notes".utf8) ? .skip : .restore }
        }

        #expect(result.problems.isEmpty)
        #expect(result.counts.deleted == 4)
        #expect(try FileManifest(fixture.place.path("outside")) == before)
        #expect(try FileManifest(fixture.target).items.keys.sorted(by: isBefore) == [Array("/keep".utf8), Array("/notes".utf8)])
    }

    @Test func targetThatIsNotEmptyIsRefusedUntouched() throws {
        let fixture = try RestoreFixture()
        let content = try fixture.chunk(Array("new".utf8))
        let root = try fixture.snapshot(of: [Self.entry("file", content, size: 3)])
        fixture.place.makeDirectory("target")
        fixture.place.write("target/file", "old")
        let before = try FileManifest(fixture.target)

        #expect(throws: RepoError.self) { try fixture.restore(root) }
        #expect(try FileManifest(fixture.target) == before)
    }

    @Test func fileThatCannotFitIsRefusedBeforeAnythingIsTouched() throws {
        let fixture = try RestoreFixture()
        let content = try fixture.chunk(Array("new".utf8))
        let root = try fixture.snapshot(of: [
            Self.entry("a", content, size: 3), Self.entry("b", content, size: 1 << 60),
        ])

        #expect(throws: RepoError.self) { try fixture.restore(root) }
        #expect(access(String(decoding: fixture.target, as: UTF8.self), F_OK) != 0, "nor is its target made")
    }

    @Test func sizeThatIsNotTheContentsIsDamage() throws {
        let fixture = try RestoreFixture()
        let content = try fixture.chunk(Array("new".utf8))
        let root = try fixture.snapshot(of: [
            Self.entry("a", content, size: 3), Self.entry("b", content, size: 4),
        ])

        let result = try fixture.restore(root)

        #expect(result.problems.map(\.path) == [Array("/b".utf8)])
        #expect(try FileManifest(fixture.target).items.keys.sorted(by: isBefore) == [Array("/a".utf8)])
    }

    @Test func dryRunTouchesNothingAndTellsAll() throws {
        let fixture = try RestoreFixture()
        let content = try fixture.chunk(Array("new".utf8))
        let inner = try fixture.snapshot(of: [Self.entry("a", content, size: 3)])
        let root = try fixture.snapshot(of: [Self.entry("dir", .directory(inner)), Self.entry("file", content, size: 3)])
        var options = RestoreOptions()
        options.isDryRun = true
        var told: [String] = []

        let result = try Restorer(fixture.repository, root: root, target: fixture.target, options: options).run {
            told.append("\(String(decoding: $0, as: UTF8.self)) \($1)")
        }

        #expect(result.problems.isEmpty)
        #expect(told == ["/dir created", "/dir/a created", "/file created"])
        #expect(access(String(decoding: fixture.target, as: UTF8.self), F_OK) != 0)
    }

    /// As when a link takes a directory's place after it was looked at.
    @Test func directoryThatIsALinkIsNotOpened() throws {
        let fixture = try RestoreFixture()
        fixture.place.makeDirectory("outside/below")
        fixture.place.write("outside/file", "precious")
        fixture.place.makeDirectory("target")
        symlink(fixture.place.text("outside"), fixture.place.text("target/dir"))
        symlink(fixture.place.text("outside/file"), fixture.place.text("target/file"))
        let root = TargetHandle(fixture.place.open("target"))
        let directories = TargetDirectories(root: root)
        let top = TargetDirectory([], in: nil)
        let link = TargetDirectory(Array("dir".utf8), in: top)

        #expect(throws: TargetFailure.self) { try directories.handle(of: link) }
        #expect(throws: TargetFailure.self) {
            try directories.handle(of: TargetDirectory(Array("below".utf8), in: link))
        }
        let name = Array("file".utf8)
        #expect(throws: TargetFailure.self) { try TargetCalls.open(name, in: root.descriptor, O_RDWR) }
        #expect(throws: TargetFailure.self) { try TargetCalls.open(name, in: root.descriptor, O_RDWR | O_CREAT | O_EXCL) }
        #expect(try directories.handle(of: top).descriptor == root.descriptor)
    }
}
