import Foundation
import Testing

@testable import Policy

@Suite struct ZoneTests {
    static let databasePath = "/usr/share/zoneinfo/"
    static var hasDatabase: Bool { FileManager.default.fileExists(atPath: databasePath + "Europe/Berlin") }

    @Test(.enabled(if: hasDatabase, "needs the tzdata package"), arguments: zoneNames)
    func offsetsAgreeWithTheCompiledDatabase(name: String) throws {
        let zone = try SystemZone(name)
        let transitions = try CompiledZone(path: Self.databasePath + name).transitions
        #expect(name == "UTC" || transitions.count > 5)
        // Before 1900 there is only local mean time; after 2037 the file has a rule instead of transitions.
        for (index, transition) in transitions.enumerated() where transition.seconds > -2_208_988_800 {
            #expect(zone.secondsEastOfUTC(at: transition.seconds) == transition.offset, "\(transition)")
            if index > 0 {
                let before = transitions[index - 1].offset
                #expect(zone.secondsEastOfUTC(at: transition.seconds - 1) == before, "before \(transition)")
            }
        }
    }

    @Test(arguments: zoneNames) func everyMomentIsAmongThoseThatShowItsTime(name: String) throws {
        let zone = try SystemZone(name)
        var numbers = SeededNumbers(seed: 1)
        var twice = 0
        for transition in changes(of: zone, from: 2008, to: 2024) {
            for _ in 0..<200 {
                let timestamp = try Timestamp(
                    seconds: transition + Int64.random(in: -8000...8000, using: &numbers),
                    nanoseconds: Int32.random(in: 0..<1_000_000_000, using: &numbers))
                switch CivilTime(timestamp, in: zone).occurrence(in: zone) {
                case .once(let only): #expect(only == timestamp)
                case .twice(let earlier, let later):
                    twice += 1
                    #expect(earlier < later && [earlier, later].contains(timestamp))
                    #expect(CivilTime(earlier, in: zone) == CivilTime(later, in: zone))
                case .never: Issue.record("\(TimeText.utc(timestamp)) was shown in \(name)")
                }
            }
        }
        #expect((twice > 0) == !["UTC", "Asia/Kolkata"].contains(name))
    }

    /// Zone, local time, and the UTC moments at which the clocks show it or, after "jump", between which it
    /// is missed.
    @Test(arguments: [
        ("Europe/Berlin", "2022-10-30T01:59:59", "2022-10-29T23:59:59Z"),
        ("Europe/Berlin", "2022-10-30T02:00:00", "2022-10-30T00:00:00Z 2022-10-30T01:00:00Z"),
        ("Europe/Berlin", "2022-10-30T02:59:59", "2022-10-30T00:59:59Z 2022-10-30T01:59:59Z"),
        ("Europe/Berlin", "2022-10-30T03:00:00", "2022-10-30T02:00:00Z"),
        ("Europe/Berlin", "2022-03-27T01:59:59", "2022-03-27T00:59:59Z"),
        ("Europe/Berlin", "2022-03-27T02:00:00", "jump 2022-03-27T00:59:59Z 2022-03-27T01:00:00Z"),
        ("Europe/Berlin", "2022-03-27T02:59:59", "jump 2022-03-27T00:59:59Z 2022-03-27T01:00:00Z"),
        ("Europe/Berlin", "2022-03-27T03:00:00", "2022-03-27T01:00:00Z"),
        ("America/New_York", "2022-11-06T01:30:00", "2022-11-06T05:30:00Z 2022-11-06T06:30:00Z"),
        ("America/New_York", "2022-03-13T02:30:00", "jump 2022-03-13T06:59:59Z 2022-03-13T07:00:00Z"),
        ("Australia/Lord_Howe", "2022-04-03T01:29:59", "2022-04-02T14:29:59Z"),
        ("Australia/Lord_Howe", "2022-04-03T01:30:00", "2022-04-02T14:30:00Z 2022-04-02T15:00:00Z"),
        ("Australia/Lord_Howe", "2022-04-03T02:00:00", "2022-04-02T15:30:00Z"),
        ("Australia/Lord_Howe", "2022-10-02T02:15:00", "jump 2022-10-01T15:29:59Z 2022-10-01T15:30:00Z"),
        ("Pacific/Apia", "2011-12-30T12:00:00", "jump 2011-12-30T09:59:59Z 2011-12-30T10:00:00Z"),
        ("Pacific/Apia", "2011-12-31T00:00:00", "2011-12-30T10:00:00Z"),
        ("Asia/Kolkata", "2022-11-03T05:30:00", "2022-11-03T00:00:00Z"),
        // Clocks went from 00:01 back to 23:01 of the day before.
        ("America/St_Johns", "2010-11-06T23:30:00", "2010-11-07T02:00:00Z 2010-11-07T03:00:00Z"),
    ])
    func localTimesAreFoundThroughChangesOfTheClocks(name: String, local: String, expected: String) throws {
        let zone = try SystemZone(name)
        let occurrence = CivilTime(try moment(local + "Z"), in: FixedOffset.utc).occurrence(in: zone)
        let found =
            switch occurrence {
            case .once(let only): TimeText.utc(only)
            case .twice(let earlier, let later): "\(TimeText.utc(earlier)) \(TimeText.utc(later))"
            case .never(let before, let after): "jump \(TimeText.utc(before)) \(TimeText.utc(after))"
            }
        #expect(found == expected)
    }

    @Test(arguments: ["", "Nowhere/Land", "GMT+2", "UTC-3", "utc+1", "CET-1CEST,M3.5.0,M10.5.0/3", "+01:00"])
    func namesThatAreNotInTheDatabaseAreRefused(name: String) {
        #expect(throws: TimeError.unknownZone(name)) { try SystemZone(name) }
    }

    @Test func theMachinesZoneFollowsTZ() throws {
        #expect(try SystemZone.machine(tz: "Asia/Kolkata").name == "Asia/Kolkata")
        #expect(try SystemZone.machine(tz: ":Asia/Kolkata").name == "Asia/Kolkata")
        #expect(try SystemZone.machine(tz: "").secondsEastOfUTC(at: 1_700_000_000) == 0)
        #expect(throws: TimeError.unknownZone("CET-1CEST")) { try SystemZone.machine(tz: "CET-1CEST") }
        // In the database, as in POSIX, plus is west.
        #expect(try SystemZone("Etc/GMT+2").secondsEastOfUTC(at: 0) == -7200)
    }

    @Test func fixedOffsetsAreBounded() {
        #expect(FixedOffset(secondsEast: 16 * 3600) == nil)
        #expect(FixedOffset(secondsEast: -16 * 3600 + 1) != nil)
        #expect(FixedOffset(secondsEast: -9000)?.name == "-02:30")
        #expect(FixedOffset.utc.name == "UTC")
    }
}

/// The moments at which the clocks of `zone` are changed, found by looking every quarter of an hour.
func changes(of zone: any ZoneOffsets, from firstYear: Int, to lastYear: Int) -> [Int64] {
    guard let first = CivilDate(year: firstYear, month: 1, day: 1),
        let last = CivilDate(year: lastYear, month: 12, day: 31)
    else { return [] }
    let moments = stride(from: first.daysSince1970 * 86_400, to: last.daysSince1970 * 86_400, by: 900)
    return moments.map(Int64.init).filter {
        zone.secondsEastOfUTC(at: $0) != zone.secondsEastOfUTC(at: $0 - 900)
    }
}

/// The transitions of a compiled time zone file, version 2 or later (RFC 9636, section 3).
private struct CompiledZone {
    let transitions: [(seconds: Int64, offset: Int)]

    init(path: String) throws {
        let bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
        func number(_ at: Int, _ width: Int) -> Int64 {
            let unsigned = bytes[at..<at + width].reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
            return width == 8 ? Int64(bitPattern: unsigned) : Int64(Int32(truncatingIfNeeded: unsigned))
        }
        func counts(_ header: Int) -> [Int] { (0..<6).map { Int(number(header + 20 + 4 * $0, 4)) } }
        // utc flags, standard flags, leap seconds, transitions, types, characters
        let old = counts(0)
        let second = 44 + old[3] * 5 + old[4] * 6 + old[5] + old[2] * 8 + old[1] + old[0]
        let new = counts(second)
        let times = second + 44
        let kinds = times + new[3] * 8
        let types = kinds + new[3]
        transitions = (0..<new[3]).map { index in
            let type = types + 6 * Int(bytes[kinds + index])
            return (number(times + 8 * index, 8), Int(number(type, 4)))
        }
    }
}
