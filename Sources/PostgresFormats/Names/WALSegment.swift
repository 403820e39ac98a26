/// One segment of the log on one timeline. Its name depends on the cluster's segment size (`XLogFileName`, access/xlog_internal.h).
public struct WALSegment: Hashable, Comparable, Sendable {
    public var timeline: UInt32
    /// Counted from the log's beginning: a position divided by the segment size.
    public var number: UInt64

    public init(timeline: UInt32, number: UInt64) {
        self.timeline = timeline
        self.number = number
    }

    /// The segment that holds the byte at `position`.
    public init(timeline: UInt32, holding position: LogSequenceNumber, size: WALSegmentSize) {
        self.init(timeline: timeline, number: position.value / UInt64(size.bytes))
    }

    /// A name of 24 hexadecimal digits. Nil for anything else, and for a number that this segment size does not have.
    public init?(name: some StringProtocol, size: WALSegmentSize) {
        guard name.utf8.count == 24, name.allSatisfy({ $0.isHexDigit && !$0.isLowercase }),
            let timeline = UInt32(name.prefix(8), radix: 16), timeline > 0,
            let log = UInt32(name.dropFirst(8).prefix(8), radix: 16), let within = UInt32(name.suffix(8), radix: 16),
            UInt64(within) < size.segmentsPerLog
        else { return nil }
        let number = UInt64(log) * size.segmentsPerLog + UInt64(within)
        // The last number of all, whose end has no position, PostgreSQL will never reach.
        guard number < UInt64.max / UInt64(size.bytes) else { return nil }
        self.init(timeline: timeline, number: number)
    }

    public func name(_ size: WALSegmentSize) -> String {
        WALSegment.hexadecimal(timeline) + WALSegment.hexadecimal(UInt32(truncatingIfNeeded: number / size.segmentsPerLog))
            + WALSegment.hexadecimal(UInt32(number % size.segmentsPerLog))
    }

    /// The position of its first byte.
    public func start(_ size: WALSegmentSize) -> LogSequenceNumber { LogSequenceNumber(number * UInt64(size.bytes)) }
    /// The position behind its last byte.
    public func end(_ size: WALSegmentSize) -> LogSequenceNumber { LogSequenceNumber((number + 1) * UInt64(size.bytes)) }

    public var next: WALSegment { WALSegment(timeline: timeline, number: number + 1) }

    public static func < (a: WALSegment, b: WALSegment) -> Bool { (a.timeline, a.number) < (b.timeline, b.number) }

    /// Eight upper-case digits, as in all of PostgreSQL's file names.
    public static func hexadecimal(_ value: UInt32) -> String {
        let digits = String(value, radix: 16, uppercase: true)
        return String(repeating: "0", count: 8 - digits.count) + digits
    }
}

/// `wal_segment_size`: a power of two from 1 MiB to 1 GiB (`IsValidWalSegSize`, access/xlog_internal.h).
public struct WALSegmentSize: Hashable, Sendable {
    public let bytes: Int

    /// Nil for a size that PostgreSQL does not have.
    public init?(bytes: Int) {
        guard bytes >= 1 << 20, bytes <= 1 << 30, bytes & (bytes - 1) == 0 else { return nil }
        self.bytes = bytes
    }

    /// 16 MiB.
    public static let standard = WALSegmentSize(bytes: 16 << 20)!

    /// How many segments share the middle eight digits of their names.
    public var segmentsPerLog: UInt64 { (1 << 32) / UInt64(bytes) }
}
