import Testing

@testable import Policy

@Suite struct ResolvedTimeTests {
    private func parse(_ text: String, in zone: String = "Europe/Berlin") throws -> ResolvedTime {
        try ResolvedTime.parse(text, now: Timestamp(seconds: 1_700_000_000), zone: SystemZone(zone))
    }

    @Test(arguments: [
        ("2026-11-03T02:30:00Z", "2026-11-03T02:30:00Z", false),
        ("2026-11-03t02:30:00z", "2026-11-03T02:30:00Z", false),
        ("2026-11-03T02:30:00+01:00", "2026-11-03T01:30:00Z", false),
        ("2026-11-03T02:30:00-00:00", "2026-11-03T02:30:00Z", false),
        ("2026-11-03T02:30:00.123456789-05:30", "2026-11-03T08:00:00.123456789Z", false),
        ("2026-11-03 02:30:00", "2026-11-03T01:30:00Z", true),
        ("2026-11-03 02:30:00.123456", "2026-11-03T01:30:00.123456Z", true),
        ("2026-11-03 02:30", "2026-11-03T01:30:00Z", true),
        ("2026-11-03 02:30:00+01", "2026-11-03T01:30:00Z", false),
        ("2026-11-03 02:30:00.5 +0530", "2026-11-02T21:00:00.5Z", false),
        ("2026-11-03 02:30:00Z", "2026-11-03T02:30:00Z", false),
        ("2026-11-03 02:30:00 UTC", "2026-11-03T02:30:00Z", false),
        ("2026-11-03 02:30:00 America/New_York", "2026-11-03T07:30:00Z", false),
        ("2026-07-03", "2026-07-02T22:00:00Z", true),
        ("2024-02-29", "2024-02-28T23:00:00Z", true),
        ("now", "2023-11-14T22:13:20Z", false),
    ])
    func acceptedForms(text: String, expected: String, assumed: Bool) throws {
        let resolved = try parse(text)
        #expect(TimeText.utc(resolved.timestamp) == expected)
        #expect(resolved.zoneWasAssumed == assumed)
        #expect(resolved.laterReading == nil && resolved.note == nil)
    }

    @Test(arguments: [
        "", "yesterday", "Now", "2026", "2026-11", "2026-1-03", "2026-11-3", "26-11-03", "2026/11/03",
        "2026-11-03T",
        "2026-11-03 ", "2026-11-03  02:30:00", "2026-11-03T02", "2026-11-03T0230", "2026-11-03T02:30:00.",
        "2026-11-03T02:30:00,5Z", "2026-11-03T02:30:00Zz", "2026-11-03T02:30:00+1",
        "2026-11-03T02:30:00+01:0",
        "2026-11-03T02:30:00+01:00x", "2026-11-03T02:30:00CET", "2026-11-03Z", " 2026-11-03", "٢٠٢٦-11-03",
        "-2026-11-03", "2026-11-03 02:30:00 ", "2026-11-03T02:30:00+", "1700000000", "@1700000000",
    ])
    func textOfNoAcceptedFormIsRefused(text: String) {
        #expect(throws: TimeError.notATime(text)) { try parse(text) }
    }

    @Test(arguments: [
        ("2026-13-03", "months are 01 to 12"), ("2026-02-29", "month 2 of 2026 has days 1 to 28"),
        ("2026-04-31T00:00:00Z", "month 4 of 2026 has days 1 to 30"),
        ("2026-11-03T24:00:00Z", "hours are 00 to 23, minutes and seconds 00 to 59"),
        ("2026-11-03T23:60:00Z", "hours are 00 to 23, minutes and seconds 00 to 59"),
        ("2016-12-31T23:59:60Z", "leap seconds are not counted; write second 59, or the next minute"),
        ("2026-11-03T02:30:00+16:00", "offsets stay below 16 hours"),
        ("2026-11-03T02:30:00+01:60", "offsets stay below 16 hours"),
        ("2026-11-03T02:30:00.1234567890Z", "a nanosecond is the finest there is"),
    ])
    func fieldsOutOfRangeAreNamed(text: String, reason: String) {
        #expect(throws: TimeError.noSuchTime(text: text, reason: reason)) { try parse(text) }
    }

    @Test(arguments: ["0001-01-01T00:00:00Z", "9999-12-31T00:00:00Z", "0000-06-01", "0001-01-01"])
    func yearsBeyondTheRangeAreRefused(text: String) {
        #expect(throws: TimeError.outOfRange("\"\(text)\"")) { try parse(text) }
    }

    @Test func anUnknownZoneIsNamed() {
        #expect(throws: TimeError.unknownZone("Nowhere/Land")) {
            try parse("2026-11-03 02:30:00 Nowhere/Land")
        }
    }

    @Test func aTimeThatCameTwiceIsTheEarlierAndSaysSo() throws {
        let resolved = try parse("2026-10-25 02:30:00")
        #expect(TimeText.utc(resolved.timestamp) == "2026-10-25T00:30:00Z")
        #expect(resolved.laterReading == (try moment("2026-10-25T01:30:00Z")))
        #expect(
            resolved.note == """
                the clocks showed this time twice; taken as the earlier, 2026-10-25T00:30:00Z; \
                the later is 2026-10-25T01:30:00Z
                """)
    }

    @Test func aTimeThatNeverCameIsRefusedWithItsNeighbours() throws {
        let error = #expect(throws: TimeError.self) { try parse("2026-03-29 02:30:00") }
        #expect(
            error?.description == """
                "2026-03-29 02:30:00" does not exist in Europe/Berlin: the clocks went from \
                2026-03-29T01:59:59+01:00 to 2026-03-29T03:00:00+02:00; name one of these, or give the offset
                """)
    }

    @Test func aDayStartsWhereItsMidnightWasJumpedOver() throws {
        // Havana changes its clocks at midnight: 10 March 2024 began at 01:00.
        let spring = try parse("2024-03-10", in: "America/Havana")
        #expect(
            TimeText.local(spring.timestamp, in: try SystemZone("America/Havana"))
                == "2024-03-10T01:00:00-04:00")
        // In autumn midnight comes twice, and the day starts with the first.
        let autumn = try parse("2024-11-03", in: "America/Havana")
        #expect(
            TimeText.local(autumn.timestamp, in: try SystemZone("America/Havana"))
                == "2024-11-03T00:00:00-04:00")
    }

    @Test func aDayThatWasLeftOutHasNoStart() {
        #expect(
            throws: TimeError.skippedLocalTime(
                text: "2011-12-30", zone: "Pacific/Apia", before: "2011-12-29T23:59:59-10:00",
                after: "2011-12-31T00:00:00+14:00")
        ) { try parse("2011-12-30", in: "Pacific/Apia") }
    }

    @Test(arguments: zoneNames) func whatIsPrintedIsReadBack(name: String) throws {
        let zone = try SystemZone(name)
        var numbers = SeededNumbers(seed: 2)
        for _ in 0..<2000 {
            let timestamp = try Timestamp(
                seconds: Int64.random(
                    in: Timestamp.earliest.seconds...Timestamp.latest.seconds, using: &numbers),
                nanoseconds: Bool.random(using: &numbers)
                    ? 0 : Int32.random(in: 0..<1_000_000_000, using: &numbers))
            #expect(try moment(TimeText.utc(timestamp)) == timestamp)
            #expect(try moment(TimeText.local(timestamp, in: zone)) == timestamp)
        }
        for limit in [Timestamp.earliest, .latest] {
            #expect(try moment(TimeText.local(limit, in: zone)) == limit)
        }
    }

    @Test func momentsOutOfRangeCannotBeMade() {
        #expect(throws: TimeError.self) { try Timestamp(seconds: .max) }
        #expect(throws: TimeError.self) { try Timestamp(seconds: .min) }
        #expect(throws: TimeError.self) { try Timestamp(seconds: 0, nanoseconds: 1_000_000_000) }
        #expect(throws: TimeError.self) { try Timestamp(seconds: 0, nanoseconds: -1) }
        #expect(throws: TimeError.self) { try Timestamp(seconds: Timestamp.latest.seconds + 1) }
    }
}
