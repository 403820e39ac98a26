/// A length of calendar time such as `2y5m7d3h`: years, months, days and hours, as restic writes them.
/// `m` means months here; for minutes see `ElapsedTime`.
public struct CalendarSpan: Hashable, Sendable, CustomStringConvertible {
    public let months: Int
    public let days: Int
    public let hours: Int

    /// No part may be negative or above 9,999,999; nil otherwise.
    public init?(years: Int = 0, months: Int = 0, days: Int = 0, hours: Int = 0) {
        let parts = [years, months, days, hours]
        guard parts.allSatisfy({ (0...Self.largestPart).contains($0) }) else { return nil }
        self.months = years * 12 + months
        self.days = days
        self.hours = hours
    }

    private static let largestPart = 9_999_999

    /// Reads numbers each followed by its unit, `y`, `m` (months), `w`, `d` or `h`, each unit once, in any
    /// order. Weeks are an addition to restic's units. Throws `TimeError.notADuration`, also for a length of
    /// nothing.
    public init(_ text: String) throws(TimeError) {
        let expected = "write numbers with units y, m (months), w, d, h, as in 2y5m7d3h"
        var parts: [Character: Int] = [:]
        for (number, unit) in try numbersWithUnits(text, expected: expected) {
            guard "ymwdh".contains(unit), parts.updateValue(number, forKey: unit) == nil else {
                throw .notADuration(text: text, expected: expected)
            }
        }
        guard
            let span = CalendarSpan(
                years: parts["y", default: 0], months: parts["m", default: 0],
                days: parts["d", default: 0] + 7 * parts["w", default: 0], hours: parts["h", default: 0]),
            span.months + span.days + span.hours > 0
        else { throw .notADuration(text: text, expected: expected) }
        self = span
    }

    /// As restic prints it: `2y5m7d3h`.
    public var description: String {
        let parts = [(months / 12, "y"), (months % 12, "m"), (days, "d"), (hours, "h")]
        let text = parts.filter { $0.0 > 0 }.map { "\($0.0)\($0.1)" }.joined()
        return text.isEmpty ? "0h" : text
    }

    /// The moment this long before `timestamp`: first months back on the calendar of `zone`, to the last day
    /// where the month is too short (31 March less a month is 28 or 29 February), then days to the same time
    /// on the clock, then hours as they pass. Where the clocks showed that time twice it is the earlier,
    /// where they jumped over it the jump; never before `Timestamp.earliest`.
    ///
    /// restic lets 31 February run on to 3 March; the last day of February keeps what is asked for and no
    /// less.
    public func before(_ timestamp: Timestamp, in zone: any ZoneOffsets) -> Timestamp {
        var moment = timestamp
        if months > 0 || days > 0 {
            let local = CivilTime(timestamp, in: zone)
            let date = local.date.adding(months: -months).daysSince1970 - days
            let label = date * 86_400 + local.label - local.date.daysSince1970 * 86_400
            // Far before year 1 no zone database needs to be asked.
            guard label > Int(Timestamp.earliest.seconds) else { return .earliest }
            moment = CivilTime(label: label, nanosecond: local.nanosecond).occurrence(in: zone).first
        }
        return Timestamp(clamping: moment.seconds - Int64(hours) * 3600, nanoseconds: moment.nanoseconds)
    }
}

/// A length of time as it passes, for schedules and limits: `15m` is fifteen minutes.
public enum ElapsedTime {
    /// Reads numbers each followed by its unit, `s`, `m` (minutes), `h`, `d` (24 hours) or `w` (7 of those),
    /// each unit once, in any order. Throws `TimeError.notADuration`.
    public static func parse(_ text: String) throws(TimeError) -> Duration {
        let expected = "write numbers with units s, m (minutes), h, d, w, as in 30d or 1h30m"
        let secondsPerUnit: [Character: Int] = ["s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800]
        var units: Set<Character> = []
        var total = 0
        for (number, unit) in try numbersWithUnits(text, expected: expected) {
            guard let seconds = secondsPerUnit[unit], units.insert(unit).inserted else {
                throw .notADuration(text: text, expected: expected)
            }
            total += number * seconds
        }
        return .seconds(total)
    }
}

/// At least one pair of a number of one to seven digits and the character after it.
private func numbersWithUnits(
    _ text: String, expected: String
) throws(TimeError) -> [(number: Int, unit: Character)] {
    var pairs: [(number: Int, unit: Character)] = []
    var digits = ""
    for character in text {
        if character.isASCII, character.isNumber {
            digits.append(character)
        } else {
            guard digits.count <= 7, let number = Int(digits) else {
                throw .notADuration(text: text, expected: expected)
            }
            pairs.append((number, character))
            digits = ""
        }
    }
    guard digits.isEmpty, !pairs.isEmpty else { throw .notADuration(text: text, expected: expected) }
    return pairs
}
