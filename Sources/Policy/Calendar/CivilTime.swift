/// What a wall clock shows: a date and a time of day, of no particular zone.
public struct CivilTime: Hashable, Comparable, Sendable {
    public let date: CivilDate
    /// 0 to 23.
    public let hour: Int
    /// 0 to 59.
    public let minute: Int
    /// 0 to 59.
    public let second: Int
    /// 0 to 999,999,999.
    public let nanosecond: Int32

    /// Nil when a field is out of its range.
    public init?(date: CivilDate, hour: Int, minute: Int, second: Int, nanosecond: Int32 = 0) {
        guard (0..<24).contains(hour), (0..<60).contains(minute), (0..<60).contains(second),
            (0..<1_000_000_000).contains(nanosecond)
        else { return nil }
        self.date = date
        self.hour = hour
        self.minute = minute
        self.second = second
        self.nanosecond = nanosecond
    }

    /// What the clocks of `zone` show at `timestamp`.
    public init(_ timestamp: Timestamp, in zone: any ZoneOffsets) {
        let offset = zone.secondsEastOfUTC(at: timestamp.seconds)
        self.init(label: Int(timestamp.seconds) + offset, nanosecond: timestamp.nanoseconds)
    }

    init(label: Int, nanosecond: Int32) {
        let days = floorDivide(label, 86_400)
        let ofDay = label - days * 86_400
        date = CivilDate(daysSince1970: days)
        hour = ofDay / 3600
        minute = ofDay / 60 % 60
        second = ofDay % 60
        self.nanosecond = nanosecond
    }

    /// The shown time as a number that grows with it: seconds since 1970 as if the zone were UTC.
    var label: Int { date.daysSince1970 * 86_400 + hour * 3600 + minute * 60 + second }

    public static func < (left: CivilTime, right: CivilTime) -> Bool {
        (left.label, left.nanosecond) < (right.label, right.nanosecond)
    }
}

extension CivilTime {
    /// When the clocks of a zone show a given time.
    public enum Occurrence: Hashable, Sendable {
        case once(Timestamp)
        /// They were put back over it.
        case twice(earlier: Timestamp, later: Timestamp)
        /// They were put forward over it: from the last second `before` to the first `after`.
        case never(before: Timestamp, after: Timestamp)

        /// The first moment at which the clocks show that time or a later one.
        public var first: Timestamp {
            switch self {
            case .once(let moment): moment
            case .twice(let earlier, _): earlier
            case .never(_, let after): after
            }
        }
    }

    /// When the clocks of `zone` show this time; moments outside of `Timestamp`'s range are moved to its
    /// ends. Costs some forty offset lookups.
    public func occurrence(in zone: any ZoneOffsets) -> Occurrence {
        func shown(_ second: Int) -> Int { second + zone.secondsEastOfUTC(at: Int64(second)) }
        func timestamp(_ second: Int, _ nanosecond: Int32) -> Timestamp {
            Timestamp(clamping: Int64(second), nanoseconds: nanosecond)
        }

        // Offsets stay below 16 hours, so every moment that shows `label` lies within 16 hours of it. The
        // offset in force then is among those sampled each hour there, unless it was in force for less than
        // that.
        let wanted = label
        let reach = 16 * 3600
        var moments: Set<Int> = []
        for sample in stride(from: wanted - reach, through: wanted + reach, by: 3600) {
            let moment = wanted - zone.secondsEastOfUTC(at: Int64(sample))
            if shown(moment) == wanted { moments.insert(moment) }
        }
        if let first = moments.min(), let last = moments.max() {
            guard first < last else { return .once(timestamp(first, nanosecond)) }
            return .twice(earlier: timestamp(first, nanosecond), later: timestamp(last, nanosecond))
        }

        // Bisection keeps shown(before) < wanted < shown(after): it closes in on the jump over `wanted`.
        var before = wanted - reach
        var after = wanted + reach
        while after - before > 1 {
            let middle = before + (after - before) / 2
            if shown(middle) < wanted { before = middle } else { after = middle }
        }
        return .never(before: timestamp(before, 0), after: timestamp(after, 0))
    }
}
