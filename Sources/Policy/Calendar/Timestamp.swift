import RepoBase

/// A moment, counted as POSIX counts it: seconds since 1970-01-01T00:00:00Z without leap seconds, and
/// nanoseconds within the second.
///
/// Kept between 0001-01-02 and 9999-12-30 (UTC), so that it has a four-digit year in every zone and no
/// arithmetic on it can overflow.
public struct Timestamp: Hashable, Comparable, Sendable {
    /// Whole seconds since 1970-01-01T00:00:00Z, rounded down.
    public let seconds: Int64
    /// 0 to 999,999,999.
    public let nanoseconds: Int32

    /// 0001-01-02T00:00:00Z.
    public static let earliest = Timestamp(uncheckedSeconds: FileTime.recordedSeconds.lowerBound, nanoseconds: 0)
    /// 9999-12-30T23:59:59.999999999Z.
    public static let latest = Timestamp(
        uncheckedSeconds: FileTime.recordedSeconds.upperBound, nanoseconds: 999_999_999)

    /// Throws `TimeError.outOfRange` outside `earliest...latest`, or when `nanoseconds` is not within a
    /// second.
    public init(seconds: Int64, nanoseconds: Int32 = 0) throws(TimeError) {
        let inRange = (Self.earliest.seconds...Self.latest.seconds).contains(seconds)
        guard inRange, (0..<1_000_000_000).contains(nanoseconds) else {
            throw .outOfRange("\(seconds) s and \(nanoseconds) ns since 1970")
        }
        self.init(uncheckedSeconds: seconds, nanoseconds: nanoseconds)
    }

    /// The nearest moment of the range.
    init(clamping seconds: Int64, nanoseconds: Int32) {
        if seconds < Self.earliest.seconds {
            self = Self.earliest
        } else if seconds > Self.latest.seconds {
            self = Self.latest
        } else {
            self.init(uncheckedSeconds: seconds, nanoseconds: nanoseconds)
        }
    }

    private init(uncheckedSeconds: Int64, nanoseconds: Int32) {
        self.seconds = uncheckedSeconds
        self.nanoseconds = nanoseconds
    }

    public static func < (left: Timestamp, right: Timestamp) -> Bool {
        (left.seconds, left.nanoseconds) < (right.seconds, right.nanoseconds)
    }
}
