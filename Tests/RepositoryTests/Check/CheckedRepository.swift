import BlobEngine
import Foundation
import RepoBase
import Storage

@testable import Repository

/// A repository in memory with some snapshots, for tests that damage and repair it.
struct CheckedRepository {
    let store: MemoryStore
    let keys: KeyRing
    let cache: String

    private static let scrypt = ScryptParameters(log2N: 10, r: 1, p: 1)

    init() throws {
        store = MemoryStore()
        keys = try RepositoryCreation.create(
            in: store, .password(Array("secret".utf8)),
            profiles: [
                .contentDefined(minimum: 4096, normal: 16384, maximum: 65536, strictBits: 14, looseBits: 10),
                .pageAligned(size: 16384),
            ], scrypt: Self.scrypt
        ).keyRing
        var template = Array("/tmp/repo-check-XXXXXX".utf8CString)
        cache = template.withUnsafeMutableBufferPointer { String(cString: mkdtemp($0.baseAddress!)) }
    }

    private init(store: MemoryStore, keys: KeyRing, cache: String) {
        self.store = store
        self.keys = keys
        self.cache = cache
    }

    /// As another process, with its own view of the index, would see it.
    func open() throws -> OpenRepository {
        try OpenRepository(store: store, keys: keys, cacheDirectory: cache)
    }

    /// The same repository for another key and machine.
    func opened(with keys: KeyRing) throws -> CheckedRepository {
        var template = Array("/tmp/repo-check-XXXXXX".utf8CString)
        let cache = template.withUnsafeMutableBufferPointer { String(cString: mkdtemp($0.baseAddress!)) }
        return CheckedRepository(store: store, keys: keys, cache: cache)
    }

    /// A copy of all objects, to be damaged.
    func copy() throws -> CheckedRepository {
        let copy = MemoryStore()
        try store.list("") { object in
            try copy.put(object.key, try store.get(object.key, atMost: 1 << 30), .create)
        }
        var template = Array("/tmp/repo-check-XXXXXX".utf8CString)
        let cache = template.withUnsafeMutableBufferPointer { String(cString: mkdtemp($0.baseAddress!)) }
        return CheckedRepository(store: copy, keys: keys, cache: cache)
    }

    func remove() { try? FileManager.default.removeItem(atPath: cache) }

    func keys(_ prefix: String) throws -> [StoreKey] { try store.list(prefix).map(\.key).sorted() }

    /// Stores a snapshot of these files; a name may have one directory.
    @discardableResult
    func snapshot(_ files: [String: [UInt8]], source: String = "files", second: Int64 = 1000) throws
        -> ObjectID
    {
        let repository = try open()
        let parent = try SnapshotCatalog(repository).latest(source: source, host: "host")
        let writer = try SnapshotWriter(repository)
        var previous: [String: Content] = [:]
        if let parent { previous = try Self.contents(parent.snapshot.root, BlobReader(repository)) }
        try writer.enterDirectory([], Self.metadata(.directory))
        var open: String?
        for path in files.keys.sorted() {
            let parts = path.split(separator: "/").map(String.init)
            let directory = parts.count == 2 ? parts[0] : nil
            if directory != open {
                if open != nil { try writer.leaveDirectory() }
                if let directory {
                    try writer.enterDirectory(Array(directory.utf8), Self.metadata(.directory))
                }
                open = directory
            }
            let feed = writer.beginContent(.contentDefined, previous: previous[path])
            var offset = 0
            let bytes = files[path]!
            while try feed.read({ window in
                let count = min(window.count, bytes.count - offset)
                bytes.withUnsafeBytes {
                    window.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[offset..<offset + count]))
                }
                offset += count
                return count
            }) > 0 {}
            try writer.add(
                TreeEntry(
                    name: Array(parts.last!.utf8), metadata: Self.metadata(.regular), payload: .file(.empty)),
                content: feed.finish())
        }
        if open != nil { try writer.leaveDirectory() }
        try writer.leaveDirectory()
        return try writer.commit { root, statistics in
            var snapshot = Snapshot(
                time: FileTime(seconds: second, nanoseconds: 0), source: source, kind: "files", root: root)
            snapshot.host = "host"
            snapshot.statistics = statistics
            snapshot.parent = parent?.id
            return snapshot
        }.id
    }

    private static func metadata(_ type: FileType) -> FileMetadata {
        FileMetadata(
            type: type, permissions: type == .directory ? 0o700 : 0o600, userID: 1, groupID: 1, size: 0,
            linkCount: 1,
            device: 0, inode: 0, modificationTime: FileTime(seconds: 1, nanoseconds: 0),
            changeTime: FileTime(seconds: 1, nanoseconds: 0))
    }

    private static func contents(_ root: BlobID, _ reader: BlobReader) throws -> [String: Content] {
        var found: [String: Content] = [:]
        var stack: [(BlobID, String)] = [(root, "")]
        while let (id, at) = stack.popLast() {
            var cursor = try TreeCursor(id, reader)
            while let entry = try cursor.next() {
                let path = at + String(decoding: entry.name, as: UTF8.self)
                if let content = entry.content { found[path] = content }
                if let subtree = entry.subtree { stack.append((subtree, path + "/")) }
            }
        }
        return found
    }

    /// What every file of a snapshot holds, or why it cannot be read.
    func read(_ id: ObjectID) throws -> [String: Result<[UInt8], RepoError>] {
        let repository = try open()
        let reader = BlobReader(repository)
        let root = try SnapshotCatalog(repository).read(id).snapshot.root
        var files: [String: Result<[UInt8], RepoError>] = [:]
        var stack: [(BlobID, String)] = [(root, "")]
        while let (id, at) = stack.popLast() {
            do {
                var cursor = try TreeCursor(id, reader)
                while let entry = try cursor.next() {
                    let path = at + String(decoding: entry.name, as: UTF8.self)
                    if let subtree = entry.subtree { stack.append((subtree, path + "/")) }
                    guard let content = entry.content else { continue }
                    do {
                        var bytes: [UInt8] = []
                        try ContentWalk.entries(of: content, size: entry.metadata.size, reader) { piece, _ in
                            if let id = piece.id {
                                bytes += try reader.bytes(id, .chunk)
                            } else {
                                bytes += [UInt8](repeating: 0, count: Int(piece.length))
                            }
                            return true
                        }
                        files[path] = .success(bytes)
                    } catch let error as RepoError {
                        files[path] = .failure(error)
                    }
                }
            } catch let error as RepoError {
                files[at] = .failure(error)
            }
        }
        return files
    }

    func check(_ data: DataSubset? = .all, source: String? = nil) throws -> CheckReport {
        var options = RepositoryCheck.Options()
        options.data = data
        options.source = source
        return try RepositoryCheck(try open(), options: options).run()
    }
}

/// Reproducible bytes (xorshift64*), somewhat compressible.
func testBytes(_ count: Int, seed: UInt64) -> [UInt8] {
    var state = seed &* 0x9E37_79B9_7F4A_7C15 | 1
    return (0..<count).map { _ in
        state ^= state >> 12
        state ^= state << 25
        state ^= state >> 27
        return UInt8(truncatingIfNeeded: (state &* 0x2545_F491_4F6C_DD1D) >> 58)
    }
}
