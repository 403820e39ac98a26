/// Moments as text: RFC 3339.
public enum TimeText {
    /// `2026-11-03T02:30:00Z`, with as many digits after the second as there are.
    public static func utc(_ timestamp: Timestamp) -> String {
        dateAndTime(CivilTime(timestamp, in: FixedOffset.utc)) + "Z"
    }

    /// `2026-11-03T03:30:00+01:00`: what the clocks of `zone` show, with their offset.
    public static func local(_ timestamp: Timestamp, in zone: any ZoneOffsets) -> String {
        // RFC 3339 has offsets of whole minutes only; those of local mean time, before about 1900, are cut to
        // that.
        let offset = zone.secondsEastOfUTC(at: timestamp.seconds) / 60 * 60
        let label = Int(timestamp.seconds) + offset
        return dateAndTime(CivilTime(label: label, nanosecond: timestamp.nanoseconds)) + self.offset(offset)
    }

    static func dateAndTime(_ time: CivilTime) -> String {
        let clock = [time.hour, time.minute, time.second].map { padded($0, to: 2) }.joined(separator: ":")
        return date(time.date) + "T" + clock + fraction(time.nanosecond)
    }

    static func date(_ date: CivilDate) -> String {
        "\(padded(date.year, to: 4))-\(padded(date.month, to: 2))-\(padded(date.day, to: 2))"
    }

    static func offset(_ seconds: Int) -> String {
        let minutes = abs(seconds) / 60
        return "\(seconds < 0 ? "-" : "+")\(padded(minutes / 60, to: 2)):\(padded(minutes % 60, to: 2))"
    }

    static func padded(_ number: Int, to width: Int) -> String {
        let digits = String(number)
        return String(repeating: "0", count: max(0, width - digits.count)) + digits
    }

    private static func fraction(_ nanosecond: Int32) -> String {
        guard nanosecond > 0 else { return "" }
        var digits = padded(Int(nanosecond), to: 9)
        while digits.last == "0" { digits.removeLast() }
        return "." + digits
    }
}
