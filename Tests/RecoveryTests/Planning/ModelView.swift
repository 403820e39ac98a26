import PostgresFormats
import RepoBase

@testable import Recovery

/// What an archive has of a model's log, and what it says of it: derived segment by segment, as extraction does.
struct ModelView: LogView {
    let log: ModelLog
    var segments: Set<WALSegment>
    /// Parts of segments.
    var received: [WALSegment: UInt32] = [:]
    /// Of how many records across a boundary nothing is known: one in so many; 0 for none.
    var unknownEvery: UInt64 = 0

    var segmentSize: WALSegmentSize { ModelLog.segment }
    var timelines: [UInt32] { Set(segments.map(\.timeline)).union(log.histories.keys).union(received.keys.map(\.timeline)).sorted() }

    func history(of timeline: UInt32) -> TimelineHistory? {
        log.histories[timeline] ?? (log.records[timeline] != nil ? TimelineHistory(first: timeline) : nil)
    }

    func extent(of timeline: UInt32) -> TimelineExtent {
        var extent = TimelineExtent(segments.filter { $0.timeline == timeline }.map(\.number).sorted())
        for (segment, length) in received where segment.timeline == timeline { extent.received[segment.number] = length }
        return extent
    }

    /// Behind the last byte that the archive's file has.
    private func end(_ segment: WALSegment) -> LogSequenceNumber {
        if segments.contains(segment) { return segment.end(segmentSize) }
        return LogSequenceNumber(segment.start(segmentSize).value + UInt64(received[segment] ?? 0))
    }

    func facts(_ segment: WALSegment) throws -> WALFacts {
        guard segments.contains(segment) || received[segment] != nil else {
            throw RepoError(.notFound, "\(segment.name(segmentSize)) is not there")
        }
        let start = segment.start(segmentSize)
        let end = end(segment)
        var facts = WALFacts()
        for (index, record) in (log.records[segment.timeline] ?? []).enumerated() where record.end > start && record.position < end {
            if record.position < start {
                facts.continuation = .init(remaining: UInt32(record.end.value - start.value), head: [])
            }
            if record.position >= start, facts.firstRecord == nil { facts.firstRecord = record.position }
            if record.end <= end { facts.endOfRecords = record.end }
            if record.position >= start, record.end > end {
                // Timeline and number are its head.
                let head = UInt64(segment.timeline) << 32 | UInt64(index)
                facts.openRecord = .init(position: record.position, head: withUnsafeBytes(of: head.littleEndian, Array.init))
            }
            guard record.position >= start, record.end <= end else { continue }
            if let ended = record.transactionEnd {
                facts.transactionEnds += 1
                facts.earliestEnd = min(facts.earliestEnd ?? ended.time, ended.time)
                facts.latestEnd = max(facts.latestEnd ?? ended.time, ended.time)
                facts.lastEnd = ended.time
                facts.lowestTransaction = min(facts.lowestTransaction ?? .max, ended.transaction!)
                facts.highestTransaction = max(facts.highestTransaction ?? 0, ended.transaction!)
            }
            switch record.kind {
            case .checkpoint:
                facts.checkpoints.append(
                    .init(position: record.position, redo: record.position, time: record.time, timeline: segment.timeline, isShutdown: false))
            case .restorePoint(let name):
                facts.restorePoints.append(.init(position: record.position, end: record.end, time: record.time, name: name))
            default: break
            }
        }
        return facts
    }

    func crossing(_ facts: [WALFacts], start: LogSequenceNumber) throws -> CrossingRecord {
        guard let open = facts[0].openRecord else { return .none }
        let head = open.head.withUnsafeBytes { $0.loadUnaligned(as: UInt64.self) }
        if unknownEvery > 0, open.position.value / 8 % unknownEvery == 0 { return .unknown }
        let record = log.records[UInt32(head >> 32)]![Int(head & 0xFFFF_FFFF)]
        guard let continuation = facts[1].continuation, record.end.value == start.value + UInt64(continuation.remaining) else { return .none }
        if facts.last!.endOfRecords.map({ $0 < record.end }) ?? true { return .continues }
        return record.transactionEnd.map(CrossingRecord.transactionEnd) ?? .other
    }

    func scan(
        _ wanted: [WALSegment], from position: LogSequenceNumber, to end: LogSequenceNumber, _ body: (WALEvent) -> Bool
    ) throws -> LogRecordSpan? {
        var last: LogRecordSpan?
        let newest = wanted.last!.timeline
        let limit = min(end, self.end(wanted.last!))
        for record in log.records[newest] ?? [] where record.position >= position && record.end <= limit {
            last = LogRecordSpan(position: record.position, end: record.end)
            let event: WALEvent? =
                switch record.kind {
                case .commit, .abort: .transactionEnd(record.transactionEnd!)
                case .restorePoint(let name):
                    .restorePoint(.init(position: record.position, end: record.end, time: record.time, name: name))
                case .checkpoint:
                    .checkpoint(
                        .init(position: record.position, redo: record.position, time: record.time, timeline: newest, isShutdown: false))
                case .other: nil
                }
            if let event, !body(event) { return last }
        }
        return last
    }
}
