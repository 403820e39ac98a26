import Glibc

/// Times as servers write them, in seconds since 1970.
enum HTTPTime {
    private static let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]

    /// `Sun, 06 Nov 1994 08:49:37 GMT`: the one form that senders may write (RFC 9110, section 5.6.7).
    static func parse(http text: String) -> Int64? {
        let words = text.split(separator: " ")
        guard words.count == 6, words[5] == "GMT", let month = months.firstIndex(of: String(words[2])) else { return nil }
        return seconds(words[3], month + 1, words[1], words[4])
    }

    /// As `parse(http:)` reads it.
    static func http(_ seconds: Int64) -> String {
        var time = time_t(seconds)
        var fields = tm()
        gmtime_r(&time, &fields)
        let day = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"][Int(fields.tm_wday)]
        let clock = "\(digits(fields.tm_hour, 2)):\(digits(fields.tm_min, 2)):\(digits(fields.tm_sec, 2))"
        return "\(day), \(digits(fields.tm_mday, 2)) \(months[Int(fields.tm_mon)]) \(digits(fields.tm_year + 1900, 4)) \(clock) GMT"
    }

    private static func digits(_ value: Int32, _ width: Int) -> String {
        let text = String(value)
        return String(repeating: "0", count: max(0, width - text.utf8.count)) + text
    }

    /// `2009-10-12T17:50:30Z` or with a fraction, which is left out (RFC 3339, in UTC).
    static func parse(iso text: String) -> Int64? {
        guard text.hasSuffix("Z") else { return nil }
        let halves = text.dropLast().split(separator: "T", omittingEmptySubsequences: false)
        guard halves.count == 2 else { return nil }
        let date = halves[0].split(separator: "-", omittingEmptySubsequences: false)
        guard date.count == 3, let month = Int(date[1]) else { return nil }
        return seconds(date[0], month, date[2], halves[1].prefix { $0 != "." })
    }

    private static func seconds(_ year: Substring, _ month: Int, _ day: Substring, _ time: Substring) -> Int64? {
        let parts = time.split(separator: ":", omittingEmptySubsequences: false).map { Int32($0) }
        guard parts.count == 3, let hour = parts[0], let minute = parts[1], let second = parts[2],
            let year = Int32(year), (1970...9999).contains(year), (1...12).contains(month), let day = Int32(day), (1...31).contains(day),
            (0...23).contains(hour), (0...59).contains(minute), (0...60).contains(second)
        else { return nil }
        var fields = tm()
        fields.tm_year = year - 1900
        fields.tm_mon = Int32(month - 1)
        fields.tm_mday = day
        fields.tm_hour = hour
        fields.tm_min = minute
        fields.tm_sec = second
        return Int64(timegm(&fields))
    }

    /// `2009-10-12T17:50:30Z`.
    static func iso(_ seconds: Int64) -> String {
        var time = time_t(seconds)
        var fields = tm()
        gmtime_r(&time, &fields)
        let date = [digits(fields.tm_year + 1900, 4), digits(fields.tm_mon + 1, 2), digits(fields.tm_mday, 2)].joined(separator: "-")
        return date + "T" + [fields.tm_hour, fields.tm_min, fields.tm_sec].map { digits($0, 2) }.joined(separator: ":") + "Z"
    }

    /// `20130524T000000Z`, as signatures have it.
    static func compact(_ seconds: Int64) -> String {
        var time = time_t(seconds)
        var fields = tm()
        gmtime_r(&time, &fields)
        return digits(fields.tm_year + 1900, 4) + digits(fields.tm_mon + 1, 2) + digits(fields.tm_mday, 2) + "T"
            + digits(fields.tm_hour, 2) + digits(fields.tm_min, 2) + digits(fields.tm_sec, 2) + "Z"
    }
}
