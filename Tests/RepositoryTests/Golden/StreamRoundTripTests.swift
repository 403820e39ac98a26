import BlobEngine
import Glibc
import NumbersTesting
import RepoBase
import Repository
import RepositoryTesting
import Storage
import Testing

/// Streams that change a little from snapshot to snapshot, as dumps do.
@Suite("Streams, stored and read back")
struct StreamRoundTripTests {
    @Test("Any sequence of edits is read back byte for byte, from every snapshot", arguments: UInt64(1)...6)
    func roundTrips(seed: UInt64) throws {
        let streams = try StreamRepository()
        var numbers = StreamNumbers(seed: seed)
        var bytes = numbers.text(Int.random(in: 100_000...900_000, using: &numbers))
        var stored: [(bytes: [UInt8], content: Content, size: UInt64)] = []
        let repository = try streams.open()
        for _ in 0..<6 {
            let entry = try streams.store(
                bytes, in: repository, previous: stored.last?.content,
                threads: Int.random(in: 1...4, using: &numbers))
            stored.append((bytes, entry.content, entry.size))
            for _ in 0..<Int.random(in: 0...12, using: &numbers) { numbers.edit(&bytes) }
        }
        // Another process: nothing is known but what the store holds.
        let reopened = try streams.open()
        for (bytes, content, size) in stored {
            var read: [UInt8] = []
            try ContentStream(reopened).read(content, size: size) { read += $0 }
            #expect(read == bytes)
        }
    }

    @Test("Deltas are in play: a stream with few edits costs a small part of its size")
    func deltas() throws {
        let streams = try StreamRepository()
        var numbers = StreamNumbers(seed: 7)
        var bytes = numbers.text(800_000)
        let repository = try streams.open()
        let first = try streams.store(bytes, in: repository, previous: nil, threads: 2)
        let before = try streams.size()
        for place in stride(from: 1000, to: bytes.count, by: 20_000) { bytes[place] ^= 1 }
        let second = try streams.store(bytes, in: repository, previous: first.content, threads: 2)
        #expect(try streams.size() - before < before / 5)
        var read: [UInt8] = []
        try ContentStream(try streams.open()).read(second.content, size: second.size) { read += $0 }
        #expect(read == bytes)
    }

    @Test("Chunks and their lists do not depend on the number of threads", arguments: UInt64(11)...14)
    func threads(seed: UInt64) throws {
        let master = try StreamRepository()
        var numbers = StreamNumbers(seed: seed)
        // More than one segment of 1 MiB, since segments are what threads share.
        let first = numbers.text(Int.random(in: 2_000_000...3_500_000, using: &numbers))
        var second = first
        for _ in 0..<10 { numbers.edit(&second) }
        let results = try [1, 2, 4].map { threads in
            let streams = try StreamRepository(copying: master)
            let repository = try streams.open()
            let one = try streams.store(first, in: repository, previous: nil, threads: threads)
            let two = try streams.store(second, in: repository, previous: one.content, threads: threads)
            return [
                try streams.chunks(one, in: repository), try streams.chunks(two, in: repository),
            ]
        }
        #expect(results[0] == results[1])
        #expect(results[0] == results[2])
        #expect(results[0][0].count > 100, "\(results[0][0].count) chunks")
        #expect(results[0][0] != results[0][1])
    }
}

/// A repository in memory with chunks small enough for lists of many from short streams.
final class StreamRepository: Sendable {
    let store: MemoryStore
    private let cache: String

    init() throws {
        store = MemoryStore()
        cache = try Self.folder()
        _ = try RepositoryCreation.create(
            in: store, .password(KeyFixtures.password),
            profiles: [
                .contentDefined(minimum: 4096, normal: 12288, maximum: 32768, strictBits: 14, looseBits: 11),
                .pageAligned(size: 65536),
            ], scrypt: KeyFixtures.scrypt, stamp: KeyFixtures.stamp)
    }

    /// Another with the same keys, and so the same ids and cuts.
    init(copying other: StreamRepository) throws {
        store = MemoryStore()
        cache = try Self.folder()
        for object in try other.store.list("") {
            try store.put(object.key, try other.store.bytes(object.key), .create)
        }
    }

    deinit {
        for name in (try? names("\(cache)/index")) ?? [] { unlink("\(cache)/index/\(name)") }
        rmdir("\(cache)/index")
        rmdir(cache)
    }

    /// - Parameter far: another way to the store, which takes a round trip for each question.
    func open(far: (any Store)? = nil) throws -> OpenRepository {
        try OpenRepository(
            store: far ?? store, keys: try KeyRing.open(store, .password(KeyFixtures.password)),
            cacheDirectory: cache, isRemote: far != nil)
    }

    /// One snapshot of one stream: its content and size.
    func store(
        _ bytes: [UInt8], in repository: OpenRepository, previous: Content?, threads: Int, deltaBases: DeltaBaseChoice = .auto
    ) throws -> (content: Content, size: UInt64) {
        var options = SnapshotOptions()
        options.threads = threads
        options.deltaBases = deltaBases
        let writer = try SnapshotWriter(repository, options: options)
        let time = FileTime(seconds: 1_700_000_000, nanoseconds: 0)
        func metadata(_ type: FileType) -> FileMetadata {
            FileMetadata(
                type: type, permissions: 0o600, userID: 0, groupID: 0, size: 0, linkCount: 1, device: 0,
                inode: 0,
                modificationTime: time, changeTime: time)
        }
        try writer.enterDirectory([], metadata(.directory))
        let feed = writer.beginContent(.contentDefined, previous: previous)
        var taken = 0
        while try feed.read({ buffer in
            let count = min(buffer.count, bytes.count - taken)
            bytes.withUnsafeBytes { buffer.copyMemory(from: .init(rebasing: $0[taken..<taken + count])) }
            taken += count
            return count
        }) > 0 {}
        let content = feed.finish()
        try writer.add(
            TreeEntry(name: Array("stream".utf8), metadata: metadata(.regular), payload: .file(.empty)),
            content: content)
        try writer.leaveDirectory()
        let result = try writer.commit { root, _ in
            Snapshot(time: time, source: "stream", kind: "stdin", root: root)
        }
        let file = try SnapshotPath.file(result.snapshot.root, [], BlobReader(repository))
        return (try #require(file.content), file.metadata.size)
    }

    /// Lengths and ids, in order.
    func chunks(_ stored: (content: Content, size: UInt64), in repository: OpenRepository) throws
        -> [ContentList.Entry]
    {
        var entries: [ContentList.Entry] = []
        try ContentWalk.entries(of: stored.content, size: stored.size, BlobReader(repository)) { entry, _ in
            entries.append(entry)
            return true
        }
        return entries
    }

    /// Bytes of all packs.
    func size() throws -> UInt64 { try store.list("packs/").reduce(0) { $0 + $1.size } }

    private static func folder() throws -> String {
        var template = Array("/tmp/streams-XXXXXX".utf8CString)
        try #require(mkdtemp(&template) != nil)
        return template.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
    }

    private func names(_ path: String) throws -> [String] {
        guard let directory = opendir(path) else { return [] }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            names.append(
                withUnsafePointer(to: &entry.pointee.d_name) {
                    $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
                })
        }
        return names.filter { $0 != "." && $0 != ".." }
    }
}

typealias StreamNumbers = SeededNumbers

extension SeededNumbers {
    /// Lines of hexadecimal numbers: compressible like a dump.
    mutating func text(_ count: Int) -> [UInt8] {
        let digits = Array("0123456789abcdef".utf8)
        var bytes: [UInt8] = []
        bytes.reserveCapacity(count + 20)
        while bytes.count < count {
            var word = next()
            for _ in 0..<16 {
                bytes.append(digits[Int(word & 15)])
                word >>= 4
            }
            bytes.append(10)
        }
        return Array(bytes.prefix(count))
    }

    /// One of: insert, delete, move, overwrite, repeat, a run of zeros.
    mutating func edit(_ bytes: inout [UInt8]) {
        guard bytes.count > 1000 else {
            bytes += text(5000)
            return
        }
        let length = Int.random(
            in: 1...min(bytes.count / 4, [10, 500, 60_000].randomElement(using: &self)!), using: &self)
        let at = Int.random(in: 0...bytes.count - length, using: &self)
        let range = at..<at + length
        switch Int.random(in: 0..<6, using: &self) {
        case 0: bytes.insert(contentsOf: text(length), at: at)
        case 1: bytes.removeSubrange(range)
        case 2:
            let moved = Array(bytes[range])
            bytes.removeSubrange(range)
            bytes.insert(contentsOf: moved, at: Int.random(in: 0...bytes.count, using: &self))
        case 3: bytes.replaceSubrange(range, with: text(length))
        case 4:
            bytes.insert(contentsOf: Array(bytes[range]), at: Int.random(in: 0...bytes.count, using: &self))
        default: bytes.replaceSubrange(range, with: repeatElement(0, count: length))
        }
    }
}
