/// A record that recovery planning looks at.
public enum WALEvent: Hashable, Sendable {
    case transactionEnd(WALTransactionEnd)
    case restorePoint(WALFacts.RestorePoint)
    case checkpoint(WALFacts.Checkpoint)
    case endOfRecovery(EndOfRecovery)

    /// `XLOG_END_OF_RECOVERY`: the first word of a new timeline.
    public struct EndOfRecovery: Hashable, Sendable {
        public var position: LogSequenceNumber
        public var end: LogSequenceNumber
        public var time: PostgresTime
        public var timeline: UInt32
        public var previousTimeline: UInt32
    }

    public var position: LogSequenceNumber {
        switch self {
        case .transactionEnd(let end): end.position
        case .restorePoint(let point): point.position
        case .checkpoint(let checkpoint): checkpoint.position
        case .endOfRecovery(let end): end.position
        }
    }

    enum Reading {
        case nothing
        case event(WALEvent)
        /// The checksum was right and the content is not.
        case nonsense(String)
    }

    static func read(_ record: WALRecord, version: WALVersion) -> Reading {
        guard record.hasNews else { return .nothing }
        if record.resourceManager == WALRecord.transactionManager {
            switch WALTransactionEnd.read(record.bytes, position: record.position, end: record.end, version: version) {
            case .noEnd: return .nothing
            case .end(let end): return .event(.transactionEnd(end))
            case .tooShort: return .nonsense("the record ends early")
            case .nonsense(let why): return .nonsense("the record makes no sense: \(why)")
            }
        }
        guard let content = WALRecordContent(record.bytes, totalLength: record.totalLength, version: version) else {
            return .nonsense("the record makes no sense: its headers contradict each other")
        }
        let main = UnsafeRawBufferPointer(rebasing: record.bytes[content.mainData])
        switch WALRecord.kind(record.info) {
        case WALRecord.checkpointShutdown, WALRecord.checkpointOnline: return checkpoint(record, main)
        case WALRecord.restorePoint: return restorePoint(record, main)
        default: return endOfRecovery(record, main)
        }
    }

    /// `CheckPoint` (catalog/pg_control.h): 0 redo u64 · 8 ThisTimeLineID u32 · 12 PrevTimeLineID u32 · 64 time, seconds since 1970.
    private static func checkpoint(_ record: WALRecord, _ main: UnsafeRawBufferPointer) -> Reading {
        guard main.count >= 72 else { return .nonsense("the record of a checkpoint has only \(main.count) bytes") }
        return .event(
            .checkpoint(
                .init(
                    position: record.position, redo: LogSequenceNumber(main.u64(0)),
                    time: PostgresTime(unixSeconds: main.i64(64)), timeline: main.u32(8),
                    isShutdown: WALRecord.kind(record.info) == WALRecord.checkpointShutdown)))
    }

    /// `xl_restore_point` (access/xlog_internal.h): 0 rp_time i64 · 8 rp_name, MAXFNAMELEN = 64 bytes, ended by a zero.
    private static func restorePoint(_ record: WALRecord, _ main: UnsafeRawBufferPointer) -> Reading {
        guard main.count >= 72 else { return .nonsense("the record of a restore point has only \(main.count) bytes") }
        let name = main[8..<72].prefix { $0 != 0 }
        return .event(
            .restorePoint(
                .init(
                    position: record.position, end: record.end, time: PostgresTime(microseconds: main.i64(0)),
                    name: String(decoding: name, as: UTF8.self))))
    }

    /// `xl_end_of_recovery`: 0 end_time i64 · 8 ThisTimeLineID u32 · 12 PrevTimeLineID u32.
    private static func endOfRecovery(_ record: WALRecord, _ main: UnsafeRawBufferPointer) -> Reading {
        guard main.count >= 16 else { return .nonsense("the record of the end of recovery has only \(main.count) bytes") }
        return .event(
            .endOfRecovery(
                .init(
                    position: record.position, end: record.end, time: PostgresTime(microseconds: main.i64(0)),
                    timeline: main.u32(8), previousTimeline: main.u32(12))))
    }
}
