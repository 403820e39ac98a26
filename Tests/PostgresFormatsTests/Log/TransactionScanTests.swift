import RepoBase
import Testing
@testable import PostgresFormats

@Suite("Scanning a real log for the ends of transactions")
struct TransactionScanTests {
    let log: RecordedLog
    let size = WALSegmentSize(bytes: 1 << 20)!
    init() throws { log = try RecordedLog.shared.get() }

    private func scan(
        _ names: [String], from start: LogSequenceNumber, change: (String, inout [UInt8]) -> Void = { _, _ in }, while condition: (WALEvent) -> Bool = { _ in true }
    ) throws -> (WALTransactionScan, [WALEvent]) {
        var scan = WALTransactionScan(from: start)
        var events: [WALEvent] = []
        for name in names where !scan.isStopped {
            var bytes = log.files[name]!
            change(name, &bytes)
            try bytes.withUnsafeBytes {
                try scan.read($0, object: name) { event in
                    events.append(event)
                    return condition(event)
                }
            }
        }
        return (scan, events)
    }

    private func isEnd(_ record: RecordedLog.DumpedRecord) -> Bool {
        record.manager == "Transaction" && ["COMMIT", "ABORT"].contains { record.description.hasPrefix($0) }
    }

    @Test("from any position on, the ends are those that pg_waldump lists, and the last record is the last")
    func positions() throws {
        let first = WALSegment(name: log.segments[0], size: size)!.number
        for record in stride(from: 0, to: log.records.count, by: 3001).map({ log.records[$0] }) {
            let number = record.position.value / UInt64(size.bytes)
            let (scan, events) = try scan(Array(log.segments[Int(number - first)...]), from: record.position)
            let ends = events.compactMap { if case .transactionEnd(let end) = $0 { end } else { nil } }
            #expect(ends.map(\.position) == log.records.filter { $0.position >= record.position && isEnd($0) }.map(\.position))
            #expect(scan.lastRecord?.position == log.records.last?.position)
            #expect(scan.openRecord == nil)
        }
    }

    @Test("across a promotion, along the history")
    func promotion() throws {
        let history = try TimelineHistory(log.files["00000002.history"]!, timeline: 2, object: "history")
        let first = WALSegment(name: log.segments[0], size: size)!.number
        let last = WALSegment(name: log.laterSegments.last!, size: size)!.number
        let names = (first...last).map { history.segment(holding: LogSequenceNumber($0 * UInt64(size.bytes)), size: size).name(size) }
        #expect(names.contains(log.segments[0]) && names.contains(log.laterSegments[0]))
        let (_, events) = try scan(names, from: LogSequenceNumber(first * UInt64(size.bytes)))
        let ends = events.compactMap { if case .transactionEnd(let end) = $0 { end } else { nil } }
        let split = history.ancestors[0].end
        let expected =
            log.records.filter { isEnd($0) && $0.position < split }.map(\.position)
            + log.laterRecords.filter { isEnd($0) && $0.position >= split }.map(\.position)
        #expect(ends.map(\.position) == expected)
        let ended = events.compactMap { if case .endOfRecovery(let end) = $0 { end } else { nil } }
        #expect(ended.map(\.position) == [split])
        #expect(ended.first?.timeline == 2 && ended.first?.previousTimeline == 1)
        #expect(events.contains { if case .restorePoint(let point) = $0 { point.name == "new timeline" } else { false } })
    }

    @Test("the body ends the scan at the first event that it asks for")
    func stops() throws {
        let start = WALSegment(name: log.segments[0], size: size)!.start(size)
        let (scan, events) = try scan(log.segments, from: start, while: { event in
            if case .transactionEnd(let end) = event { !end.kind.isCommit || end.kind == .commit } else { true }
        })
        #expect(scan.isStopped)
        if case .transactionEnd(let end) = events.last { #expect(end.kind == .commitPrepared) } else { Issue.record("\(events.count) events") }
    }

    @Test("damage in a record across two segments is found, on either side")
    func crossing() throws {
        let start = WALSegment(name: log.segments[0], size: size)!.start(size)
        let open = try log.segments.first { name in
            try log.files[name]!.withUnsafeBytes { bytes in
                let facts = try WALSegmentReader.read(bytes, object: name).facts
                return (facts.openRecord?.head.count ?? 0) > 64
            }
        }
        let name = try #require(open)
        let next = log.segments[log.segments.firstIndex(of: name)! + 1]
        #expect(throws: RepoError.self) {
            try scan(log.segments, from: start, change: { if $0 == name { $1[(1 << 20) - 20] ^= 1 } })
        }
        #expect(throws: RepoError.self) { try scan(log.segments, from: start, change: { if $0 == next { $1[40] ^= 1 } }) }
        #expect(throws: RepoError.self) { try scan(log.segments.filter { $0 != next }, from: start) }
        #expect(throws: RepoError.self) { try scan(log.segments, from: LogSequenceNumber(1)) }
    }

    @Test("a partial file ends the scan in peace")
    func partial() throws {
        let name = try #require(log.files.keys.first { $0.hasSuffix(".partial") })
        let start = WALSegment(name: name.prefix(24), size: size)!.start(size)
        var scan = WALTransactionScan(from: start)
        try log.files[name]!.withUnsafeBytes { try scan.read($0, extent: .partial, object: name) { _ in true } }
        #expect(scan.fault != nil)
        let end = try #require(scan.lastRecord?.end)
        let history = try TimelineHistory(log.files["00000002.history"]!, timeline: 2, object: "history")
        #expect(end >= history.ancestors[0].end)
    }
}
