import BlobEngine
import Glibc
import RepoBase
import Storage
import Testing

@testable import Recovery
@testable import RepoCLI
@testable import Repository

/// A snapshot may have 65,536 levels of directories: what goes through them must not need the stack for each.
@Suite("A tree that is deeper than any path") struct DeepTreeTests {
    @Test func isRestoredCheckedCopiedAndDrilled() throws {
        let depth = 3000
        let folder = try ProgramFolder()
        let first = try folder.snapshot("shop", Array("one".utf8))
        let console = Console(environment: folder.program.environment)
        let repository = try CommandContext(console: console, options: GlobalOptions.parse([])).openRepository()
        let before = try SnapshotCatalog(repository).find(first).snapshot
        let writer = try SnapshotWriter(repository, options: SnapshotOptions(), following: nil)
        let time = FileTime(seconds: 1, nanoseconds: 0)
        let metadata = FileMetadata(
            type: .directory, permissions: 0o700, userID: 0, groupID: 0, size: 0, linkCount: 1, device: 0, inode: 0, modificationTime: time, changeTime: time)
        try writer.enterDirectory([], metadata)
        for _ in 0..<depth { try writer.enterDirectory(Array("d".utf8), metadata) }
        for _ in 0...depth { try writer.leaveDirectory() }
        let forged = try writer.commit { root, statistics in
            var snapshot = before
            (snapshot.source, snapshot.root, snapshot.statistics) = ("deep", root, statistics)
            return snapshot
        }.id
        // No path reaches to its end.
        defer { try? FolderRemoval.remove("\(folder.path)/out") }
        let scratch = "\(folder.path)/scratch"
        mkdir(scratch, 0o700)
        for words in [
            ["check"], ["check", "--read-data"], ["restore", "\(forged)", "--target", "\(folder.path)/out"], ["stats", "--snapshots"],
            ["cat", "\(forged)", "nothing"], ["ls", "\(forged)", "nothing"],
            ["init", "--repo", "\(folder.path)/twin", "--copy-of", folder.repository], ["copy", "--to", "\(folder.path)/twin"], ["repair", "snapshots"], ["prune"], ["drill", "--source", "deep", "--scratch", scratch], ["forget", "\(forged)", "--prune"], ["check"],
        ] {
            // Nor a descriptor for each: fewer may be open than there are levels.
            let outcome = try folder.program.through(["/bin/sh", "-c", "ulimit -n 1024; exec \"$@\"", "sh"]).run(words)
            #expect(outcome.status == (words.last == "nothing" ? 1 : 0), "\(words): \(outcome.errors.suffix(3000))")
        }
        #expect(FileTree.names(scratch).isEmpty, "the restore test left what it made")
    }
}
