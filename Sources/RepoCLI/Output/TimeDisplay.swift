import Policy
import RepoBase

/// Times in results.
enum TimeDisplay {
    /// RFC 3339 in UTC; for JSON.
    static func utc(_ time: FileTime) -> String {
        (try? Timestamp(seconds: time.seconds, nanoseconds: Int32(time.nanoseconds))).map(TimeText.utc)
            ?? "\(time.seconds)"
    }

    static func utc(seconds: Int64) -> String { utc(FileTime(seconds: seconds, nanoseconds: 0)) }

    /// `2026-11-03 03:30:00`, by the machine's clocks, for people.
    static func local(_ time: FileTime, in zone: any ZoneOffsets) -> String {
        guard let moment = try? Timestamp(seconds: time.seconds) else { return "\(time.seconds)" }
        let text = TimeText.local(moment, in: zone)
        return text.prefix(10) + " " + text.dropFirst(11).prefix(8)
    }
}

extension FileTime {
    /// Nil outside the years 1 to 9999.
    var timestamp: Timestamp? { try? Timestamp(seconds: seconds, nanoseconds: Int32(nanoseconds)) }
}
