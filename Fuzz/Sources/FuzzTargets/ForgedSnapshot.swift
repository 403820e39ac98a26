import RepoBase
@testable import Repository

/// A snapshot of a few files taken after a forged one: looks up and reads the forged trees, lists and index as any snapshot does whose parent they are.
struct ForgedSnapshot {
    private static let content: [(name: String, bytes: [UInt8])] = {
        let rows = (0..<40).flatMap { Array("row \($0 &* 2_654_435_761 % 1_000_003)\n".utf8) }
        return [("a", rows + [1] + rows), ("sub", []), ("z", Array(rows.dropFirst(3)) + [UInt8](repeating: 0, count: 5000) + rows)]
    }()

    let repository: OpenRepository

    /// Throws whatever stands in the way.
    func take() throws {
        let parent = try SnapshotCatalog(repository).latest(source: "files", host: "host")
        var options = SnapshotOptions()
        options.threads = 1
        let writer = try SnapshotWriter(repository, options: options, following: parent?.snapshot)
        do {
            try writer.enterDirectory([], Self.metadata(.directory))
            try directory(parent?.snapshot.root, writer, depth: 0)
            try writer.leaveDirectory()
            _ = try writer.commit { root, _ in
                var snapshot = Snapshot(time: FileTime(seconds: 1_800_000_000, nanoseconds: 0), source: "files", kind: "files", root: root)
                snapshot.host = "host"
                return snapshot
            }
        } catch {
            writer.abandon()
            throw error
        }
    }

    private func directory(_ previous: BlobID?, _ writer: SnapshotWriter, depth: Int) throws {
        var cursor = previous.flatMap { try? TreeCursor($0, writer.reader) }
        for (name, bytes) in Self.content {
            let before = try? cursor?.entry(named: Array(name.utf8))
            if name == "sub" {
                guard depth == 0 else { continue }
                try writer.enterDirectory(Array(name.utf8), Self.metadata(.directory))
                try directory(before?.subtree, writer, depth: 1)
                try writer.leaveDirectory()
                continue
            }
            let feed = writer.beginContent(.contentDefined, previous: before?.content)
            var at = 0
            while try feed.read({ space in
                let count = min(space.count, bytes.count - at)
                bytes.withUnsafeBytes { space.copyMemory(from: .init(rebasing: $0[at..<at + count])) }
                at += count
                return count
            }) > 0 {}
            try writer.add(TreeEntry(name: Array(name.utf8), metadata: Self.metadata(.regular), payload: .file(.empty)), content: feed.finish())
        }
    }

    private static func metadata(_ type: FileType) -> FileMetadata {
        let time = FileTime(seconds: 1, nanoseconds: 0)
        return FileMetadata(
            type: type, permissions: 0o600, userID: 0, groupID: 0, size: 0, linkCount: 1, device: 0, inode: 0, modificationTime: time, changeTime: time)
    }
}
