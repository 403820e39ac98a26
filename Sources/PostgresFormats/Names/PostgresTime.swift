public import RepoBase

/// `TimestampTz`: microseconds since 2000-01-01 00:00:00 UTC (datatype/timestamp.h), with no leap seconds.
public struct PostgresTime: Hashable, Comparable, Sendable {
    public var microseconds: Int64

    public init(microseconds: Int64) { self.microseconds = microseconds }

    /// Seconds from 1970 to 2000.
    private static let epoch: Int64 = 946_684_800

    /// Nanoseconds below a microsecond are cut off; a time that has no `TimestampTz` becomes the nearest that there is.
    public init(_ time: FileTime) {
        let seconds = Int128(time.seconds) - Int128(Self.epoch)
        microseconds = Int64(clamping: seconds * 1_000_000 + Int128(time.nanoseconds / 1000))
    }

    /// From a `pg_time_t`, in the same way.
    init(unixSeconds: Int64) { self.init(FileTime(seconds: unixSeconds, nanoseconds: 0)) }

    /// Any number converts: a hostile record can hold each.
    public var fileTime: FileTime {
        var (seconds, rest) = microseconds.quotientAndRemainder(dividingBy: 1_000_000)
        if rest < 0 { (seconds, rest) = (seconds - 1, rest + 1_000_000) }
        return FileTime(seconds: seconds + Self.epoch, nanoseconds: UInt32(rest) * 1000)
    }

    public static func < (a: PostgresTime, b: PostgresTime) -> Bool { a.microseconds < b.microseconds }
}
