import Glibc
import RepoBase
import Repository

/// Feeds a snapshot from a walk: metadata of everything, contents of what has changed.
struct FilesVisitor: TreeVisitor {
    typealias Failure = any Error

    private let writer: SnapshotWriter
    let accounts = AccountNames()
    private(set) var problems: [SourceProblem] = []
    /// The directories of the snapshot before, one for each open directory; nil where it has none.
    private var earlier: [TreeCursor?] = []
    /// When the snapshot before began: what had not settled by then is no proof of unchanged content.
    private let earlierMoment: FileTime
    /// Names of the open directories above the roots.
    private var openAbove: [[UInt8]] = []
    private var root: RootPaths.Root?
    /// Contents of files with several names, by device and inode.
    private var linked: [FileIdentity: LinkedContent] = [:]
    private let smallFile: Int

    private struct FileIdentity: Hashable {
        let device: UInt64
        let inode: UInt64
    }

    private enum LinkedContent {
        case pending(PendingContent, TreeEntry)
        case known(TreeEntry)
    }

    init(_ writer: SnapshotWriter, roots: RootPaths, parent: Snapshot?) throws {
        self.writer = writer
        smallFile = writer.smallContentSize
        earlierMoment = parent.flatMap { $0.started ?? $0.time } ?? FileTime(seconds: .min, nanoseconds: 0)
        var cursor: TreeCursor?
        if let parent { cursor = try? TreeCursor(parent.root, writer.reader) }
        earlier = [cursor]
        let metadata = Self.status([UInt8(ascii: "/")], accounts)
        try writer.enterDirectory([], metadata)
    }

    /// Opens the directories that lead to a root, keeping those that are open already.
    mutating func begin(_ root: RootPaths.Root) throws {
        let above = root.components.dropLast()
        var common = 0
        while common < openAbove.count, common < above.count, openAbove[common] == above[common] { common += 1 }
        while openAbove.count > common {
            try writer.leaveDirectory()
            earlier.removeLast()
            openAbove.removeLast()
        }
        var path: [UInt8] = []
        for (depth, name) in above.enumerated() {
            path += [RawPath.slash] + name
            guard depth >= common else { continue }
            try enter(name, Self.status(path, accounts), isIncomplete: false)
            openAbove.append(name)
        }
        self.root = root
    }

    /// Closes what leads to the last root, and the snapshot's root.
    mutating func finish() throws {
        for _ in openAbove { try writer.leaveDirectory() }
        openAbove = []
        try writer.leaveDirectory()
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

    private mutating func enter(_ name: [UInt8], _ metadata: FileMetadata, isIncomplete: Bool) throws {
        let before = try lookUp(name)
        var cursor: TreeCursor?
        if let tree = before?.subtree { cursor = try? TreeCursor(tree, writer.reader) }
        earlier.append(cursor)
        try writer.enterDirectory(name, metadata, isIncomplete: isIncomplete)
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
        let metadata = withAttributes(entry)
        try enter(name, metadata, isIncomplete: false)
    }

    mutating func leaveDirectory(path: [UInt8], isComplete: Bool) throws {
        if root?.components.isEmpty == true, path == root?.path { return }
        earlier.removeLast()
        try writer.leaveDirectory()
    }

    mutating func problem(_ error: FileSystemError) throws {
        problems.append(SourceProblem(path: error.path, message: "\(error)"))
        writer.count { $0.errors += 1 }
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
        writer.count { $0.otherEntries += 1 }
        try writer.add(entry)
    }

    /// What could not be read of the attributes is a problem; the rest is kept.
    private mutating func withAttributes(_ entry: WalkedEntry) -> FileMetadata {
        var metadata = entry.metadata
        do {
            try metadata.loadExtendedAttributes(
                of: entry.nameInDirectory, in: entry.directory, path: entry.path)
        } catch {
            problems.append(SourceProblem(path: error.path, message: "\(error)"))
            writer.count { $0.errors += 1 }
        }
        return metadata
    }

    private mutating func visitFile(_ entry: WalkedEntry, _ name: [UInt8], _ before: TreeEntry?) throws {
        let identity = FileIdentity(device: entry.metadata.device, inode: entry.metadata.inode)
        if entry.metadata.linkCount > 1, let known = linked[identity] {
            return try addLink(known, name)
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
            writer.count { progress in
                progress.filesUnmodified += 1
                progress.logicalBytes += same.metadata.size
            }
            if entry.metadata.linkCount > 1 { linked[identity] = .known(same) }
            return try writer.add(same)
        }
        do {
            try readFile(entry, name, before, identity)
        } catch let error as FileSystemError {
            try problem(error)
        }
    }

    private mutating func addLink(_ known: LinkedContent, _ name: [UInt8]) throws {
        writer.count { $0.filesUnmodified += 1 }
        switch known {
        case .known(var entry):
            entry.name = name
            try writer.add(entry)
        case .pending(let content, var entry):
            entry.name = name
            try writer.add(entry, content: content)
        }
    }

    private mutating func readFile(
        _ entry: WalkedEntry, _ name: [UInt8], _ before: TreeEntry?, _ identity: FileIdentity
    ) throws {
        var file = try OpenedFile(
            entry.nameInDirectory, in: entry.directory, path: entry.path, accounts: accounts)
        do {
            try file.loadExtendedAttributes()
        } catch {
            try problem(error)
        }
        let shape = try shape(of: &file, entry)
        let metadata = file.metadata
        let feed = writer.beginContent(shape, previous: before?.content)
        var failure: FileSystemError?
        do {
            try FileReading.read(&file, into: feed, shape: shape, size: metadata.size)
        } catch let error as FileSystemError {
            failure = error
        }
        let size = feed.offset
        let content = feed.finish()
        let changes = failure == nil ? try file.finish() : []
        if failure == nil, !changes.isDisjoint(with: [.shrunk, .grown, .modified]) {
            problems.append(
                SourceProblem(
                    path: entry.path,
                    message: "'\(RawPath.describe(entry.path))' changed while it was read; the next snapshot takes it again"))
            writer.count { $0.errors += 1 }
        }
        if let failure { try problem(failure) }
        let tree = TreeEntry(
            name: name, metadata: metadata, payload: .file(.empty),
            isIncomplete: failure != nil || !changes.isDisjoint(with: [.shrunk, .grown, .modified]),
            isPageAligned: shape == .pageAligned)
        writer.count { progress in
            progress.logicalBytes += size
            if before?.content == nil { progress.filesNew += 1 } else { progress.filesChanged += 1 }
        }
        if metadata.linkCount > 1 { linked[identity] = .pending(content, tree) }
        try writer.add(tree, content: content)
    }

    /// Sparse files and those that change in place are cut at fixed places; a file of one chunk needs no telling.
    private func shape(of file: inout OpenedFile, _ entry: WalkedEntry) throws -> ContentShape {
        let size = file.metadata.size
        guard size > UInt64(smallFile) else { return .contentDefined }
        if file.allocatedSize < size { return .pageAligned }
        return try withUnsafeTemporaryAllocation(
            byteCount: ContentProfile.headerSize, alignment: 16
        ) { buffer in
            let count = try file.read(into: buffer, at: 0)
            let profile = ContentProfile(
                recognising: entry.path, clusterOffset: entry.clusterOffset,
                header: UnsafeRawBufferPointer(rebasing: buffer[..<count]), size: size)
            return profile == .contentDefined ? .contentDefined : .pageAligned
        }
    }
}

/// Reads a file's regions into a content, holes as holes.
enum FileReading {
    static func read(
        _ file: inout OpenedFile, into feed: ContentFeed, shape: ContentShape, size: UInt64
    ) throws {
        if shape == .pageAligned, file.allocatedSize < size {
            for region in try file.dataRegions() {
                if region.offset > feed.offset { feed.hole(region.offset - feed.offset) }
                let end = region.offset + region.length
                while feed.offset < end {
                    let limit = Int(min(UInt64(ContentFeed.segmentSize), end - feed.offset))
                    guard try take(&file, feed, limit) > 0 else { return }
                }
            }
            if feed.offset < size { feed.hole(size - feed.offset) }
            return
        }
        while feed.offset < size {
            let limit = Int(min(UInt64(ContentFeed.segmentSize), size - feed.offset))
            guard try take(&file, feed, limit) > 0 else { return }
        }
    }

    private static func take(_ file: inout OpenedFile, _ feed: ContentFeed, _ limit: Int) throws -> Int {
        let offset = feed.offset
        return try feed.read(atMost: limit) { try file.read(into: $0, at: offset) }
    }
}
