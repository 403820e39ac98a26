import BlobEngine
package import RepoBase
package import Repository

/// Takes a snapshot of files in memory, after the newest of its source, as sources do it.
package struct SnapshotTaking {
    private let repository: OpenRepository
    private let files: MemoryFiles
    private let source: String
    private let host: String
    private let second: Int64?
    private let threads: Int

    /// - Parameter second: the snapshot's time; nil: a second after the one before.
    package init(
        _ repository: OpenRepository, _ files: MemoryFiles, source: String, host: String = "host", second: Int64? = nil, threads: Int = 1
    ) {
        (self.repository, self.files, self.source, self.host) = (repository, files, source, host)
        (self.second, self.threads) = (second, threads)
    }

    package func run() throws -> ObjectID {
        let parent = try SnapshotCatalog(repository).latest(source: source, host: host)
        var options = SnapshotOptions()
        options.threads = threads
        let writer = try SnapshotWriter(repository, options: options, following: parent?.snapshot)
        do {
            try writer.enterDirectory([], metadata(.directory))
            try directory("", of: parent?.snapshot.root, writer)
            try writer.leaveDirectory()
            return try writer.commit { root, statistics in
                let time = FileTime(seconds: second ?? (parent?.snapshot.time.seconds ?? 0) + 1, nanoseconds: 0)
                var snapshot = Snapshot(time: time, source: source, kind: "files", root: root)
                snapshot.host = host
                snapshot.statistics = statistics
                return snapshot
            }.id
        } catch {
            writer.abandon()
            throw error
        }
    }

    private func directory(_ path: String, of previous: BlobID?, _ writer: SnapshotWriter) throws {
        var cursor = previous.flatMap { try? TreeCursor($0, writer.reader) }
        var names: Set<String> = []
        for name in files.keys where name.hasPrefix(path) {
            names.insert(String(name.dropFirst(path.count).split(separator: "/")[0]))
        }
        for name in names.sorted(by: { isBefore(Array($0.utf8), Array($1.utf8)) }) {
            let bytes = Array(name.utf8)
            let before = try? cursor?.entry(named: bytes)
            if let content = files[path + name] {
                let feed = writer.beginContent(.contentDefined, previous: before?.content)
                var at = 0
                while try feed.read({ space in
                    let count = min(space.count, content.count - at)
                    content.withUnsafeBytes { space.copyMemory(from: .init(rebasing: $0[at..<at + count])) }
                    at += count
                    return count
                }) > 0 {}
                writer.count { $0.logicalBytes += UInt64(content.count) }
                try writer.add(
                    TreeEntry(name: bytes, metadata: metadata(.regular), payload: .file(.empty)),
                    content: feed.finish())
            } else {
                try writer.enterDirectory(bytes, metadata(.directory))
                try directory(path + name + "/", of: before?.subtree, writer)
                try writer.leaveDirectory()
            }
        }
    }

    private func metadata(_ type: FileType) -> FileMetadata {
        let time = FileTime(seconds: 1, nanoseconds: 0)
        return FileMetadata(
            type: type, permissions: 0o600, userID: 0, groupID: 0, size: 0, linkCount: 1, device: 0, inode: 0,
            modificationTime: time, changeTime: time)
    }
}
