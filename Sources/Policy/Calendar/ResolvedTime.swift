/// A time that somebody wrote, and what it was taken to mean.
public struct ResolvedTime: Hashable, Sendable {
    public let timestamp: Timestamp
    /// The second moment at which the clocks showed what was written, where they showed it twice; `timestamp`
    /// is then the earlier.
    public let laterReading: Timestamp?
    /// No zone was written and the given one was used: print the time in UTC, so that the user sees it.
    public let zoneWasAssumed: Bool

    /// Reads a time as the command line takes it:
    ///
    /// - RFC 3339: `2026-11-03T02:30:00Z`, `2026-11-03T02:30:00.5+01:00`
    /// - `2026-11-03 02:30:00.123456`, alone or followed by `Z`, an offset (`+01`, `+0100`, `+01:00`) or the
    ///   name of a zone (`Europe/Berlin`); seconds may be left out
    /// - `2026-11-03`: the start of that day, in the given zone
    /// - `now`
    ///
    /// Without a zone the clocks of `zone` are meant. Where they showed the time twice it is the earlier (see
    /// `laterReading`); where they never showed it `TimeError.skippedLocalTime` names the neighbours. Throws
    /// `TimeError` for everything else that is not a time. There are no leap seconds in POSIX time, so second
    /// 60 is refused with the two moments to choose from.
    public static func parse(
        _ text: String, now: Timestamp, zone: any ZoneOffsets
    ) throws(TimeError) -> ResolvedTime {
        if text == "now" {
            return ResolvedTime(timestamp: now, laterReading: nil, zoneWasAssumed: false)
        }
        var scanner = TimeScanner(text)
        let date = try scanner.date()
        if scanner.isAtEnd { return try startOfDay(date, written: text, in: zone) }
        let time = try scanner.timeOfDay(on: date)
        let writtenZone = try scanner.zone()

        let clocks = writtenZone ?? zone
        var later: Timestamp?
        let moment: Timestamp
        switch time.occurrence(in: clocks) {
        case .once(let only): moment = only
        case .twice(let earlier, let second): (moment, later) = (earlier, second)
        case .never(let before, let after): throw skipped(text, clocks, before, after)
        }
        try requireInRange(moment, showing: time, in: clocks, written: text)
        return ResolvedTime(timestamp: moment, laterReading: later, zoneWasAssumed: writtenZone == nil)
    }

    /// What to tell the user about a time that came twice; nil for any other.
    public var note: String? {
        laterReading.map {
            """
            the clocks showed this time twice; taken as the earlier, \(TimeText.utc(timestamp)); \
            the later is \(TimeText.utc($0))
            """
        }
    }

    /// Midnight, or the moment to which the clocks jumped over midnight. A day that was left out altogether
    /// (30 December 2011 in Samoa) has no start.
    private static func startOfDay(
        _ date: CivilDate, written text: String, in zone: any ZoneOffsets
    ) throws(TimeError) -> ResolvedTime {
        let midnight = CivilTime(label: date.daysSince1970 * 86_400, nanosecond: 0)
        let occurrence = midnight.occurrence(in: zone)
        let moment = occurrence.first
        if case .never(let before, let after) = occurrence, CivilTime(after, in: zone).date != date {
            throw skipped(text, zone, before, after)
        }
        if case .never = occurrence {
            return ResolvedTime(timestamp: moment, laterReading: nil, zoneWasAssumed: true)
        }
        try requireInRange(moment, showing: midnight, in: zone, written: text)
        return ResolvedTime(timestamp: moment, laterReading: nil, zoneWasAssumed: true)
    }

    private static func skipped(
        _ text: String, _ zone: any ZoneOffsets, _ before: Timestamp, _ after: Timestamp
    ) -> TimeError {
        .skippedLocalTime(
            text: text, zone: zone.name, before: TimeText.local(before, in: zone),
            after: TimeText.local(after, in: zone))
    }

    /// `occurrence` moves what lies beyond the range to its ends; what was written must not be moved.
    private static func requireInRange(
        _ moment: Timestamp, showing time: CivilTime, in zone: any ZoneOffsets, written text: String
    ) throws(TimeError) {
        guard CivilTime(moment, in: zone) == time else { throw .outOfRange("\"\(text)\"") }
    }
}

/// Reads the parts of a written time from left to right.
private struct TimeScanner {
    private let text: String
    private var rest: Substring.UTF8View

    init(_ text: String) {
        self.text = text
        rest = text[...].utf8
    }

    var isAtEnd: Bool { rest.isEmpty }

    mutating func date() throws(TimeError) -> CivilDate {
        let year = try number(digits: 4)
        try expect("-")
        let month = try number(digits: 2)
        try expect("-")
        let day = try number(digits: 2)
        guard let date = CivilDate(year: year, month: month, day: day) else {
            throw noSuchTime(
                (1...12).contains(month)
                    ? "month \(month) of \(year) has days 1 to \(CivilDate.daysIn(month: month, of: year))"
                    : "months are 01 to 12")
        }
        return date
    }

    mutating func timeOfDay(on date: CivilDate) throws(TimeError) -> CivilTime {
        guard take("T") || take("t") || take(" ") else { throw .notATime(text) }
        let hour = try number(digits: 2)
        try expect(":")
        let minute = try number(digits: 2)
        var second = 0
        var nanosecond: Int32 = 0
        if take(":") {
            second = try number(digits: 2)
            if take(".") { nanosecond = try fraction() }
        }
        if second == 60 {
            throw noSuchTime("leap seconds are not counted; write second 59, or the next minute")
        }
        guard
            let time = CivilTime(
                date: date, hour: hour, minute: minute, second: second, nanosecond: nanosecond)
        else { throw noSuchTime("hours are 00 to 23, minutes and seconds 00 to 59") }
        return time
    }

    /// Nil where none is written. Takes everything that is left.
    mutating func zone() throws(TimeError) -> (any ZoneOffsets)? {
        if isAtEnd { return nil }
        let afterSpace = take(" ")
        if let sign = rest.first, sign == UInt8(ascii: "+") || sign == UInt8(ascii: "-") {
            rest.removeFirst()
            return try offset(east: sign == UInt8(ascii: "+"))
        }
        let name = String(Substring(rest))
        if name == "Z" || name == "z" { return FixedOffset.utc }
        guard afterSpace, !name.isEmpty else { throw .notATime(text) }
        return try SystemZone(name)
    }

    private mutating func offset(east: Bool) throws(TimeError) -> FixedOffset {
        let hours = try number(digits: 2)
        var minutes = 0
        if !isAtEnd {
            _ = take(":")
            minutes = try number(digits: 2)
        }
        guard isAtEnd else { throw .notATime(text) }
        let seconds = hours * 3600 + minutes * 60
        guard minutes < 60, let offset = FixedOffset(secondsEast: east ? seconds : -seconds) else {
            throw noSuchTime("offsets stay below 16 hours")
        }
        return offset
    }

    /// One to nine digits after the point.
    private mutating func fraction() throws(TimeError) -> Int32 {
        var value: Int32 = 0
        var digits = 0
        while let byte = rest.first, let digit = Self.digit(byte) {
            guard digits < 9 else { throw noSuchTime("a nanosecond is the finest there is") }
            value = value * 10 + Int32(digit)
            digits += 1
            rest.removeFirst()
        }
        guard digits > 0 else { throw .notATime(text) }
        for _ in digits..<9 { value *= 10 }
        return value
    }

    private mutating func number(digits: Int) throws(TimeError) -> Int {
        var value = 0
        for _ in 0..<digits {
            guard let byte = rest.first, let digit = Self.digit(byte) else { throw .notATime(text) }
            value = value * 10 + digit
            rest.removeFirst()
        }
        return value
    }

    private mutating func take(_ character: Unicode.Scalar) -> Bool {
        guard rest.first == UInt8(ascii: character) else { return false }
        rest.removeFirst()
        return true
    }

    private mutating func expect(_ character: Unicode.Scalar) throws(TimeError) {
        guard take(character) else { throw .notATime(text) }
    }

    private static func digit(_ byte: UInt8) -> Int? {
        (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) ? Int(byte - UInt8(ascii: "0")) : nil
    }

    private func noSuchTime(_ reason: String) -> TimeError { .noSuchTime(text: text, reason: reason) }
}
