import BlobEngine
import Glibc
import RepoBase
import Storage
import Testing

@testable import Ingest
@testable import Repository

/// A host with a writer key, which can read nothing of the repository: what it remembers of its own last snapshot.
@Suite struct WriterMemoryTests {
    private struct Host {
        let fixture: RestoreFixture
        let writer: OpenRepository
        let cache: String

        init() throws {
            fixture = try RestoreFixture()
            var keys = fixture.repository.keys
            let added = try keys.addKey(
                to: fixture.store, .machine, role: .writer, label: "w",
                scrypt: ScryptParameters(log2N: 10, r: 1, p: 1))
            let file = Array(try #require(added.keyFile).utf8)
            cache = fixture.place.text("writer")
            writer = try OpenRepository(
                store: fixture.store, keys: KeyRing.open(fixture.store, .machineKey(file)),
                cacheDirectory: cache)
            fixture.source.write(
                Array("long".utf8), (0..<300_000).map { UInt8(truncatingIfNeeded: $0 &* $0 >> 9) })
            fixture.source.makeDirectory("d")
            fixture.source.write("d/short", "some text")
        }

        func snapshot(remembering: Bool = true) throws -> SnapshotStatistics {
            var description = SourceDescription(name: "files", host: "host", user: "user")
            description.options.remembers = remembering
            let outcome = try FilesSource(description, paths: [fixture.source.path]).run(writer)
            #expect(outcome.problems.isEmpty)
            return outcome.snapshot.statistics
        }

        /// Files count as settled two seconds after they changed, by the kernel's clock, which no test can set.
        func settle() { usleep(2_100_000) }

        var remembered: [String] {
            ((try? LocalFolder.names(in: cache + "/last")) ?? []).map { "\(cache)/last/\($0)" }
        }

        /// A full key restores what the writer stored.
        func expectWhole(sourceLocation: SourceLocation = #_sourceLocation) throws {
            let full = fixture.repository
            try full.reloadIndex()
            let latest = try #require(try SnapshotCatalog(full).all().last)
            var options = RepositoryCheck.Options()
            options.data = .all
            let report = try RepositoryCheck(full, options: options).run()
            #expect(report.errors == [], sourceLocation: sourceLocation)
            let found = try SnapshotPath.find(
                latest.snapshot.root, fixture.source.path("d/short"), BlobReader(full))
            var size: UInt64?
            if case .entry(let entry) = found { size = entry.metadata.size }
            #expect(size == 9, sourceLocation: sourceLocation)
        }
    }

    private static func changeTime(_ path: String) -> [Int] {
        var status = stat()
        guard stat(path, &status) == 0 else { return [] }
        return [status.st_ctim.tv_sec, status.st_ctim.tv_nsec]
    }

    @Test func unchangedFilesAreNotReadAgain() throws {
        let host = try Host()
        host.settle()
        let time = Self.changeTime("/tmp")
        let first = try host.snapshot()
        #expect(first.filesNew == 2 && first.bytesRead == 300_009)
        for _ in 0..<3 {
            let next = try host.snapshot()
            #expect(next.filesUnmodified == 2)
            #expect(next.bytesRead == 0)
            // Where other tests meanwhile change the folder that all of them work in, the trees above the source are new: names and times, no content.
            let isUndisturbed = time == Self.changeTime("/tmp")
            #expect(next.bytesAdded == 0 || !isUndisturbed && next.bytesAdded < 1000)
        }
        host.fixture.source.write("d/more", "more")
        let changed = try host.snapshot()
        #expect(changed.filesUnmodified == 2 && changed.filesNew == 1 && changed.bytesRead == 4)
        try host.expectWhole()
        #expect(host.remembered.count == 1)
    }

    @Test func snapshotsFollowEachOther() throws {
        let host = try Host()
        _ = try host.snapshot()
        _ = try host.snapshot()
        try host.fixture.repository.reloadIndex()
        let all = try SnapshotCatalog(host.fixture.repository).all()
        #expect(all.last?.snapshot.parent == all.first?.id)
    }

    @Test func whatIsRememberedIsForItsOwnerAlone() throws {
        let host = try Host()
        _ = try host.snapshot()
        var status = stat()
        #expect(stat(try #require(host.remembered.first), &status) == 0 && status.st_mode & 0o777 == 0o600)
        #expect(stat(host.cache + "/last", &status) == 0 && status.st_mode & 0o777 == 0o700)
    }

    /// Deleted, cut short, or changed anywhere: files are read again, and nothing wrong is stored.
    @Test func damageOnlyCostsTime() throws {
        let host = try Host()
        host.settle()
        _ = try host.snapshot()
        let file = try #require(host.remembered.first)
        let whole = try #require(LocalFolder.contents(file, atMost: 1 << 24))
        for place in stride(from: 0, to: whole.count, by: whole.count / 40) {
            var bytes = whole
            bytes[place] ^= 0x21
            try LocalFolder.replace(file, with: bytes)
            let next = try host.snapshot(remembering: false)
            #expect(next.filesUnmodified + next.filesChanged + next.filesNew == 2)
            #expect(next.logicalBytes == 300_009)
        }
        for bytes in [[], Array(whole.prefix(100)), Array(whole.dropLast())] {
            try LocalFolder.replace(file, with: bytes)
            #expect(try host.snapshot(remembering: false).filesNew == 2)
        }
        unlink(file)
        #expect(try host.snapshot().filesNew == 2)
        try host.expectWhole()
    }

    /// A root that is gone from the repository is no longer followed; what else it remembers is looked up before it counts.
    @Test func aForgottenSnapshotIsNotFollowed() throws {
        let host = try Host()
        host.settle()
        _ = try host.snapshot()
        for id in try SnapshotCatalog(host.fixture.repository).names().ids {
            try host.fixture.store.delete(SnapshotObject.key(id))
        }
        var options = CollectionOptions()
        (options.maximumUnused, options.minimumAge) = (0, 0)
        #expect(try Collector(host.fixture.repository, options: options).run().packsDeleted > 0)
        let next = try host.snapshot()
        #expect(next.filesNew == 2 && next.bytesRead == 300_009)
        try host.expectWhole()
    }

    /// Packs that were pruned behind its back are stored again, though the trees say that nothing has changed.
    @Test func contentsThatAreGoneAreStoredAgain() throws {
        let host = try Host()
        host.settle()
        _ = try host.snapshot()
        for object in try host.fixture.store.list("index/") { try host.fixture.store.delete(object.key) }
        for object in try host.fixture.store.list("packs/") { try host.fixture.store.delete(object.key) }
        let next = try host.snapshot()
        #expect(next.bytesRead == 300_009)
    }

    @Test func aDryRunRemembersNothing() throws {
        let host = try Host()
        _ = try host.snapshot(remembering: false)
        #expect(host.remembered.isEmpty)
    }

    @Test func aFailedSnapshotLeavesWhatWasRemembered() throws {
        let host = try Host()
        _ = try host.snapshot()
        let before = host.remembered
        let writer = try SnapshotWriter(host.writer)
        #expect(host.remembered.count == 2)
        writer.abandon()
        #expect(host.remembered == before)
    }

    @Test func aFullKeyRemembersNothing() throws {
        let fixture = try RestoreFixture()
        fixture.source.write("a", "b")
        _ = try fixture.snapshot()
        #expect((try? LocalFolder.names(in: fixture.place.text("cache/last"))) == nil)
    }
}
