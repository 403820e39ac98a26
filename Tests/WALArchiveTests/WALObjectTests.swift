import PostgresFormats
import RepoBase
import Storage
import StorageTesting
import Testing

@testable import Repository
@testable import WALArchive

@Suite("Objects of the log")
struct WALObjectTests {
    private let system = ArchiveFixture.system
    private let oneMiB = WALSegmentSize(bytes: 1 << 20)!

    private func facts(_ number: UInt64, _ size: WALSegmentSize = .standard) -> WALFacts {
        var facts = WALFacts()
        let start = WALSegment(timeline: 1, number: number).start(size)
        facts.firstRecord = start
        facts.transactionEnds = number
        facts.earliestEnd = PostgresTime(microseconds: 1)
        facts.latestEnd = PostgresTime(microseconds: 5)
        facts.lastEnd = PostgresTime(microseconds: 4)
        facts.lowestTransaction = 7
        facts.highestTransaction = 9
        facts.restorePoints = [.init(position: .init(start.value + 1), end: .init(start.value + 2), time: .init(microseconds: 3), name: "before")]
        return facts
    }

    @Test("a file comes back as it was, with its facts", arguments: [0, 1, 8191, 1 << 20, (4 << 20) + 1, 9 << 20])
    func roundTrip(count: Int) throws {
        let fixture = try ArchiveFixture()
        let archive = try fixture.archive()
        let name = ArchiveFixture.segment(5)
        let file = ArchiveFixture.file(name, seed: 1, count: count, facts: facts(5))
        #expect(try archive.store([file], system: system, segmentSize: .standard) != .alreadyThere)
        let reader = try archive.open(.file(.segment(name: name)), system: system)
        #expect(try reader.content(of: 0).array == file.content.array)
        #expect(try reader.facts() == [facts(5)])
        #expect(reader.description.segmentSize == .standard)
        #expect(try archive.content(of: .segment(name: name), system: system)?.array == file.content.array)
        let key = WALObjectName.file(.segment(name: name)).key(systemIdentifier: system)
        #expect(try fixture.store.stat(key)?.size == reader.length)
    }

    /// A server that restores remembers for a day what opened the repository.
    @Test("what was archived after a rotation, with a key that was added since, is read by who opened the repository before")
    func laterEpoch() throws {
        let fixture = try ArchiveFixture()
        let early = try fixture.archive()
        var keys = fixture.keys
        _ = try keys.rotate(in: fixture.store)
        let scrypt = ScryptParameters(log2N: 10, r: 1, p: 1)
        _ = try keys.addKey(to: fixture.store, .password(Array("second".utf8)), role: .full, label: "s", scrypt: scrypt)
        let name = ArchiveFixture.segment(5)
        let file = ArchiveFixture.file(name, seed: 1, count: 100)
        let late = try fixture.archive(keys: KeyRing.open(fixture.store, .password(Array("second".utf8))))
        try late.store([file], system: system, segmentSize: .standard)
        #expect(try early.content(of: .segment(name: name), system: system)?.array == file.content.array)
        #expect(try early.store([file], system: system, segmentSize: .standard) == .alreadyThere)
        #expect(try LogRepair(early).run().isEmpty)
    }

    @Test("each segment of a batch comes back, and is found by its own name")
    func batch() throws {
        let fixture = try ArchiveFixture()
        let archive = try fixture.archive()
        let names = (16..<32).map { ArchiveFixture.segment($0, size: oneMiB) }
        let files = names.enumerated().map { ArchiveFixture.file($1, seed: UInt64($0), facts: facts(UInt64($0) + 16, oneMiB)) }
        try archive.store(files, system: system, segmentSize: oneMiB)
        for (number, name) in names.enumerated() {
            #expect(try archive.content(of: .segment(name: name), system: system)?.array == files[number].content.array)
        }
        let holder = try archive.objects(holding: .segment(name: names[3]), system: system)
        #expect(holder == [.batch(first: names[0], last: names[15])])
        #expect(try archive.open(holder[0], system: system).facts()[3] == facts(19, oneMiB))
        #expect(try archive.objects(holding: .segment(name: ArchiveFixture.segment(32, size: oneMiB)), system: system).isEmpty)
    }

    @Test("a writer key archives, tells the same from another, and cannot read")
    func writerKey() throws {
        let fixture = try ArchiveFixture()
        let archive = try fixture.archive(keys: try fixture.writerKeys())
        let file = ArchiveFixture.file(ArchiveFixture.segment(1), seed: 1, facts: facts(1))
        try archive.store([file], system: system, segmentSize: oneMiB)
        #expect(try archive.store([file], system: system, segmentSize: oneMiB) == .alreadyThere)
        let other = ArchiveFixture.file(ArchiveFixture.segment(1), seed: 2)
        #expect(throws: RepoError.self) { try archive.store([other], system: system, segmentSize: oneMiB) }
        let reader = try archive.open(.file(.segment(name: file.name)), system: system)
        #expect { try reader.content(of: 0) } throws: { ($0 as? RepoError)?.code == .wrongKey }
        #expect { try reader.facts() } throws: { ($0 as? RepoError)?.code == .wrongKey }
        let full = try fixture.archive(keys: KeyRing.open(fixture.store, .password(Array("secret".utf8))))
        #expect(try full.content(of: .segment(name: file.name), system: system)?.array == file.content.array)
    }

    @Test("a flipped bit anywhere is found, and named")
    func flippedBits() throws {
        let fixture = try ArchiveFixture()
        let archive = try fixture.archive()
        let name = ArchiveFixture.segment(1)
        try archive.store([ArchiveFixture.file(name, seed: 1, count: 40_000, facts: facts(1))], system: system, segmentSize: nil)
        let key = WALObjectName.file(.segment(name: name)).key(systemIdentifier: system)
        let bytes = try fixture.store.get(key, atMost: 1 << 20)
        // Every byte of frame and description, and some of the content.
        for offset in Array(0..<500) + stride(from: 500, to: bytes.count, by: 251) {
            var flipped = bytes
            flipped[offset] ^= 1 << UInt8(offset % 8)
            try fixture.store.put(key, flipped, .replace)
            #expect("byte \(offset)") {
                let reader = try archive.open(.file(.segment(name: name)), system: system)
                _ = try reader.facts()
                _ = try reader.content(of: 0)
            } throws: { error in
                let error = error as? RepoError
                return error?.code == .damaged && error!.message.contains(name)
            }
        }
    }

    @Test("a truncated object is damaged, wherever it ends", arguments: [0, 7, 19, 191, 192, 300, -17, -1])
    func truncated(length: Int) throws {
        let fixture = try ArchiveFixture()
        let archive = try fixture.archive()
        let name = ArchiveFixture.segment(1)
        try archive.store([ArchiveFixture.file(name, seed: 1, count: 40_000)], system: system, segmentSize: nil)
        let key = WALObjectName.file(.segment(name: name)).key(systemIdentifier: system)
        let bytes = try fixture.store.get(key, atMost: 1 << 20)
        try fixture.store.put(key, Array(bytes.prefix(length < 0 ? bytes.count + length : length)), .replace)
        #expect { try archive.content(of: .segment(name: name), system: system) } throws: { ($0 as? RepoError)?.code == .damaged }
    }

    @Test("an object under another's name is damaged: of another segment, and of another cluster")
    func swapped() throws {
        let fixture = try ArchiveFixture()
        let archive = try fixture.archive()
        let names = [ArchiveFixture.segment(1), ArchiveFixture.segment(2)]
        try archive.store([ArchiveFixture.file(names[0], seed: 1)], system: system, segmentSize: nil)
        let key = WALObjectName.file(.segment(name: names[0])).key(systemIdentifier: system)
        let bytes = try fixture.store.get(key, atMost: 2 << 20)
        try fixture.store.put(WALObjectName.file(.segment(name: names[1])).key(systemIdentifier: system), bytes, .create)
        try fixture.store.put(WALObjectName.file(.segment(name: names[0])).key(systemIdentifier: 42), bytes, .create)
        for (name, cluster) in [(names[1], system), (names[0], 42)] {
            #expect { try archive.content(of: .segment(name: name), system: cluster) } throws: {
                ($0 as? RepoError)?.code == .damaged
            }
        }
    }

    @Test("of two copies the sound one is read")
    func secondCopy() throws {
        let fixture = try ArchiveFixture()
        let archive = try fixture.archive()
        let names = (0..<3).map { ArchiveFixture.segment($0, size: oneMiB) }
        let files = names.enumerated().map { ArchiveFixture.file($1, seed: UInt64($0)) }
        try archive.store([files[1]], system: system, segmentSize: oneMiB)
        try archive.store(files, system: system, segmentSize: oneMiB)
        let key = WALObjectName.file(.segment(name: names[1])).key(systemIdentifier: system)
        var bytes = try fixture.store.get(key, atMost: 2 << 20)
        bytes[bytes.count - 1] ^= 1
        try fixture.store.put(key, bytes, .replace)
        #expect(try archive.content(of: .segment(name: names[1]), system: system)?.array == files[1].content.array)
    }

    @Test("what was received of a segment comes back filled up with zeros, the longest first")
    func received() throws {
        let fixture = try ArchiveFixture()
        let archive = try fixture.archive()
        let name = ArchiveFixture.segment(9, size: oneMiB)
        let whole = ArchiveFixture.content(9, count: 1 << 20)
        for length in [8192, 65536, 16384] {
            let part = AlignedBuffer(capacity: length)
            part.base.copyMemory(from: whole.base, byteCount: length)
            part.count = length
            try archive.store(
                [WALFile(name: name, content: part, facts: facts(1))], system: system, segmentSize: oneMiB,
                as: .received(segment: name, length: UInt32(length)))
        }
        #expect(try archive.content(of: .segment(name: name), system: system) == nil)
        let padded = try #require(try archive.partialContent(of: name, system: system)).array
        #expect(padded == Array(whole.array[..<65536]) + [UInt8](repeating: 0, count: (1 << 20) - 65536))
    }
}
