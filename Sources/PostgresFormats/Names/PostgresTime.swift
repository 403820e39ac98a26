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

    public var fileTime: FileTime {
        let seconds = microseconds >= 0 ? microseconds / 1_000_000 : -((-microseconds + 999_999) / 1_000_000)
        return FileTime(seconds: seconds + Self.epoch, nanoseconds: UInt32(microseconds - seconds * 1_000_000) * 1000)
    }

    public static func < (a: PostgresTime, b: PostgresTime) -> Bool { a.microseconds < b.microseconds }
}
