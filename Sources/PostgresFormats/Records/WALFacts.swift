/// What recovery planning needs to know of one segment of the log, read out of it when it is archived, so that no plan has to read
/// the log itself (format.md, 12.3). Positions are those of the first byte of a record (`ReadRecPtr`) unless said otherwise.
public struct WALFacts: Hashable, Sendable {
    /// Where the first record that begins in this segment begins; nil when none does.
    public var firstRecord: LogSequenceNumber?
    /// Behind the last record that ends in this segment, one that began earlier among them; nil when none does. A record that gives up the
    /// rest of the segment ends with the segment. In a file in which the log ends, only whole records count, and one from before that a whole
    /// record follows.
    public var endOfRecords: LogSequenceNumber?
    /// Commits and aborts, prepared ones too, whose records begin and end in this segment; `WALBoundary` knows of those between two.
    public var transactionEnds: UInt64 = 0
    /// The earliest and the latest time in those records; commit times do not ascend with positions.
    public var earliestEnd: PostgresTime?
    public var latestEnd: PostgresTime?
    /// The time of the last of those records.
    public var lastEnd: PostgresTime?
    /// The lowest and highest transaction ids among those records, as plain numbers.
    public var lowestTransaction: UInt32?
    public var highestTransaction: UInt32?
    public var restorePoints: [RestorePoint] = []
    public var checkpoints: [Checkpoint] = []
    /// Where the rest of the segment was given up (`XLOG_SWITCH`).
    public var switchRecord: LogSequenceNumber?
    /// A record that begins in this segment and ends in a later one, with its first bytes, at most `edgeLimit`.
    public var openRecord: OpenRecord?
    /// The first bytes of the record that began in an earlier segment, without page headers; at most `edgeLimit`. Nil when none did.
    public var continuation: Continuation?

    public static let edgeLimit = 128
    /// Restore points and checkpoints that are kept, each; a segment with more says so by `isTruncated`, and planning reads it.
    public static let listLimit = 256
    public var isTruncated = false

    public init() {}

    public struct RestorePoint: Hashable, Sendable {
        public var position: LogSequenceNumber
        /// Behind the record.
        public var end: LogSequenceNumber
        public var time: PostgresTime
        public var name: String

        public init(position: LogSequenceNumber, end: LogSequenceNumber, time: PostgresTime, name: String) {
            (self.position, self.end, self.time, self.name) = (position, end, time, name)
        }
    }

    public struct Checkpoint: Hashable, Sendable {
        public var position: LogSequenceNumber
        public var redo: LogSequenceNumber
        /// Seconds resolution in the log.
        public var time: PostgresTime
        public var timeline: UInt32
        public var isShutdown: Bool

        public init(position: LogSequenceNumber, redo: LogSequenceNumber, time: PostgresTime, timeline: UInt32, isShutdown: Bool) {
            (self.position, self.redo, self.time, self.timeline, self.isShutdown) = (position, redo, time, timeline, isShutdown)
        }
    }

    public struct OpenRecord: Hashable, Sendable {
        public var position: LogSequenceNumber
        public var head: [UInt8]

        public init(position: LogSequenceNumber, head: [UInt8]) { (self.position, self.head) = (position, head) }
    }

    public struct Continuation: Hashable, Sendable {
        /// Bytes of the record that were still to come at the beginning of the segment (`xlp_rem_len`).
        public var remaining: UInt32
        public var head: [UInt8]

        public init(remaining: UInt32, head: [UInt8]) { (self.remaining, self.head) = (remaining, head) }
    }
}
