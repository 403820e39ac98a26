import Glibc
import RepoBase
import Testing

@testable import Ingest
@testable import Repository

/// A dry run counts what the restore would do.
@Suite struct DryRunTests {
    private static func run(
        _ fixture: RestoreFixture, _ root: BlobID, _ overwrite: RestoreOverwrite?, deletes: Bool = false,
        isDryRun: Bool
    ) throws -> RestoreProgress {
        var options = RestoreOptions()
        options.overwrite = overwrite
        options.deletes = deletes
        options.isDryRun = isDryRun
        return try Restorer(fixture.repository, root: root, target: fixture.target, options: options).run()
            .counts
    }

    private static func fill(_ fixture: RestoreFixture) {
        let source = fixture.source
        source.write(Array("long".utf8), (0..<200_000).map { UInt8(truncatingIfNeeded: $0 &* $0 >> 7) })
        source.write("short", "some text")
        source.write("empty", "")
        source.makeDirectory("d")
        source.write("d/linked", "linked text")
        link(source.text("d/linked"), source.text("d/other name"))
        symlink("nowhere", source.text("link"))
        mkfifo(source.text("fifo"), 0o600)
    }

    @Test func countsEqualThoseOfTheRestoreItself() throws {
        let fixture = try RestoreFixture()
        Self.fill(fixture)
        let root = try fixture.snapshot().root
        func expectSame(_ overwrite: RestoreOverwrite?, deletes: Bool = false, _ what: Comment) throws
            -> RestoreProgress
        {
            var planned = try Self.run(fixture, root, overwrite, deletes: deletes, isDryRun: true)
            let done = try Self.run(fixture, root, overwrite, deletes: deletes, isDryRun: false)
            planned.isWriting = done.isWriting
            #expect(planned == done, what)
            return done
        }
        let first = try expectSame(nil, "into nothing")
        #expect(first.filesDone == 4)
        #expect(first.bytesWritten == 200_000 + 9 + 11)
        #expect(first.hardLinks == 1)
        #expect(first.otherEntries == 2)

        let again = try expectSame(.always, "into the same")
        #expect(again.bytesWritten == 0)

        let restored = String(decoding: fixture.restored, as: UTF8.self)
        let file = open(restored + "/long", O_WRONLY)
        try #require(file >= 0)
        pwrite(file, "x", 1, 150_000)
        close(file)
        unlink(restored + "/short")
        try #require(symlink("elsewhere", restored + "/stray") == 0)
        let changed = try expectSame(
            .always, deletes: true, "with one chunk changed, a file gone and a stray")
        #expect(changed.bytesWritten > 9 && changed.bytesWritten < 150_000)
        #expect(changed.deleted == 1)
    }
}
