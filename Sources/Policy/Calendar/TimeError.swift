/// Why a time, a zone or a duration could not be understood. Each description names the text, the reason and
/// what to write instead.
public enum TimeError: Error, Hashable, Sendable, CustomStringConvertible {
    /// Not of any accepted form.
    case notATime(String)
    /// The form is right, a field is not: month 13, 30 February, hour 24, a leap second.
    case noSuchTime(text: String, reason: String)
    /// A local time that the clocks of the zone jumped over; `before` and `after` are its neighbours, with
    /// offset.
    case skippedLocalTime(text: String, zone: String, before: String, after: String)
    /// Before year 1 or after year 9999.
    case outOfRange(String)
    /// Neither in the time zone database nor an offset.
    case unknownZone(String)
    /// Not a number and unit, or pairs of them.
    case notADuration(text: String, expected: String)

    public var description: String {
        switch self {
        case .notATime(let text):
            """
            "\(text)" is not a time; write RFC 3339 (2026-11-03T02:30:00Z), "2026-11-03 02:30:00" with or \
            without a zone, 2026-11-03 for the start of that day, or now
            """
        case .noSuchTime(let text, let reason):
            "\"\(text)\" is not a time that exists: \(reason)"
        case .skippedLocalTime(let text, let zone, let before, let after):
            """
            "\(text)" does not exist in \(zone): the clocks went from \(before) to \(after); \
            name one of these, or give the offset
            """
        case .outOfRange(let text):
            "\(text) lies outside the years 1 to 9999"
        case .unknownZone(let text):
            "unknown time zone \"\(text)\"; write a name such as Europe/Berlin, or an offset such as +01:00"
        case .notADuration(let text, let expected):
            "\"\(text)\" is not a duration; \(expected)"
        }
    }
}
