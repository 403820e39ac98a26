import Glibc
public import RepoBase
public import Repository

/// A snapshot of one stream: standard input, or what a command writes.
public struct StreamSource: Sendable {
    private let description: SourceDescription
    private let kind: String

    /// - Parameter kind: `stdin` or `command`, as recorded.
    public init(_ description: SourceDescription, kind: String) throws(RepoError) {
        guard TreeCodec.isPlainName(Array(description.name.utf8)) else {
            throw RepoError(
                .usage, "'\(description.name)' cannot name a stream",
                advice: "Use a name without '/', at most 255 bytes long: it is the file's name in the snapshot.")
        }
        self.description = description
        self.kind = kind
    }

    /// Reads `descriptor` to its end. `completed` is asked then, before anything becomes visible: what it throws leaves no snapshot.
    public func run(
        _ repository: OpenRepository, descriptor: CInt, onStart: (SnapshotWriter) -> Void = { _ in },
        completed: () throws -> Void = {}
    ) throws -> SourceOutcome {
        try run(repository, descriptor: { _ in descriptor }, onStart: onStart, completed: completed)
    }

    /// The same for a stream that is opened when the writer is ready; what opening throws leaves no snapshot.
    func run(
        _ repository: OpenRepository, descriptor open: (SnapshotWriter) throws -> CInt,
        onStart: (SnapshotWriter) -> Void, completed: () throws -> Void
    ) throws -> SourceOutcome {
        let name = Array(description.name.utf8)
        let now = description.time ?? .now()
        let parent = try SnapshotCatalog(repository).latest(source: description.name, host: description.host)
        let writer = try SnapshotWriter(repository, options: description.options, following: parent?.snapshot)
        onStart(writer)
        do {
            let descriptor = try open(writer)
            var previous: Content?
            if let parent, var cursor = try? TreeCursor(parent.snapshot.root, writer.reader) {
                previous = try? cursor.entry(named: name)?.content
            }
            let metadata = Self.metadata(.regular, now)
            try writer.enterDirectory([], Self.metadata(.directory, now))
            let feed = writer.beginContent(.contentDefined, previous: previous)
            // A pipe gives little at a time; a segment is filled before it is handed on.
            while try feed.read({ try Self.fill($0, from: descriptor) }) > 0 {}
            try completed()
            let size = feed.offset
            let content = feed.finish()
            try writer.add(
                TreeEntry(name: name, metadata: metadata, payload: .file(.empty)), content: content)
            try writer.leaveDirectory()
            writer.count { progress in
                progress.logicalBytes = size
                if previous == nil { progress.filesNew = 1 } else { progress.filesChanged = 1 }
            }
            let result = try writer.commit { root, statistics in
                Snapshot(describing: description, kind: kind, time: now, root: root, statistics: statistics, parent: parent?.id)
            }
            return SourceOutcome(id: result.id, snapshot: result.snapshot, problems: [])
        } catch {
            writer.abandon()
            throw writer.interruption ?? error
        }
    }

    static func fill(_ buffer: UnsafeMutableRawBufferPointer, from descriptor: CInt) throws -> Int {
        var filled = 0
        while filled < buffer.count {
            let count = read(descriptor, buffer.baseAddress! + filled, buffer.count - filled)
            if count == 0 { break }
            if count < 0 {
                if errno == EINTR { continue }
                throw RepoError(
                    .sourceFailed, "the stream could not be read: \(String(cString: strerror(errno)))",
                    advice: "No snapshot was made. Run the command again.")
            }
            filled += count
        }
        return filled
    }

    static func metadata(_ type: FileType, _ time: FileTime) -> FileMetadata {
        FileMetadata(
            type: type, permissions: type == .directory ? 0o700 : 0o600, userID: geteuid(), groupID: getegid(),
            size: 0, linkCount: 1, device: 0, inode: 0, modificationTime: time, changeTime: time)
    }
}
