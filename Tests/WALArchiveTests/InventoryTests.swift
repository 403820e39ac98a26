import PostgresFormats
import RepoBase
import Storage
import StorageTesting
import Testing

@testable import Repository
@testable import WALArchive

@Suite("What the archive has")
struct InventoryTests {
    private let system = ArchiveFixture.system
    private let size = WALSegmentSize(bytes: 1 << 20)!

    private func file(_ number: UInt64, timeline: UInt32 = 1, facts: WALFacts? = nil) -> WALFile {
        ArchiveFixture.file(ArchiveFixture.segment(number, timeline: timeline, size: size), seed: number, count: 3000, facts: facts)
    }

    @Test("segments alone and in batches make runs, and what is missing between them is a gap")
    func runs() throws {
        let fixture = try ArchiveFixture()
        let archive = try fixture.archive()
        // 4,096 segments of 1 MiB share a folder: these span two.
        for number in [4090, 4091, 4094, 4100] as [UInt64] { try archive.store([file(number)], system: system, segmentSize: size) }
        try archive.store((4095...4095).map { file($0) }, system: system, segmentSize: size)
        try archive.store((4096...4099).map { file($0) }, system: system, segmentSize: size)
        try archive.store([file(4091)] + [file(4092)], system: system, segmentSize: size)
        try archive.store([file(9, timeline: 2)], system: system, segmentSize: size)
        try archive.store(
            [WALFile(name: "00000002.history", content: ArchiveFixture.content(1, count: 40), facts: nil)], system: system, segmentSize: nil)
        try archive.store([file(3)], system: 12, segmentSize: size)
        #expect(try archive.systems() == [12, system])

        let inventory = try archive.inventory(of: system)
        #expect(inventory.strays.isEmpty)
        #expect(inventory.timelines.map(\.timeline) == [1, 2])
        let first = try #require(inventory[1])
        #expect(first.segmentSize == size)
        #expect(first.runs == [4090...4092, 4094...4100])
        #expect(first.gaps == [4093...4093])
        #expect(first.segmentCount == 10)
        #expect(first.missing(in: 4089...4102) == [4089...4089, 4093...4093, 4101...4102])
        #expect(first.missing(in: 4094...4100).isEmpty)
        #expect(!first.contains(4093) && first.contains(4097))
        #expect(first.objects(holding: 4097) == [.batch(first: first.name(4096), last: first.name(4099))])
        #expect(first.objects(holding: 4091).first == .file(.segment(name: first.name(4091))))
        #expect(first.objects(holding: 4091).count == 2)
        #expect(inventory[2]?.hasHistory == true && !first.hasHistory)
        #expect(inventory[2]?.runs == [9...9])
    }

    @Test("facts are read once, and from this machine's cache afterwards, which a stranger cannot fill")
    func factsCache() throws {
        let fixture = try ArchiveFixture()
        let archive = try fixture.archive()
        func firstRecord(_ number: UInt64) -> LogSequenceNumber { LogSequenceNumber(WALSegment(timeline: 1, number: 4090 + number).start(size).value + number) }
        for number in 0..<20 as Range<UInt64> {
            var facts = WALFacts()
            facts.firstRecord = firstRecord(number)
            try archive.store([file(4090 + number, facts: facts)], system: system, segmentSize: size)
        }
        func read() throws -> CountingStore.Counts {
            let counting = CountingStore(fixture.store)
            let archive = try fixture.archive(counting)
            let inventory = try archive.inventory(of: system)
            counting.reset()
            let reader = WALFactsReader(archive, inventory)
            try reader.prefetch(1, 4090...4105)
            for number in 0..<20 as Range<UInt64> {
                #expect(try reader.facts(of: WALSegment(timeline: 1, number: 4090 + number))?.firstRecord == firstRecord(number))
            }
            reader.save()
            return counting.counts
        }
        #expect(try read()[.read] == 20)
        #expect(try read()[.read] == 0)
        for name in try LocalContent.names(in: fixture.folder + "/cache/wal-facts") {
            let path = fixture.folder + "/cache/wal-facts/" + name
            let content = try LocalContent.read(path)
            content.base.storeBytes(of: content.bytes[40] ^ 1, toByteOffset: 40, as: UInt8.self)
            try LocalContent.publish(content, at: path)
        }
        #expect(try read()[.read] == 20)
        #expect(throws: RepoError.self) {
            let archive = try fixture.archive()
            _ = try WALFactsReader(archive, archive.inventory(of: system)).facts(of: WALSegment(timeline: 1, number: 1))
        }
    }

    @Test("whoever asks for one segment after the other, in either direction, has those to come read ahead", arguments: [true, false])
    func readAhead(isAscending: Bool) throws {
        let fixture = try ArchiveFixture()
        let size = WALSegmentSize(bytes: 1 << 20)!
        try fixture.archiveSegments(100...400)
        let archive = try fixture.archive()
        let reader = WALFactsReader(archive, try archive.inventory(of: system))
        func transaction(_ number: UInt64) throws -> UInt32? { try reader.facts(of: WALSegment(timeline: 1, number: number))?.lowestTransaction }
        let order = isAscending ? Array(100...400 as ClosedRange<UInt64>) : Array((100...400 as ClosedRange<UInt64>).reversed())
        for number in order.prefix(8) { #expect(try transaction(number) == UInt32(number)) }
        // Eight were asked for, so the next seven and more have been read: their objects are not asked again.
        for number in order.prefix(15) {
            try fixture.store.delete(WALObjectName.file(.segment(name: ArchiveFixture.segment(number, size: size))).key(systemIdentifier: system))
        }
        for number in order { #expect(try transaction(number) == UInt32(number)) }
    }

    @Test("a missing name among thousands is found")
    func large() throws {
        let fixture = try ArchiveFixture()
        let archive = try fixture.archive()
        let last: UInt64 = 5000
        try archive.store(
            [ArchiveFixture.file(ArchiveFixture.segment(last), seed: 1, count: 10)], system: system, segmentSize: .standard)
        for number in 1..<last where number != 777 {
            let name = WALObjectName.file(.segment(name: ArchiveFixture.segment(number)))
            try fixture.store.put(name.key(systemIdentifier: system), [], .create)
        }
        #expect(try archive.inventory(of: system)[1]?.runs == [1...776, 778...5000])
    }
}
