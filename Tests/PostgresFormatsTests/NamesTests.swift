import PostgresFormats
import RepoBase
import Testing

@Suite("Names of the log's files")
struct NamesTests {
    @Test("a position reads as it prints", arguments: ["0/0", "16/B374D848", "FFFFFFFF/FFFFFFFF"])
    func positions(text: String) { #expect(LogSequenceNumber(text)?.description == text) }

    @Test("what is no position is refused", arguments: ["", "/", "1", "1/", "1/2/3", "123456789/0", "+1/2", "g/0"])
    func noPositions(text: String) { #expect(LogSequenceNumber(text) == nil) }

    @Test("a segment reads as it prints, whatever the segment size", arguments: [1 << 20, 16 << 20, 1 << 30])
    func segments(bytes: Int) throws {
        let size = try #require(WALSegmentSize(bytes: bytes))
        for number in [0, 1, size.segmentsPerLog - 1, size.segmentsPerLog, size.segmentsPerLog * 7 + 3] {
            let segment = WALSegment(timeline: 0xAB, number: number)
            #expect(WALSegment(name: segment.name(size), size: size) == segment)
            #expect(WALSegment(timeline: 0xAB, holding: segment.start(size), size: size) == segment)
        }
    }

    @Test("a number that this segment size does not have is refused")
    func impossibleSegment() {
        #expect(WALSegment(name: "000000010000000000000100", size: .standard) == nil)
        #expect(WALSegment(name: "0000000100000000000000FF", size: .standard) != nil)
        #expect(WALSegment(name: "0000000100000000000000ff", size: .standard) == nil)
        #expect(WALSegment(name: "00000001FFFFFFFF000000FF", size: .standard) == nil)
        #expect(WALSegment(name: "00000001FFFFFFFF000000FE", size: .standard)?.end(.standard).description == "FFFFFFFF/FF000000")
    }

    @Test("files are told by their names")
    func files() {
        #expect(ArchivedFile(name: "000000010000000A000000FE") == .segment(name: "000000010000000A000000FE"))
        #expect(ArchivedFile(name: "000000010000000A000000FE.partial") == .partial(segment: "000000010000000A000000FE"))
        #expect(ArchivedFile(name: "0000000A.history") == .history(timeline: 10))
        #expect(
            ArchivedFile(name: "000000010000000A000000FE.00000028.backup")
                == .backupHistory(name: "000000010000000A000000FE.00000028.backup"))
        for name in ["", "x", "00000000.history", "000000010000000A000000FE.tmp", "../0000000A.history", "000000010000000a000000FE"] {
            #expect(ArchivedFile(name: name) == nil, "\(name)")
        }
    }

    @Test("times before and after 2000 convert both ways", arguments: [0, 1, -1, 999_999, -1_000_000, -1_000_001, 833_000_000_123_456, .min, .max] as [Int64])
    func times(microseconds: Int64) {
        let time = PostgresTime(microseconds: microseconds)
        #expect(PostgresTime(time.fileTime) == time)
    }
}
