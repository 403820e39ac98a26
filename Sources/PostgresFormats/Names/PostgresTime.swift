public import RepoBase

/// `TimestampTz`: microseconds since 2000-01-01 00:00:00 UTC (datatype/timestamp.h), with no leap seconds.
public struct PostgresTime: Hashable, Comparable, Sendable {
    public var microseconds: Int64

    public init(microseconds: Int64) { self.microseconds = microseconds }

    /// Seconds from 1970 to 2000.
    private static let epoch: Int64 = 946_684_800

    /// Nanoseconds below a microsecond are cut off.
    public init(_ time: FileTime) {
        microseconds = (time.seconds - Self.epoch) * 1_000_000 + Int64(time.nanoseconds / 1000)
    }

    /// From a `pg_time_t`; one that has no `TimestampTz` becomes the nearest that there is.
    init(unixSeconds: Int64) {
        let (seconds, below) = unixSeconds.subtractingReportingOverflow(Self.epoch)
        let (product, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000)
        microseconds = below || overflow ? (unixSeconds < 0 ? .min : .max) : product
    }

    public var fileTime: FileTime {
        // The floor, without a step that overflows: a hostile record can hold any number.
        let seconds = microseconds / 1_000_000 - (microseconds % 1_000_000 < 0 ? 1 : 0)
        return FileTime(seconds: seconds + Self.epoch, nanoseconds: UInt32(microseconds - seconds * 1_000_000) * 1000)
    }

    public static func < (a: PostgresTime, b: PostgresTime) -> Bool { a.microseconds < b.microseconds }
}
