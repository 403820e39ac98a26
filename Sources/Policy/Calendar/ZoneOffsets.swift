/// What the clocks on the wall show: how far they are from UTC at each moment.
public protocol ZoneOffsets: Sendable {
    /// For messages: `Europe/Berlin`, `+05:30`.
    var name: String { get }

    /// Seconds to add to UTC at `seconds` since 1970-01-01T00:00:00Z to get local time; east is positive.
    /// Less than 16 hours either way. Called once per snapshot, so it should take microseconds at most.
    func secondsEastOfUTC(at seconds: Int64) -> Int
}

/// A zone whose clocks never change.
public struct FixedOffset: ZoneOffsets, Hashable {
    /// Seconds east of UTC.
    public let secondsEast: Int

    public static let utc = FixedOffset(uncheckedSecondsEast: 0)

    /// Nil at 16 hours and beyond, which no place has ever had.
    public init?(secondsEast: Int) {
        guard abs(secondsEast) < 16 * 3600 else { return nil }
        self.init(uncheckedSecondsEast: secondsEast)
    }

    private init(uncheckedSecondsEast: Int) {
        secondsEast = uncheckedSecondsEast
    }

    public var name: String { secondsEast == 0 ? "UTC" : TimeText.offset(secondsEast) }

    public func secondsEastOfUTC(at seconds: Int64) -> Int { secondsEast }
}
