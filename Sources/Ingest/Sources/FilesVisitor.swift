import Glibc
import RepoBase
import Repository

/// Decides about each entry of a walk: what is known from the snapshot before, and what is to be read, which it opens for the feed.
struct FilesVisitor: TreeVisitor {
    typealias Failure = any Error

    private let writer: SnapshotWriter
    private let feed: FilesFeed
    let accounts = AccountNames()
    /// The directories of the snapshot before, one for each open directory; nil where it has none.
    private var earlier: [TreeCursor?] = []
    /// When the snapshot before began: what had not settled by then is no proof of unchanged content.
    private let earlierMoment: FileTime
    /// Names of the open directories above the roots.
    private var openAbove: [[UInt8]] = []
    private var root: RootPaths.Root?
    /// Files with several names that have not changed.
    private var linked: [FileIdentity: TreeEntry] = [:]

    init(_ writer: SnapshotWriter, _ feed: FilesFeed, roots: RootPaths, parent: Snapshot?) throws {
        self.writer = writer
        self.feed = feed
        earlierMoment = parent.flatMap { $0.started ?? $0.time } ?? FileTime(seconds: .min, nanoseconds: 0)
        var cursor: TreeCursor?
        if let parent { cursor = try? TreeCursor(parent.root, writer.reader) }
        earlier = [cursor]
        let metadata = Self.status([UInt8(ascii: "/")], accounts)
        try feed.push(.enter(name: [], metadata: metadata))
    }

    /// Opens the directories that lead to a root, keeping those that are open already.
    mutating func begin(_ root: RootPaths.Root) throws {
        let above = root.components.dropLast()
        var common = 0
        while common < openAbove.count, common < above.count, openAbove[common] == above[common] { common += 1 }
        while openAbove.count > common {
            try feed.push(.leave)
            earlier.removeLast()
            openAbove.removeLast()
        }
        var path: [UInt8] = []
        for (depth, name) in above.enumerated() {
            path += [RawPath.slash] + name
            guard depth >= common else { continue }
            try enter(name, Self.status(path, accounts))
            openAbove.append(name)
        }
        self.root = root
    }

    /// Closes what leads to the last root, and the snapshot's root.
    mutating func finish() throws {
        for _ in openAbove { try feed.push(.leave) }
        openAbove = []
        try feed.push(.leave)
    }

    private static func status(_ path: [UInt8], _ accounts: AccountNames) -> FileMetadata {
        if let known = try? FileMetadata(of: path, in: AT_FDCWD, path: path, accounts: accounts),
            known.type == .directory
        {
            return known
        }
        return FileMetadata(
            type: .directory, permissions: 0o755, userID: 0, groupID: 0, size: 0, linkCount: 1, device: 0, inode: 0,
            modificationTime: FileTime(seconds: 0, nanoseconds: 0), changeTime: FileTime(seconds: 0, nanoseconds: 0))
    }

    private mutating func enter(_ name: [UInt8], _ metadata: FileMetadata) throws {
        let before = try lookUp(name)
        var cursor: TreeCursor?
        if let tree = before?.subtree { cursor = try? TreeCursor(tree, writer.reader) }
        earlier.append(cursor)
        try feed.push(.enter(name: name, metadata: metadata))
    }

    /// The entry of that name in the snapshot before; a damaged tree is as good as none.
    private mutating func lookUp(_ name: [UInt8]) throws -> TreeEntry? {
        guard let last = earlier.indices.last, var cursor = earlier[last] else { return nil }
        do {
            let entry = try cursor.entry(named: name)
            earlier[last] = cursor
            return entry
        } catch let error as RepoError where error.code == .damaged {
            earlier[last] = nil
            return nil
        }
    }

    // MARK: TreeVisitor

    /// The name in the snapshot: a root's is the last component of its absolute path.
    private func name(of entry: WalkedEntry) -> [UInt8]? {
        entry.depth > 0 ? entry.name : root?.components.last
    }

    mutating func enterDirectory(_ entry: WalkedEntry) throws {
        // The file system's root is the snapshot's own.
        guard let name = name(of: entry) else { return }
        try enter(name, withAttributes(entry))
    }

    mutating func leaveDirectory(path: [UInt8], isComplete: Bool) throws {
        if root?.components.isEmpty == true, path == root?.path { return }
        earlier.removeLast()
        try feed.push(.leave)
    }

    mutating func problem(_ error: FileSystemError) throws {
        try feed.push(.problem(SourceProblem(error)))
    }

    mutating func visit(_ entry: WalkedEntry) throws {
        guard let name = name(of: entry) else { return }
        let before = try lookUp(name)
        switch entry.metadata.type {
        case .regular: try visitFile(entry, name, before)
        case .symbolicLink:
            do {
                let target = try SymbolicLink.target(
                    of: entry.nameInDirectory, in: entry.directory, path: entry.path)
                try add(TreeEntry(name: name, metadata: withAttributes(entry), payload: .symbolicLink(target: target)))
            } catch let error as FileSystemError {
                try problem(error)
            }
        case .blockDevice, .characterDevice, .fifo:
            try add(TreeEntry(name: name, metadata: withAttributes(entry), payload: .special))
        case .directory, .socket: return
        }
    }

    private func add(_ entry: TreeEntry) throws {
        try feed.push(.add(entry, .other))
    }

    /// What could not be read of the attributes is a problem; the rest is kept.
    private func withAttributes(_ entry: WalkedEntry) throws -> FileMetadata {
        var metadata = entry.metadata
        do throws(FileSystemError) {
            try metadata.loadExtendedAttributes(
                of: entry.nameInDirectory, in: entry.directory, path: entry.path)
        } catch {
            try feed.push(.problem(SourceProblem(error)))
        }
        return metadata
    }

    private mutating func visitFile(_ entry: WalkedEntry, _ name: [UInt8], _ before: TreeEntry?) throws {
        let identity =
            entry.metadata.linkCount > 1
            ? FileIdentity(device: entry.metadata.device, inode: entry.metadata.inode) : nil
        if let identity, var known = linked[identity] {
            known.name = name
            return try feed.push(.add(known, .link))
        }
        if let before, let content = before.content, !before.isIncomplete,
            entry.metadata.isUnchanged(since: before.metadata),
            before.metadata.hasSettled(before: earlierMoment), try writer.isComplete(content)
        {
            var same = before
            // ctime vouches for everything but what it does not cover: names of owners may be others by now.
            same.metadata.userName = entry.metadata.userName
            same.metadata.groupName = entry.metadata.groupName
            same.metadata.device = entry.metadata.device
            same.metadata.linkCount = entry.metadata.linkCount
            if let identity { linked[identity] = same }
            return try feed.push(.add(same, .unmodified))
        }
        do {
            try open(entry, name, identity, before)
        } catch let error as FileSystemError {
            try problem(error)
        }
    }

    /// Opens a file for the feed, and asks the kernel to fetch its beginning.
    private func open(
        _ entry: WalkedEntry, _ name: [UInt8], _ identity: FileIdentity?, _ before: TreeEntry?
    ) throws {
        var file = try OpenedFile(
            entry.nameInDirectory, in: entry.directory, path: entry.path, accounts: accounts)
        file.fetchBeginning()
        do throws(FileSystemError) {
            try file.loadExtendedAttributes()
        } catch {
            try feed.push(.problem(SourceProblem(error)))
        }
        try feed.push(.read(FoundFile(file, name: name, entry, identity: identity, before: before)))
    }
}
