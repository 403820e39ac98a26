import Glibc
import PostgresFormats
import RepoBase
import Storage
import StorageTesting
import Testing

@testable import Repository
@testable import WALArchive

/// From the spool into the repository, with a store that fails and a process that dies at any call.
@Suite("Storing what was received")
struct LogUploadTests {
    private static let size = WALSegmentSize(bytes: 1 << 20)!

    /// A spool with three whole segments of a real server, a history, and the beginning of a fourth segment.
    private final class Received {
        let fixture: ArchiveFixture
        let files: RealLog.Files
        let folder: String
        let first: Int
        let beginning = 300_001

        init(first: Int = 2) throws {
            fixture = try ArchiveFixture()
            files = try RealLog.files.get()
            folder = fixture.folder + "/spool"
            self.first = first
            let spool = try LogSpool(folder: folder, systemIdentifier: files.system)
            let spares = SpareJournals(folder: folder, size: LogUploadTests.size)
            defer { spares.close() }
            for number in first...first + 3 {
                var spare = spares.take()
                while spare == nil { spare = spares.take() }
                let name = files.segments[number].name
                let content = LogUploadTests.buffer(Array(files.segments[number].bytes.prefix(number == first + 3 ? beginning : .max)))
                _ = try JournalFile(
                    spare: spare!, path: spool.journalPath(name), segment: WALSegment(name: name, size: LogUploadTests.size)!, size: LogUploadTests.size,
                    systemIdentifier: files.system, content: content)
            }
            try spool.keepHistory(2, Array("1\t0/3000000\tno recovery target specified\n".utf8))
        }

        /// What the next process does with it. Returns what went wrong.
        func store(_ store: (any Store)? = nil, acceptsDamage: Bool = false, told: Monitor<[String]> = Monitor([])) throws -> RepoError? {
            let spool = try LogSpool(folder: folder, systemIdentifier: files.system)
            let spares = SpareJournals(folder: folder, size: LogUploadTests.size)
            defer { spares.close() }
            var options = ReceiveOptions(spool: folder)
            options.acceptsDamage = acceptsDamage
            let report: @Sendable (ReceiveEvent) -> Void = { event in told.withLock { $0.append("\(event)") } }
            let upload = LogUpload(
                try fixture.archive(store), spool, spares, size: LogUploadTests.size, options: options, report: report)
            if let newest = try spool.recover(upload, size: LogUploadTests.size, report: report) {
                upload.store(part: newest.segment, length: newest.flushed)
            }
            upload.start()
            return upload.finish()
        }

        /// Whether the repository has everything, and the spool nothing but the journal that is not full.
        func check(sourceLocation: SourceLocation = #_sourceLocation) throws {
            let archive = try fixture.archive()
            for number in first..<first + 3 {
                let (name, bytes) = files.segments[number]
                #expect(try archive.content(of: .segment(name: name), system: files.system)?.array == bytes, sourceLocation: sourceLocation)
            }
            let part = try archive.partialContent(of: files.segments[first + 3].name, system: files.system)?.array
            #expect(part?.prefix(beginning) == files.segments[first + 3].bytes.prefix(beginning), sourceLocation: sourceLocation)
            #expect(try archive.history(of: 2, system: files.system) != nil, sourceLocation: sourceLocation)
            let left = try LocalContent.names(in: folder).filter { $0.hasSuffix(".journal") || $0.hasSuffix(".history") }
            #expect(left == [files.segments[first + 3].name + ".journal"], sourceLocation: sourceLocation)
        }
    }

    private static func buffer(_ bytes: [UInt8]) -> AlignedBuffer {
        let buffer = AlignedBuffer(capacity: bytes.count)
        buffer.base.copyMemory(from: bytes, byteCount: bytes.count)
        buffer.count = bytes.count
        return buffer
    }

    @Test("all is stored in the order of the log, histories first, and leaves the spool")
    func stored() throws {
        let received = try Received()
        let store = FaultingStore(received.fixture.store)
        #expect(try received.store(store) == nil)
        try received.check()
        let puts = store.log.filter { $0.kind == .put }.map { String($0.name.split(separator: "/").last!) }
        #expect(puts == ["00000002.history"] + (2...4).map { received.files.segments[$0].name } + [received.files.segments[5].name + ".000493E1.received"])
    }

    @Test("whatever call the process dies at, the next one stores the rest, and nothing leaves the spool before it is stored", arguments: [false, true])
    func dies(after: Bool) throws {
        for call in 0... {
            let received = try Received()
            let count = Monitor(0)
            let store = FaultingStore(received.fixture.store) { _ in
                let number = count.withLock { count in
                    defer { count += 1 }
                    return count
                }
                return number == call ? (after ? .dieAfter : .dieBefore) : nil
            }
            _ = try received.store(store)
            let isDead = store.isDead
            let archive = try received.fixture.archive()
            for number in 2...4 {
                let name = received.files.segments[number].name
                let isStored = try !archive.objects(holding: .segment(name: name), system: received.files.system).isEmpty
                #expect(isStored || access("\(received.folder)/\(name).journal", F_OK) == 0, "call \(call)")
            }
            #expect(try received.store() == nil, "call \(call)")
            try received.check()
            if !isDead {
                #expect(call > 10)
                return
            }
        }
    }

    @Test("other content in the repository ends it, and the journal stays")
    func conflict() throws {
        let received = try Received()
        let name = received.files.segments[3].name
        var bytes = received.files.segments[3].bytes
        bytes[2] ^= 4
        try received.fixture.archive().store(
            [WALFile(name: name, content: Self.buffer(bytes), facts: nil)], system: received.files.system, segmentSize: Self.size)
        let problem = try received.store()
        #expect(problem?.code == .conflict)
        #expect(access("\(received.folder)/\(name).journal", F_OK) == 0)
        #expect(try received.fixture.archive().content(of: .segment(name: name), system: received.files.system)?.array == bytes)
    }

    @Test("shorter parts go once a longer one or the whole is stored; a writer key leaves them")
    func parts() throws {
        for isWriter in [false, true] {
            let received = try Received()
            let name = received.files.segments[5].name
            for length in [1000, 200_000, 300_500] {
                try received.fixture.archive().store(
                    [WALFile(name: name, content: Self.buffer(Array(received.files.segments[5].bytes.prefix(length))), facts: nil)],
                    system: received.files.system, segmentSize: Self.size, as: .received(segment: name, length: UInt32(length)))
            }
            if isWriter {
                let spool = try LogSpool(folder: received.folder, systemIdentifier: received.files.system)
                let upload = LogUpload(
                    try received.fixture.archive(keys: try received.fixture.writerKeys()), spool, nil, size: Self.size,
                    options: ReceiveOptions(spool: ""), report: { _ in })
                upload.store(part: WALSegment(name: name, size: Self.size)!, length: received.beginning)
                upload.start()
                #expect(upload.finish() == nil)
            } else {
                #expect(try received.store() == nil)
            }
            let left = try received.fixture.archive().received(of: name, system: received.files.system).map(\.receivedLength)
            #expect(left == (isWriter ? [300_500, 300_001, 200_000, 1000] : [300_500, 300_001]))
        }
    }

    @Test("of a beginning that is damaged, what can be replayed is stored")
    func damagedPart() throws {
        let received = try Received()
        let spool = try LogSpool(folder: received.folder, systemIdentifier: received.files.system)
        let name = received.files.segments[5].name
        let path = spool.journalPath(name)
        let file = open(path, O_RDWR)
        defer { close(file) }
        // Behind the marks' back, as a disk would.
        let wrong = [UInt8](repeating: 0x55, count: 100)
        #expect(pwrite(file, wrong, 100, 200_000) == 100)
        let told = Monitor([String]())
        let upload = LogUpload(
            try received.fixture.archive(), spool, nil, size: Self.size, options: ReceiveOptions(spool: ""),
            report: { event in told.withLock { $0.append("\(event)") } })
        upload.store(part: WALSegment(name: name, size: Self.size)!, length: received.beginning)
        upload.start()
        #expect(upload.finish() == nil)
        #expect(told.withLock { $0.contains { $0.contains("damaged") } })
        let length = try #require(try received.fixture.archive().received(of: name, system: received.files.system).first?.receivedLength)
        #expect(length <= 200_100 && length > 150_000)
    }

    @Test("a whole segment that is damaged is not stored, unless somebody insists")
    func damagedWhole() throws {
        let received = try Received()
        let name = received.files.segments[3].name
        let file = open("\(received.folder)/\(name).journal", O_RDWR)
        defer { close(file) }
        // With the mark that vouches for it: what came was damaged.
        let bytes = received.files.segments[3].bytes
        let wrong = Array(bytes[..<200_000]) + [UInt8](repeating: 0x55, count: 100) + Array(bytes[200_100...])
        #expect(pwrite(file, wrong, wrong.count, 0) == wrong.count)
        let mark = JournalMark(
            systemIdentifier: received.files.system, segment: name, sequence: 9, length: wrong.count,
            checksum: wrong.withUnsafeBytes { CRC32C.of($0) })
        #expect(pwrite(file, mark.encoded(), JournalMark.byteCount, off_t(wrong.count + JournalMark.spacing)) == JournalMark.byteCount)
        let problem = try received.store()
        #expect(problem?.code == .damaged)
        let archive = try received.fixture.archive()
        #expect(try archive.content(of: .segment(name: received.files.segments[2].name), system: received.files.system) != nil)
        #expect(try archive.content(of: .segment(name: name), system: received.files.system) == nil)
        #expect(access("\(received.folder)/\(name).journal", F_OK) == 0)
        #expect(try received.store(acceptsDamage: true) == nil)
        #expect(try archive.content(of: .segment(name: name), system: received.files.system)?.array == wrong)
    }
}
