import BlobEngine
import Glibc
import PostgresFormats
import PostgresTesting
import RepoBase
import Storage
import StorageTesting

@testable import Repository
@testable import WALArchive

/// A repository in memory whose log can be filled with made-up segments.
final class ArchiveFixture: @unchecked Sendable {
    let store: MemoryStore
    let keys: KeyRing
    let folder: String
    static let system: UInt64 = 7_301_234_567_890_123_456

    init() throws {
        store = MemoryStore()
        keys = try RepositoryCreation.create(
            in: store, .password(Array("secret".utf8)),
            profiles: [
                .contentDefined(minimum: 4096, normal: 16384, maximum: 65536, strictBits: 14, looseBits: 10),
                .pageAligned(size: 16384),
            ], scrypt: ScryptParameters(log2N: 10, r: 1, p: 1)
        ).keyRing
        var template = Array("/tmp/repo-wal-XXXXXX".utf8CString)
        folder = template.withUnsafeMutableBufferPointer { String(cString: mkdtemp($0.baseAddress!)) }
    }

    deinit { _ = try? RemovedFolder.remove(folder) }

    /// As another process sees it, by way of `store`.
    func archive(_ store: (any Store)? = nil, keys: KeyRing? = nil) throws -> WALArchive {
        WALArchive(
            try OpenRepository(store: store ?? self.store, keys: keys ?? self.keys, cacheDirectory: folder + "/cache"))
    }

    /// A writer key's view: it can archive and not read.
    func writerKeys() throws -> KeyRing {
        var full = keys
        _ = try full.addKey(
            to: store, .password(Array("writer".utf8)), role: .writer, label: "w", scrypt: ScryptParameters(log2N: 10, r: 1, p: 1))
        return try KeyRing.open(store, .password(Array("writer".utf8)))
    }

    /// The snapshot of a base backup that begins and ends at these positions, given as segments of 1 MiB and bytes in them.
    @discardableResult
    func backup(
        timeline: UInt32 = 1, from start: UInt64, to stop: UInt64, at second: Int64, source: String = "main-db", system: UInt64 = system,
        includesLog: Bool = false
    ) throws -> BaseBackup {
        var facts = ClusterFacts(
            method: .physical, systemIdentifier: system, serverVersion: 150_000, startTime: FileTime(seconds: second - 10, nanoseconds: 0),
            stopTime: FileTime(seconds: second, nanoseconds: 0))
        facts.timeline = timeline
        facts.start = LogSequenceNumber(start)
        facts.stop = LogSequenceNumber(stop)
        facts.segmentSize = WALSegmentSize(bytes: 1 << 20)!
        facts.blockSize = 8192
        facts.includesLog = includesLog
        var snapshot = Snapshot(
            time: facts.startTime, source: source, kind: "postgres", root: BlobID(words: UInt64(bitPattern: second), start, stop, 1))
        snapshot.facts = facts.encoded()
        let bytes = try SnapshotCodec.encode(snapshot, epoch: keys.currentEpoch, signer: keys.signer)
        let id = ObjectHasher.hash(bytes)
        try store.put(SnapshotObject.key(id), bytes, .create)
        return BaseBackup(id: id, source: source, facts: facts)
    }

    /// Archives made-up segments of 1 MiB with these ends of transactions: seconds since 1970 by number.
    ///
    /// - Parameter isLog: whether their content is what they say of it, as a check of all data looks at; short ones otherwise, which hold no log.
    func archiveSegments(_ numbers: ClosedRange<UInt64>, timeline: UInt32 = 1, batched: Bool = false, isLog: Bool = false, system: UInt64 = system) throws {
        let size = WALSegmentSize(bytes: 1 << 20)!
        let archive = try archive()
        var group: [WALFile] = []
        for number in numbers {
            var facts = WALFacts()
            facts.transactionEnds = 1
            (facts.lowestTransaction, facts.highestTransaction) = (UInt32(number), UInt32(number))
            let time = PostgresTime(FileTime(seconds: Int64(number) * 100, nanoseconds: 0))
            (facts.earliestEnd, facts.latestEnd, facts.lastEnd) = (time, time, time)
            let name = Self.segment(number, timeline: timeline, size: size)
            if isLog {
                group.append(try Self.logFile(number, timeline: timeline, system: system))
            } else {
                group.append(Self.file(name, seed: number, count: 100, facts: facts))
            }
            if !batched || number % 16 == 15 || number == numbers.upperBound {
                try archive.store(group, system: system, segmentSize: size)
                group = []
            }
        }
    }

    /// A segment that is what it says of itself.
    static func logFile(_ number: UInt64, timeline: UInt32 = 1, system: UInt64 = system) throws -> WALFile {
        let name = segment(number, timeline: timeline, size: SyntheticLog.segmentSize)
        let time = PostgresTime(FileTime(seconds: Int64(number) * 100, nanoseconds: 0))
        let bytes = SyntheticLog.segment(number, timeline: timeline, system: system, transaction: UInt32(number), at: time)
        let content = AlignedBuffer(capacity: bytes.count)
        content.count = bytes.count
        return try bytes.withUnsafeBytes {
            content.base.copyMemory(from: $0.baseAddress!, byteCount: $0.count)
            return WALFile(name: name, content: content, facts: try WALSegmentReader.read($0, object: name).facts)
        }
    }

    func archiveHistory(_ timeline: UInt32, _ text: String) throws {
        let bytes = Array(text.utf8)
        let content = AlignedBuffer(capacity: bytes.count)
        content.base.copyMemory(from: bytes, byteCount: bytes.count)
        content.count = bytes.count
        try archive().store(
            [WALFile(name: ArchivedFile.history(timeline: timeline).name, content: content, facts: nil)], system: Self.system, segmentSize: nil)
    }

    static func segment(_ number: UInt64, timeline: UInt32 = 1, size: WALSegmentSize = .standard) -> String {
        WALSegment(timeline: timeline, number: number).name(size)
    }

    /// Content that depends on its seed, half of it compressible.
    static func content(_ seed: UInt64, count: Int) -> AlignedBuffer {
        let buffer = AlignedBuffer(capacity: count)
        var state = seed &+ 0x9E37_79B9_7F4A_7C15
        for index in 0..<count {
            if index % 8 == 0 { state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407 }
            buffer.base.storeBytes(
                of: index / 4096 % 2 == 0 ? UInt8(truncatingIfNeeded: state >> 33) : UInt8(index / 512 & 7), toByteOffset: index, as: UInt8.self)
        }
        buffer.count = count
        return buffer
    }

    static func file(_ name: String, seed: UInt64, count: Int = 1 << 20, facts: WALFacts? = nil) -> WALFile {
        WALFile(name: name, content: content(seed, count: count), facts: facts)
    }
}

extension AlignedBuffer {
    var array: [UInt8] { withExtendedLifetime(self) { Array(bytes) } }
}

enum RemovedFolder {
    static func remove(_ path: String) throws {
        var pid: pid_t = 0
        var arguments: [UnsafeMutablePointer<CChar>?] = ["/bin/rm", "-rf", path].map { (word: String) in strdup(word) } + [nil]
        defer { for argument in arguments { free(argument) } }
        posix_spawn(&pid, "/bin/rm", nil, nil, &arguments, environ)
        waitpid(pid, nil, 0)
    }
}
