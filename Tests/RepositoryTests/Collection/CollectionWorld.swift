import BlobEngine
import Glibc
import RepoBase
import Storage
import Testing

@testable import Repository

/// A repository in memory and what its snapshots must hold, for tests of collections.
final class CollectionWorld {
    typealias Files = [String: [UInt8]]

    let store: MemoryStore
    /// The store's clock.
    let now: Monitor<Int64>
    let keys: KeyRing
    private let folder: String
    private var caches = 0
    /// What each snapshot that was committed and not forgotten must give back.
    var expected: [ObjectID: Files] = [:]

    init() throws {
        let now = Monitor<Int64>(1_700_000_000)
        self.now = now
        let clock = StoreClock(now: { now.withLock { $0 } }, elapsed: { .zero }, sleep: { _ in })
        store = MemoryStore(clock: clock)
        keys = try RepositoryCreation.create(
            in: store, .machine,
            profiles: [
                .contentDefined(minimum: 4096, normal: 8192, maximum: 16384, strictBits: 14, looseBits: 12),
                .pageAligned(size: 64 << 10),
            ]
        ).keyRing
        var template = Array("/tmp/repo-collection-XXXXXX".utf8CString)
        folder = mkdtemp(&template).map { String(cString: $0) }!
    }

    deinit {
        for cache in 0..<caches {
            let index = "\(folder)/\(cache)/index"
            for name in (try? LocalFolder.names(in: index)) ?? [] { unlink("\(index)/\(name)") }
            rmdir(index)
            rmdir("\(folder)/\(cache)")
        }
        rmdir(folder)
    }

    /// Another machine's view, with a cache of its own; over `store` or a decorator of it.
    func open(_ other: (any Store)? = nil) throws -> OpenRepository {
        try OpenRepository(store: other ?? store, keys: keys, cacheDirectory: makeCache())
    }

    func makeCache() throws -> String {
        defer { caches += 1 }
        return "\(folder)/\(caches)"
    }

    // MARK: Snapshots

    @discardableResult
    func snapshot(_ files: Files, on other: (any Store)? = nil, source: String = "files") throws -> ObjectID {
        let id = try SnapshotTaking(open(other), files, source: source).run()
        expected[id] = files
        return id
    }

    func forget(_ id: ObjectID) throws {
        try store.delete(SnapshotObject.key(id))
        expected[id] = nil
    }

    /// The registration of a process that is gone: this one's id, started at another time.
    func leaveDeadWriter() throws {
        let stamp = JournalStamp.now()
        var fields = RecordFields(time: stamp.time)
        (fields.host, fields.user) = (stamp.host, stamp.user)
        let own = ProcessIdentity.own
        (fields.bootID, fields.processID, fields.processStart) = (own.bootID, own.processID, own.start + 1)
        try store.put(
            WriterRegistration.key(RandomBytes.make(16)), SealedRecord.encode(.writer, fields, by: keys), .create)
    }

    // MARK: Collections

    static var eager: CollectionOptions {
        var options = CollectionOptions()
        options.maximumUnused = 0
        options.minimumAge = 0
        return options
    }

    @discardableResult
    func prune(_ options: CollectionOptions = eager, on other: (any Store)? = nil) throws -> CollectionOutcome
    {
        try Collector(open(other), options: options).run()
    }

    /// Prunes until nothing changes any more; a dead duplicate keeps its base for one more run.
    func pruneToTheEnd() throws {
        var options = Self.eager
        options.fenceAfter = 0
        for _ in 0..<6 where try prune(options).packsDeleted == 0 { return }
        Issue.record("six collections were not enough")
    }

    // MARK: What must hold

    /// Every snapshot that is to be there gives back what was put into it, byte for byte; and there is no other.
    /// - Parameter exactly: false while somebody may have stored a snapshot that the test does not know of yet.
    func verify(
        _ comment: String = "", exactly: Bool = true, sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let repository = try open()
        let ids = Set(try SnapshotCatalog(repository).names().ids)
        #expect(ids.isSuperset(of: expected.keys), "\(comment)", sourceLocation: sourceLocation)
        if exactly { #expect(ids.count == expected.count, "\(comment)", sourceLocation: sourceLocation) }
        for (id, files) in expected {
            do {
                let found = try SnapshotReading(repository).files(id)
                #expect(found == files, "\(comment): \(id.short)", sourceLocation: sourceLocation)
            } catch {
                Issue.record("\(comment): \(id.short): \(error)", sourceLocation: sourceLocation)
            }
        }
    }

    /// Nothing is stored that no snapshot needs: no dead blob, no pack without an entry, no record, no writer.
    func verifyClean(_ comment: String = "", sourceLocation: SourceLocation = #_sourceLocation) throws {
        var options = Self.eager
        options.isDryRun = true
        let rest = try prune(options)
        #expect(rest.condemned.isEmpty, "\(comment)", sourceLocation: sourceLocation)
        #expect(rest.blobsDead == 0, "\(comment)", sourceLocation: sourceLocation)
        for prefix in ["gc/", "writers/"] {
            let left = try store.list(prefix).map { "\($0.key)" }
            #expect(left.isEmpty, "\(comment)", sourceLocation: sourceLocation)
        }
        let indexed = try open().index().tables.flatMap { $0.packs.map { "\(PackObject.key($0.id))" } }
        let stored = try store.list("packs/").map { "\($0.key)" }
        #expect(Set(indexed) == Set(stored), "\(comment)", sourceLocation: sourceLocation)
    }

    var storedBytes: UInt64 { get throws { try store.list("packs/").reduce(0) { $0 + $1.size } } }
}

/// Reads a snapshot back.
struct SnapshotReading {
    let repository: OpenRepository
    private let reader: BlobReader

    init(_ repository: OpenRepository) {
        self.repository = repository
        reader = BlobReader(repository)
    }

    func files(_ id: ObjectID) throws -> CollectionWorld.Files {
        var files: CollectionWorld.Files = [:]
        let root = try SnapshotCatalog(repository).read(id).snapshot.root
        var waiting = [(root, "")]
        while let (tree, path) = waiting.popLast() {
            switch try TreeCodec.decode(try reader.bytes(tree, .tree), object: "tree \(tree)") {
            case .branch(let parts): waiting += parts.map { ($0.id, path) }
            case .leaf(let entries):
                for entry in entries {
                    let name = path + String(decoding: entry.name, as: UTF8.self)
                    if let below = entry.subtree { waiting.append((below, name + "/")) }
                    if let content = entry.content { files[name] = try bytes(content, entry.metadata.size) }
                }
            }
        }
        return files
    }

    private func bytes(_ content: Content, _ size: UInt64) throws -> [UInt8] {
        var bytes: [UInt8] = []
        try ContentWalk.entries(of: content, size: size, reader) { entry, _ in
            if let id = entry.id {
                bytes += try reader.bytes(id, .chunk)
            } else {
                bytes += [UInt8](repeating: 0, count: Int(entry.length))
            }
            return true
        }
        return bytes
    }
}

/// Takes a snapshot of files in memory, after the newest of its source, as sources do it.
struct SnapshotTaking {
    private let repository: OpenRepository
    private let files: CollectionWorld.Files
    private let source: String

    init(_ repository: OpenRepository, _ files: CollectionWorld.Files, source: String) {
        self.repository = repository
        self.files = files
        self.source = source
    }

    func run() throws -> ObjectID {
        let parent = try SnapshotCatalog(repository).latest(source: source, host: "host")
        var options = SnapshotOptions()
        options.threads = 1
        let writer = try SnapshotWriter(repository, options: options)
        do {
            try writer.enterDirectory([], metadata(.directory))
            try directory("", of: parent?.snapshot.root, writer)
            try writer.leaveDirectory()
            return try writer.commit { root, statistics in
                let time = FileTime(seconds: (parent?.snapshot.time.seconds ?? 0) + 1, nanoseconds: 0)
                var snapshot = Snapshot(time: time, source: source, kind: "files", root: root)
                snapshot.host = "host"
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

/// SplitMix64 (Steele, Lea and Flood, 2014): the same seed gives the same history.
struct SeededNumbers: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var value = state
        value = (value ^ value >> 30) &* 0xbf58_476d_1ce4_e5b9
        value = (value ^ value >> 27) &* 0x94d0_49bb_1331_11eb
        return value ^ value >> 31
    }

    mutating func bytes(_ count: Int) -> [UInt8] {
        (0..<count).map { _ in UInt8(truncatingIfNeeded: next()) }
    }

    /// A tree after some changes: files rewritten in part, so that deltas pay, added, or gone.
    mutating func changed(_ files: CollectionWorld.Files) -> CollectionWorld.Files {
        var files = files
        let names = ["a", "b", "c/d", "c/e", "c/f/g", "h"]
        for name in names {
            switch Int.random(in: 0..<6, using: &self) {
            case 0: files[name] = bytes(Int.random(in: 0..<40_000, using: &self))
            case 1: files[name] = nil
            case 2, 3:
                guard var content = files[name], !content.isEmpty else { continue }
                for _ in 0..<3 { content[Int.random(in: 0..<content.count, using: &self)] ^= 0xff }
                files[name] = content
            default: continue
            }
        }
        if files.isEmpty { files["a"] = bytes(100) }
        return files
    }
}
