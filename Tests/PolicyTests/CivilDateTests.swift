import Glibc
import Testing

@testable import Policy

@Suite struct CivilDateTests {
    @Test func everyDayOfTenThousandYearsFollowsTheOneBefore() throws {
        var date = try #require(CivilDate(year: -1, month: 1, day: 1))
        var days = date.daysSince1970
        while date.year < 10_001 {
            // What follows by the rules of the calendar, one field at a time.
            let leap = (date.year % 4 == 0 && date.year % 100 != 0) || date.year % 400 == 0
            let lengths = [31, leap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
            var (year, month, day) = (date.year, date.month, date.day + 1)
            if day > lengths[month - 1] { (month, day) = (month + 1, 1) }
            if month > 12 { (year, month) = (year + 1, 1) }
            days += 1
            date = CivilDate(daysSince1970: days)
            guard (date.year, date.month, date.day) == (year, month, day), date.daysSince1970 == days else {
                Issue.record("day \(days) is \(date), not \(year)-\(month)-\(day)")
                return
            }
        }
    }

    @Test func weeksAgreeWithTheCLibrary() {
        // Every day of two whole cycles of the calendar, 1600 to 2400.
        for days in -135_140..<157_054 {
            let date = CivilDate(daysSince1970: days)
            var seconds = time_t(days) * 86_400
            var broken = tm()
            gmtime_r(&seconds, &broken)
            var text = [CChar](repeating: 0, count: 32)
            let length = strftime(&text, text.count, "%G %V %u %Y-%m-%d", &broken)
            let expected = String(decoding: text[..<length].map { UInt8(bitPattern: $0) }, as: UTF8.self)
            let week = date.isoWeek
            let actual =
                "\(week.year) \(TimeText.padded(week.week, to: 2)) \(date.weekday) \(TimeText.date(date))"
            guard actual == expected else {
                Issue.record("day \(days): \(actual), the C library has \(expected)")
                return
            }
        }
    }

    @Test(arguments: [(2023, 2, 29), (2100, 2, 29), (2024, 13, 1), (2024, 0, 1), (2024, 4, 31), (2024, 1, 0)])
    func datesThatDoNotExistAreRefused(year: Int, month: Int, day: Int) {
        #expect(CivilDate(year: year, month: month, day: day) == nil)
    }

    @Test(arguments: [
        ("2024-03-31", -1, "2024-02-29"), ("2023-03-31", -1, "2023-02-28"), ("2024-02-29", -12, "2023-02-28"),
        ("2024-02-29", -48, "2020-02-29"), ("2024-01-15", -1, "2023-12-15"),
        ("2024-01-31", -14, "2022-11-30"),
        ("2024-12-31", 2, "2025-02-28"), ("2024-05-31", 0, "2024-05-31"),
    ])
    func monthsAreAddedOnTheCalendarAndClamped(from: String, months: Int, to: String) throws {
        let start = CivilTime(try moment(from + "T00:00:00Z"), in: FixedOffset.utc).date
        #expect(TimeText.date(start.adding(months: months)) == to)
    }
}
