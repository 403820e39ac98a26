public import PostgresFormats

/// What planning asks of the log of one cluster: which segments are there, and what is known of them.
///
/// All of it is about files as recovery will be given them by `repo wal get`: a segment that stands in the archive whole, or the part of
/// one that `repo wal receive` had when it was last seen.
public protocol LogView {
    var segmentSize: WALSegmentSize { get }

    /// Timelines that have a segment or a history, ascending.
    var timelines: [UInt32] { get }

    /// How a timeline came about; nil where the archive has no history of it, and it is not the first.
    func history(of timeline: UInt32) throws -> TimelineHistory?

    /// Which segments of a timeline there are.
    func extent(of timeline: UInt32) -> TimelineExtent

    /// What was read out of a segment when it was archived. Throws `.damaged` where that does not read.
    func facts(_ segment: WALSegment) throws -> WALFacts

    /// What a record is that begins in the first of these consecutive segments and ends, if it does, in the last.
    ///
    /// - Parameter start: where the second segment begins.
    /// Throws `.damaged` where they do not fit each other.
    func crossing(_ facts: [WALFacts], start: LogSequenceNumber) throws -> CrossingRecord

    /// Reads the log itself: whole records of consecutive segments from `position`, where one begins. Throws `.damaged` where it does not read.
    ///
    /// - Parameters:
    ///   - end: nothing that ends behind this counts.
    ///   - body: told of each in the log's order; returns false to end the scan.
    /// - Returns: the last whole record that was met; nil when there was none.
    func scan(
        _ segments: [WALSegment], from position: LogSequenceNumber, to end: LogSequenceNumber,
        _ body: (WALEvent) -> Bool
    ) throws -> LogRecordSpan?
}

/// Where a record begins, and the position behind it.
public struct LogRecordSpan: Hashable, Sendable {
    public var position: LogSequenceNumber
    public var end: LogSequenceNumber

    public init(position: LogSequenceNumber, end: LogSequenceNumber) { (self.position, self.end) = (position, end) }
}

/// A record that crosses from one segment into the next.
public enum CrossingRecord: Hashable, Sendable {
    /// There is none, or it was never completed.
    case none
    case transactionEnd(WALTransactionEnd)
    /// Something that planning has no interest in.
    case other
    /// It goes on behind the last of the segments.
    case continues
    /// What is known of the segments does not tell: they have to be read.
    case unknown
}
