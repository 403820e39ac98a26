import BlobEngine
import Glibc
import RepoBase
import Storage
import Testing

@testable import Ingest
@testable import Repository

/// A repository in memory, a directory to back up, and one to restore into.
final class RestoreFixture: Sendable {
    let store = MemoryStore()
    let source = try! TemporaryDirectory()
    let place = try! TemporaryDirectory()
    let repository: OpenRepository

    init() throws {
        let keys = try RepositoryCreation.create(
            in: store, .password(Array("secret".utf8)),
            profiles: [
                .contentDefined(minimum: 4096, normal: 16384, maximum: 65536, strictBits: 14, looseBits: 10),
                .pageAligned(size: 16384),
            ], scrypt: ScryptParameters(log2N: 10, r: 1, p: 1)
        ).keyRing
        place.makeDirectory("cache")
        place.makeDirectory("outside")
        repository = try OpenRepository(store: store, keys: keys, cacheDirectory: place.text("cache"))
    }

    var target: [UInt8] { place.path("target") }

    /// Where the source's root lies in the target.
    var restored: [UInt8] { target + source.path }

    /// - Parameter threads: with one, chunks lie in packs in the order of the files.
    func snapshot(threads: Int = availableProcessors()) throws -> Snapshot {
        var description = SourceDescription(name: "files", host: "host", user: "user")
        description.options.threads = threads
        let outcome = try FilesSource(description, paths: [source.path]).run(repository)
        #expect(outcome.problems.isEmpty)
        return outcome.snapshot
    }

    /// A snapshot of hand-made entries below its root.
    func snapshot(of entries: [TreeEntry]) throws -> BlobID {
        let writer = try SnapshotWriter(repository)
        try writer.enterDirectory([], Self.metadata(.directory))
        for entry in entries { try writer.add(entry) }
        try writer.leaveDirectory()
        return try writer.commit { root, _ in
            Snapshot(time: FileTime(seconds: 1, nanoseconds: 0), source: "made", kind: "files", root: root)
        }.snapshot.root
    }

    /// The id of a small content that is stored.
    func chunk(_ bytes: [UInt8]) throws -> TreeEntry.Payload {
        source.write(Array("made-content".utf8), bytes)
        let root = try snapshot().root
        let found = try SnapshotPath.find(root, source.path("made-content"), BlobReader(repository))
        guard case .entry(let entry) = found else { fatalError("a file was expected") }
        return entry.payload
    }

    static func metadata(_ type: FileType, size: UInt64 = 0) -> FileMetadata {
        FileMetadata(
            type: type, permissions: 0o755, userID: geteuid(), groupID: getegid(), size: size, linkCount: 1,
            device: 0, inode: 0, modificationTime: FileTime(seconds: 1, nanoseconds: 0),
            changeTime: FileTime(seconds: 1, nanoseconds: 0))
    }

    @discardableResult
    func restore(_ root: BlobID, _ change: (inout RestoreOptions) -> Void = { _ in }) throws -> RestoreResult {
        var options = RestoreOptions()
        options.usesNumericOwners = true
        change(&options)
        // As another process: with its own view of the index.
        let opened = try OpenRepository(
            store: store, keys: repository.keys, cacheDirectory: place.text("cache"))
        return try Restorer(opened, root: root, target: target, options: options).run()
    }
}

/// All that can be seen of a tree of files, by path.
struct FileManifest: Equatable {
    struct Item: Hashable {
        var mode: mode_t
        var user: uid_t
        var group: gid_t
        var modified: FileTime
        var device: dev_t
        var size: Int64
        /// Of content or link target.
        var hash: ObjectID?
        var attributes: [ExtendedAttribute]
        /// The first path of the same inode.
        var firstName: [UInt8]
    }

    var items: [[UInt8]: Item] = [:]
    /// 512-byte blocks of regular files.
    var blocks: Int64 = 0
    private var inodes: [UInt64: [UInt8]] = [:]

    static func == (a: FileManifest, b: FileManifest) -> Bool { a.items == b.items }

    init(_ path: [UInt8]) throws {
        let root = path.withTerminated { open($0, O_RDONLY | O_DIRECTORY) }
        try #require(root >= 0)
        defer { close(root) }
        try read(root, [])
    }

    private mutating func read(_ directory: CInt, _ path: [UInt8]) throws {
        for name in try TargetListing.names(directory) {
            let at = path + [UInt8(ascii: "/")] + name
            var status = stat()
            try #require(
                name.withTerminated { fstatat(directory, $0, &status, AT_SYMLINK_NOFOLLOW) } == 0)
            let first = inodes[UInt64(status.st_ino)] ?? at
            inodes[UInt64(status.st_ino)] = first
            var metadata = RestoreFixture.metadata(.regular)
            try metadata.loadExtendedAttributes(of: name, in: directory, path: at)
            var item = Item(
                mode: status.st_mode, user: status.st_uid, group: status.st_gid, modified: status.modified,
                device: status.st_rdev, size: status.isDirectory ? 0 : Int64(status.st_size), hash: nil,
                attributes: metadata.extendedAttributes, firstName: first)
            switch status.st_mode & S_IFMT {
            case S_IFREG:
                blocks += Int64(status.st_blocks)
                item.hash = try content(name, directory, Int(status.st_size))
            case S_IFLNK:
                var target = [CChar](repeating: 0, count: 5000)
                let count = name.withTerminated { readlinkat(directory, $0, &target, target.count) }
                item.hash = ObjectHasher.hash(target[..<count].map { UInt8(bitPattern: $0) })
            case S_IFDIR:
                let below = name.withTerminated { openat(directory, $0, O_RDONLY | O_DIRECTORY) }
                try #require(below >= 0)
                try read(below, at)
                close(below)
            default: break
            }
            items[at] = item
        }
    }

    private func content(_ name: [UInt8], _ directory: CInt, _ size: Int) throws -> ObjectID {
        let file = name.withTerminated { openat(directory, $0, O_RDONLY) }
        try #require(file >= 0)
        defer { close(file) }
        let bytes = try [UInt8](unsafeUninitializedCapacity: size) { buffer, count in
            count = try TargetCalls.read(file, into: UnsafeMutableRawBufferPointer(buffer), at: 0)
        }
        return ObjectHasher.hash(bytes)
    }

    /// The first few differences, for a message.
    func differences(_ other: FileManifest) -> [String] {
        Set(items.keys).union(other.items.keys).filter { items[$0] != other.items[$0] }.sorted(by: isBefore)
            .prefix(5).map {
                "\(PathText.describe($0)): \(items[$0].map { "\($0)" } ?? "-") | \(other.items[$0].map { "\($0)" } ?? "-")"
            }
    }
}
