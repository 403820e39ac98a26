import NumbersTesting
import PostgresFormats
import RepoBase

@testable import Recovery

typealias SeededNumbers = NumbersTesting.SeededNumbers

extension SeededNumbers {
    /// Seeds in a row, far apart.
    init(_ seed: UInt64) { self.init(seed: seed &* 0x9E37_79B9_7F4A_7C15) }
}

/// A log in memory, with all its timelines: what is true, whatever an archive has of it.
struct ModelLog {
    static let segment = WALSegmentSize(bytes: 1 << 20)!

    struct Record: Hashable {
        enum Kind: Hashable {
            case commit(UInt32)
            case abort(UInt32)
            case checkpoint
            case restorePoint(String)
            case other
        }

        var kind: Kind
        var position: LogSequenceNumber
        var end: LogSequenceNumber
        /// What the record says.
        var time: PostgresTime
        /// The server's clock when it was written.
        var written: PostgresTime

        var transactionEnd: WALTransactionEnd? {
            switch kind {
            case .commit(let id): WALTransactionEnd(kind: .commit, position: position, end: end, time: time, transaction: id)
            case .abort(let id): WALTransactionEnd(kind: .abort, position: position, end: end, time: time, transaction: id)
            default: nil
            }
        }
    }

    /// All records of each timeline's history, its ancestors' first.
    var records: [UInt32: [Record]] = [:]
    var histories: [UInt32: TimelineHistory] = [:]
    var backups: [BaseBackup] = []

    // MARK: - Making one

    private var clock: Int64 = 800_000_000_000_000
    private var transaction: UInt32 = 700
    private var checkpointTime: Int64 = 0

    /// - Parameter jitter: by how many microseconds a commit's time may lie before the moment at which its record is written.
    mutating func write(_ kind: Record.Kind, size: UInt64, timeline: UInt32, jitter: Int64 = 0, pause: Int64 = 0) {
        clock += 1 + pause
        let begin = records[timeline]?.last?.end ?? LogSequenceNumber(UInt64(Self.segment.bytes))
        var time = clock
        switch kind {
        case .commit, .abort:
            // A checkpoint waits for transactions that took their time before it did.
            time = max(clock - jitter, checkpointTime)
        case .checkpoint:
            time = clock / 1_000_000 * 1_000_000
            checkpointTime = time
        default: break
        }
        records[timeline, default: []].append(
            Record(
                kind: kind, position: begin, end: LogSequenceNumber(begin.value + size), time: PostgresTime(microseconds: time),
                written: PostgresTime(microseconds: clock)))
    }

    mutating func nextTransaction() -> UInt32 {
        transaction += 1
        return transaction
    }

    /// Gives up the rest of the segment.
    mutating func switchSegment(timeline: UInt32) {
        let size = UInt64(Self.segment.bytes)
        let end = records[timeline]?.last?.end.value ?? size
        if end % size != 0 { write(.other, size: size - end % size, timeline: timeline) }
    }

    mutating func fork(from parent: UInt32, to child: UInt32) {
        let past = records[parent] ?? []
        let at = past.last?.end ?? LogSequenceNumber(UInt64(Self.segment.bytes))
        var ancestors = histories[parent]?.ancestors ?? []
        ancestors.append(.init(timeline: parent, end: at, reason: "no reason"))
        histories[child] = TimelineHistory(timeline: child, ancestors: ancestors)!
        records[child] = past
    }

    /// As PostgreSQL does: a new segment, a checkpoint, some time, the end of the backup, a new segment.
    mutating func backUp(timeline: UInt32, during work: (inout ModelLog) -> Void) {
        switchSegment(timeline: timeline)
        let start = records[timeline]?.last?.end ?? LogSequenceNumber(UInt64(Self.segment.bytes))
        write(.checkpoint, size: 120, timeline: timeline)
        let startTime = PostgresTime(microseconds: clock).fileTime
        work(&self)
        write(.other, size: 40, timeline: timeline)
        var facts = ClusterFacts(
            method: .physical, systemIdentifier: 7, serverVersion: 150_000, startTime: startTime,
            stopTime: PostgresTime(microseconds: clock).fileTime)
        facts.timeline = timeline
        facts.start = start
        facts.stop = records[timeline]!.last!.end
        facts.segmentSize = Self.segment
        switchSegment(timeline: timeline)
        backups.append(
            BaseBackup(id: ObjectID(words: UInt64(backups.count + 1), 0, 0, 0), time: startTime, facts: facts, bytes: 1))
    }

    /// Everything that there is of a timeline itself, whole segments; the last only where it is full.
    func allSegments() -> Set<WALSegment> {
        var segments: Set<WALSegment> = []
        for (timeline, records) in records {
            let begin = histories[timeline]?.ancestors.last?.end.value ?? UInt64(Self.segment.bytes)
            let end = records.last?.end.value ?? begin
            let size = UInt64(Self.segment.bytes)
            if begin / size < end / size {
                for number in begin / size..<end / size { segments.insert(WALSegment(timeline: timeline, number: number)) }
            }
        }
        return segments
    }
}
