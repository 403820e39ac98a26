import Testing

@testable import Policy

@Suite struct DurationTests {
    @Test(arguments: [
        ("2y5m7d3h", "2y5m7d3h"), ("7d", "7d"), ("36h", "36h"), ("14m", "1y2m"), ("2w", "14d"),
        ("1w1d", "8d"),
        ("3h1y", "1y3h"), ("0y5d", "5d"), ("9999999h", "9999999h"),
    ])
    func calendarSpansAreReadAndPrinted(text: String, printed: String) throws {
        #expect(try CalendarSpan(text).description == printed)
    }

    @Test(arguments: [
        "", "d", "7", "7x", "7d7d", "-7d", "7 d", "7D", "1.5d", "0d", "10000000d", "7d3", "٣d", "7s",
    ])
    func malformedCalendarSpansAreRefused(text: String) {
        #expect { try CalendarSpan(text) } throws: { error in
            guard case .notADuration(let named, _)? = error as? TimeError else { return false }
            return named == text
        }
    }

    @Test(arguments: [
        ("30d", 2_592_000), ("12h", 43_200), ("15m", 900), ("90s", 90), ("1h30m", 5400), ("0s", 0),
        ("1w", 604_800),
    ])
    func elapsedTimesAreRead(text: String, seconds: Int) throws {
        #expect(try ElapsedTime.parse(text) == .seconds(seconds))
    }

    @Test(arguments: ["", "5", "m", "1y", "5m5m", "-5m", "5 m", "99999999s"])
    func malformedElapsedTimesAreRefused(text: String) {
        #expect(throws: TimeError.self) { try ElapsedTime.parse(text) }
    }

    @Test func nothingIsNegative() {
        #expect(CalendarSpan(years: -1) == nil)
        #expect(CalendarSpan(hours: 10_000_000) == nil)
        #expect(CalendarSpan(years: 1, months: 2) == CalendarSpan(months: 14))
    }

    @Test(arguments: [
        // Calendar months, clamped to the last day.
        ("UTC", "2023-03-31T10:00:00Z", "1m", "2023-02-28T10:00:00Z"),
        ("UTC", "2024-02-29T10:00:00Z", "1y", "2023-02-28T10:00:00Z"),
        ("UTC", "2024-02-29T10:00:00Z", "1y1m", "2023-01-29T10:00:00Z"),
        ("UTC", "2023-03-30T10:00:00.25Z", "1m2d", "2023-02-26T10:00:00.25Z"),
        // A day of 23 hours, and one of 25: the same time on the clock.
        ("Europe/Berlin", "2022-03-27T12:00:00+02:00", "1d", "2022-03-26T12:00:00+01:00"),
        ("Europe/Berlin", "2022-10-30T12:00:00+01:00", "1d", "2022-10-29T12:00:00+02:00"),
        // Hours pass as they pass.
        ("Europe/Berlin", "2022-03-27T12:00:00+02:00", "24h", "2022-03-26T11:00:00+01:00"),
        ("Europe/Berlin", "2022-10-30T12:00:00+01:00", "24h", "2022-10-29T13:00:00+02:00"),
        ("Europe/Berlin", "2022-10-30T02:30:00+01:00", "1h", "2022-10-30T02:30:00+02:00"),
        // Back to a time that came twice: the earlier; to one that was jumped over: the jump.
        ("Europe/Berlin", "2022-10-31T02:30:00+01:00", "1d", "2022-10-30T02:30:00+02:00"),
        ("Europe/Berlin", "2022-03-28T02:30:00+02:00", "1d", "2022-03-27T03:00:00+02:00"),
        ("Europe/Berlin", "2022-03-28T02:30:00.5+02:00", "1d1h", "2022-03-27T01:00:00+01:00"),
        // Kolkata's months begin at 18:30 UTC.
        ("Asia/Kolkata", "2023-03-31T20:00:00Z", "1m", "2023-02-28T20:00:00Z"),
        ("Pacific/Apia", "2011-12-31T12:00:00+14:00", "1d", "2011-12-31T00:00:00+14:00"),
        ("Pacific/Apia", "2011-12-31T12:00:00+14:00", "2d", "2011-12-29T12:00:00-10:00"),
        ("UTC", "2023-03-31T10:00:00Z", "9999y", "0001-01-02T00:00:00Z"),
        ("Europe/Berlin", "2023-03-31T10:00:00Z", "9999999y9999999m9999999d9999999h", "0001-01-02T00:00:00Z"),
    ])
    func spansReachBackOnTheCalendar(name: String, from: String, span: String, to: String) throws {
        let before = try CalendarSpan(span).before(moment(from), in: SystemZone(name))
        #expect(TimeText.utc(before) == TimeText.utc(try moment(to)))
    }
}
