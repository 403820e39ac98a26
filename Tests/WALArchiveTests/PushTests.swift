import Glibc
import PostgresFormats
import PostgresTesting
import RepoBase
import Storage
import StorageTesting
import Testing

@testable import Repository
@testable import WALArchive

/// Segments of a real server, made once: segments of 1 MiB, the last one given up by a switch.
enum RealLog {
    struct Files: Sendable {
        let system: UInt64
        let segments: [(name: String, bytes: [UInt8])]
    }

    static let files = Result {
        let server = try PostgresServer(initdb: ["--wal-segsize=1"], settings: ["max_wal_size = 1GB", "wal_keep_size = 1GB"])
        defer { server.remove() }
        try server.start()
        try server.sql("CREATE TABLE t(i int, x text)")
        try server.sql("INSERT INTO t SELECT i, repeat(md5(i::text), 8) FROM generate_series(1, 55000) i")
        let last = try server.sql("SELECT pg_walfile_name(pg_switch_wal())")
        let system = UInt64(try server.sql("SELECT system_identifier FROM pg_control_system()"))!
        try server.stop()
        let names = try PostgresServer.run(["/bin/ls", server.data + "/pg_wal"]).split(separator: "\n").map(String.init)
        let segments = names.filter { $0.utf8.count == 24 && $0 <= last }.sorted()
        return Files(system: system, segments: try segments.map { ($0, try LocalContent.read("\(server.data)/pg_wal/\($0)").array) })
    }
}

@Suite("Pushing the log")
struct PushTests {
    /// A folder like a server's `pg_wal`.
    final class Server {
        let fixture: ArchiveFixture
        let files: RealLog.Files
        let wal: String

        init() throws {
            fixture = try ArchiveFixture()
            files = try RealLog.files.get()
            wal = fixture.folder + "/data/pg_wal"
            for path in [fixture.folder + "/data", wal, wal + "/archive_status"] { mkdir(path, 0o700) }
        }

        func path(_ number: Int) -> String { "\(wal)/\(files.segments[number].name)" }

        /// Writes a segment and says that it is ready, or only the one.
        func make(_ number: Int, ready: Bool = true, bytes: [UInt8]? = nil) throws {
            try write(path(number), bytes ?? files.segments[number].bytes)
            if ready { try write("\(wal)/archive_status/\(files.segments[number].name).ready", []) }
        }

        func write(_ path: String, _ bytes: [UInt8]) throws {
            let buffer = AlignedBuffer(capacity: bytes.count)
            buffer.base.copyMemory(from: bytes, byteCount: bytes.count)
            buffer.count = bytes.count
            try LocalContent.publish(buffer, at: path)
        }

        func done(_ number: Int) {
            rename(
                "\(wal)/archive_status/\(files.segments[number].name).ready", "\(wal)/archive_status/\(files.segments[number].name).done")
        }

        func push(_ number: Int, store: (any Store)? = nil, options: WALPush.Options = .init()) throws -> WALPush.Outcome {
            try WALPush(try fixture.archive(store), options: options).push(path(number))
        }

        /// Whether the archive has exactly these bytes.
        func has(_ number: Int) throws -> Bool {
            try fixture.archive().content(of: .segment(name: files.segments[number].name), system: files.system)?.array
                == files.segments[number].bytes
        }
    }

    @Test("a segment is archived with what planning needs to know of it, and again without being stored again")
    func again() throws {
        let server = try Server()
        try server.make(2)
        let first = try server.push(2)
        #expect(!first.wasThere && first.bytesStored > 0 && first.systemIdentifier == server.files.system)
        #expect(try server.push(2).wasThere)
        #expect(try server.has(2))
        let reader = try server.fixture.archive().open(.file(.segment(name: server.files.segments[2].name)), system: server.files.system)
        let facts = try #require(try reader.facts()[0])
        #expect(facts.firstRecord != nil && facts.endOfRecords != nil)
    }

    @Test("other content under a name is refused with exit 14, and nothing is overwritten")
    func conflict() throws {
        let server = try Server()
        try server.make(2)
        _ = try server.push(2)
        // Another record at the end of the log, as a second server on the same timeline writes it: a valid segment.
        var other = server.files.segments[2].bytes
        other[2] ^= 4  // XLP_BKP_REMOVABLE, which nothing checks.
        try server.make(2, bytes: other)
        #expect { try server.push(2) } throws: { ($0 as? RepoError)?.code == .conflict }
        #expect(try server.has(2))
    }

    @Test("a damaged segment is not taken, unless somebody insists; then its call succeeds")
    func damaged() throws {
        let server = try Server()
        var bytes = server.files.segments[3].bytes
        bytes[300_000] ^= 1
        try server.make(3, bytes: bytes)
        #expect { try server.push(3) } throws: { ($0 as? RepoError)?.code == .damaged }
        #expect(try server.fixture.store.list("wal/").isEmpty)
        var options = WALPush.Options()
        options.acceptsDamage = true
        #expect(try !server.push(3, options: options).warnings.isEmpty)
        #expect(try server.push(3).wasThere)
    }

    @Test("a segment under another's name, and one of another cluster, are not taken")
    func wrongPlace() throws {
        let server = try Server()
        try server.make(3, bytes: server.files.segments[4].bytes)
        #expect { try server.push(3) } throws: { ($0 as? RepoError)?.code == .damaged }
        try server.make(4)
        var options = WALPush.Options()
        options.systemIdentifier = 4711
        #expect { try server.push(4, options: options) } throws: { ($0 as? RepoError)?.code == .conflict }
        #expect(try server.fixture.store.list("wal/").isEmpty)
    }

    @Test("one call takes the queue in batches, and the calls for the others find theirs")
    func queue() throws {
        let server = try Server()
        let count = min(40, server.files.segments.count)
        for number in 1..<count { try server.make(number) }
        let first = try server.push(1)
        #expect(first.queued.count == count - 2)
        #expect(try server.fixture.store.list("wal/").count < 6)
        let counting = CountingStore(server.fixture.store)
        for number in 1..<count {
            server.done(number)
            if number > 1 { #expect(try server.push(number, store: counting).wasThere) }
            #expect(try server.has(number))
        }
        #expect(counting.counts[.put] == 0)
    }

    @Test("of a batch no more segments are in memory than there are threads")
    func memory() throws {
        final class Held: @unchecked Sendable {
            weak var buffer: AlignedBuffer?
            init(_ buffer: AlignedBuffer) { self.buffer = buffer }
        }
        let fixture = try ArchiveFixture()
        let size = WALSegmentSize(bytes: 1 << 20)!
        let names = (16..<32 as Range<UInt64>).map { ArchiveFixture.segment($0, size: size) }
        let loaded = Monitor((all: [Held](), most: 0))
        let source = WALFileSource(names: names, lengths: [Int](repeating: 1 << 20, count: 16)) { number in
            let file = ArchiveFixture.file(names[number], seed: UInt64(number))
            loaded.withLock { loaded in
                loaded.all.append(Held(file.content))
                loaded.most = max(loaded.most, loaded.all.count { $0.buffer != nil })
            }
            return file
        }
        guard case .new = try fixture.archive().store(source, system: ArchiveFixture.system, segmentSize: size, threads: 2) else {
            Issue.record("it was there")
            return
        }
        #expect(loaded.withLock { $0.most } <= 2)
    }

    @Test("a queue is taken up to the first segment that is damaged or missing, which is left to its own call")
    func brokenQueue() throws {
        let server = try Server()
        for number in 1..<9 { try server.make(number) }
        var bytes = server.files.segments[5].bytes
        bytes[200_000] ^= 1
        try server.make(5, bytes: bytes)
        #expect(try server.push(1).queued == (2..<5).map { server.files.segments[$0].name })
        #expect { try server.push(5) } throws: { ($0 as? RepoError)?.code == .damaged }
        unlink(server.path(7))
        #expect(try server.push(6).queued.isEmpty)
    }

    @Test("another's conflict in the queue is not the own one")
    func conflictInQueue() throws {
        let server = try Server()
        var other = server.files.segments[3].bytes
        other[2] ^= 4
        try server.make(3, bytes: other)
        _ = try server.push(3)
        for number in 1..<6 { try server.make(number) }
        #expect(try !server.push(1).wasThere)
        #expect(try server.has(1))
        #expect { try server.push(3) } throws: { ($0 as? RepoError)?.code == .conflict }
    }

    @Test("whatever call of a push the process dies at: what was acknowledged is there, and the next push succeeds", arguments: [false, true])
    func crashes(afterWorking: Bool) throws {
        for call in 1...40 {
            let server = try Server()
            for number in 1..<6 { try server.make(number) }
            let faulting = FaultingStore(
                server.fixture.store, plan: FaultingStore.dying(atCall: call, afterWorking: afterWorking))
            var acknowledged: [Int] = []
            do {
                for number in 1..<6 {
                    _ = try server.push(number, store: faulting)
                    acknowledged.append(number)
                }
            } catch is ProcessDied {}
            for number in acknowledged { #expect(try server.has(number), "call \(call): \(number)") }
            // Order: nothing is there behind a segment that is not.
            let there = try (1..<6).map { try server.has($0) }
            #expect(there == there.sorted { $0 && !$1 }, "call \(call): \(there)")
            for number in 1..<6 {
                _ = try server.push(number)
                #expect(try server.has(number))
            }
            if !faulting.isDead { return }
        }
        Issue.record("40 calls did not suffice")
    }

    @Test("a store that cannot be reached for a while costs a retry, never a wrong answer", arguments: [UInt64](1...20))
    func unreachable(seed: UInt64) throws {
        let server = try Server()
        for number in 1..<6 { try server.make(number) }
        let faulting = FaultingStore(server.fixture.store, plan: FaultingStore.unreachable(seed: seed, probability: 0.3))
        for number in 1..<6 {
            var isAcknowledged = false
            for _ in 0..<200 where !isAcknowledged {
                isAcknowledged = (try? server.push(number, store: faulting)) != nil
            }
            #expect(isAcknowledged)
            #expect(try server.has(number))
        }
    }

    @Test("of two that push different content at the same moment at most one is acknowledged, whether alone or in a batch")
    func race() throws {
        for _ in 0..<10 {
            let server = try Server()
            let segments = server.files.segments
            var other = segments[2].bytes
            other[2] ^= 4
            func file(_ number: Int, _ bytes: [UInt8]) -> WALFile {
                let buffer = AlignedBuffer(capacity: bytes.count)
                buffer.base.copyMemory(from: bytes, byteCount: bytes.count)
                buffer.count = bytes.count
                return WALFile(name: segments[number].name, content: buffer, facts: nil)
            }
            let work = [[file(2, other)], [file(1, segments[1].bytes), file(2, segments[2].bytes)]]
            let archive = try server.fixture.archive()
            let system = server.files.system
            let acknowledged = Monitor(0)
            let threads = work.map { files in
                WorkerThread {
                    if (try? archive.store(files, system: system, segmentSize: .init(bytes: 1 << 20), threads: 1)) != nil {
                        acknowledged.withLock { $0 += 1 }
                    }
                }
            }
            for thread in threads { thread.join() }
            #expect(acknowledged.withLock { $0 } <= 1)
        }
    }
}
