import PostgresFormats
import RepoBase
import Testing

@Suite("Facts about clusters and segments")
struct FactsTests {
    @Test("a cluster's facts read as they were written")
    func cluster() throws {
        var facts = ClusterFacts(
            method: .physical, systemIdentifier: 7_123_456_789_012_345_678, serverVersion: 150_018,
            startTime: FileTime(seconds: 1_760_000_000, nanoseconds: 5), stopTime: FileTime(seconds: 1_760_000_100, nanoseconds: 0))
        facts.timeline = 3
        facts.start = LogSequenceNumber(0x16_B374_D848)
        facts.stop = LogSequenceNumber(0x16_B374_FFFF)
        facts.segmentSize = WALSegmentSize(bytes: 1 << 20)!
        facts.hasChecksums = true
        facts.tablespaces = [.init(oid: 16_400, location: "/srv/space")]
        facts.settings = ["max_connections": "100", "wal_level": "replica"]
        facts.label = "nightly"
        facts.databases = [.init(name: "shop", bytes: 1 << 30, rowCounts: [.init(schema: "public", table: "orders", rows: 7)])]
        #expect(try ClusterFacts(facts.encoded(), object: "it") == facts)
    }

    @Test("of dumps the fields of a physical backup say nothing")
    func dumps() throws {
        let time = FileTime(seconds: 1_760_000_000, nanoseconds: 5)
        var facts = ClusterFacts(method: .physical, systemIdentifier: 7, serverVersion: 150_018, startTime: time, stopTime: time)
        (facts.timeline, facts.stop, facts.isFromStandby) = (3, LogSequenceNumber(2), true)
        var bytes = facts.encoded()
        #expect(bytes.starts(with: [1, 1, 1]))
        bytes[2] = 2
        #expect(try ClusterFacts(bytes, object: "it") == ClusterFacts(method: .logical, systemIdentifier: 7, serverVersion: 150_018, startTime: time, stopTime: time))
    }

    @Test("where no backup has its log, and when no program ran, is damage", arguments: [
        (0, 5, 1, false), (6, 5, 1, false), (1, 1 << 46 | 2, 1, false), (.max - 5, .max, 1, false), (1, 5, .min, false), (1, 5, 253_402_300_800, false),
        (1, 1, 1, true), (1, 1 << 46 | 1, -62_135_510_400, true), (.max - (1 << 31), .max - (1 << 31), 253_402_214_399, true),
    ] as [(UInt64, UInt64, Int64, Bool)])
    func bounds(start: UInt64, stop: UInt64, seconds: Int64, isSound: Bool) throws {
        let time = FileTime(seconds: seconds, nanoseconds: 0)
        var facts = ClusterFacts(method: .physical, systemIdentifier: 7, serverVersion: 150_018, startTime: time, stopTime: time)
        (facts.start, facts.stop) = (LogSequenceNumber(start), LogSequenceNumber(stop))
        let bytes = facts.encoded()
        if isSound {
            #expect(try ClusterFacts(bytes, object: "it") == facts)
        } else {
            #expect(throws: RepoError.self) { try ClusterFacts(bytes, object: "it") }
        }
    }

    @Test("a segment's facts read as they were written")
    func segment() throws {
        #expect(try WALFacts(WALFacts().encoded(), object: "it") == WALFacts())
        var facts = WALFacts()
        facts.firstRecord = LogSequenceNumber(0x100_0028)
        facts.endOfRecords = LogSequenceNumber(0x1FF_FFF8)
        facts.transactionEnds = 5
        facts.earliestEnd = PostgresTime(microseconds: -7)
        facts.latestEnd = PostgresTime(microseconds: 9)
        facts.lastEnd = PostgresTime(microseconds: 8)
        facts.lowestTransaction = 730
        facts.highestTransaction = 741
        facts.restorePoints = [
            .init(position: LogSequenceNumber(1), end: LogSequenceNumber(2), time: PostgresTime(microseconds: 3), name: "before")
        ]
        facts.checkpoints = [
            .init(
                position: LogSequenceNumber(4), redo: LogSequenceNumber(3), time: PostgresTime(microseconds: 6), timeline: 2,
                isShutdown: true)
        ]
        facts.switchRecord = LogSequenceNumber(5)
        facts.openRecord = .init(position: LogSequenceNumber(0x1FF_FFF8), head: [1, 2, 3, 4, 5, 6, 7, 8])
        facts.continuation = .init(remaining: 77, head: [9])
        facts.isTruncated = true
        #expect(try WALFacts(facts.encoded(), object: "it") == facts)
    }

    @Test("facts that are cut short are damage", arguments: 1..<40)
    func cut(count: Int) {
        let bytes = ClusterFacts(
            method: .logical, systemIdentifier: 1, serverVersion: 150_018, startTime: FileTime(seconds: 0, nanoseconds: 0),
            stopTime: FileTime(seconds: 0, nanoseconds: 0)
        ).encoded()
        guard count < bytes.count else { return }
        #expect(throws: RepoError.self) { try ClusterFacts(Array(bytes[..<count]), object: "it") }
    }
}
