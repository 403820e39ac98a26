import Foundation
import Policy

/// Retention once more, told from the periods instead of from the snapshots: put all snapshots into periods
/// by Foundation's calendars, take the newest of each, take the newest n of these. Slow, and with nothing in
/// common with `RetentionRules.decide` but the rules' type.
struct RetentionModel {
    let rules: RetentionRules
    let zone: TimeZone

    init?(rules: RetentionRules, zoneName: String) {
        guard let zone = TimeZone(identifier: zoneName) else { return nil }
        self.rules = rules
        self.zone = zone
    }

    /// The ids of all that stay, of one group.
    func kept(_ snapshots: [RetentionCandidate], now: Timestamp) -> Set<String> {
        let future = snapshots.filter { $0.time > now }
        let past = snapshots.filter { $0.time <= now }.sorted(by: isNewer)
        guard let newest = past.first, let oldest = past.last else { return Set(future.map(\.id)) }

        var kept: Set<String> = []
        for (period, count) in rules.keep {
            let representatives = newestOfPeriods(period, past)
            let limit = if case .upTo(let limit) = count { limit } else { Int.max }
            kept.formUnion(representatives.prefix(limit).map(\.id))
            if representatives.count < limit { kept.insert(oldest.id) }
        }
        for (period, span) in rules.keepWithin {
            let cutoff = before(newest.time, span)
            kept.formUnion(newestOfPeriods(period, past.filter { $0.time > cutoff }).map(\.id))
        }
        for tags in rules.keepTags {
            kept.formUnion(past.filter { Set(tags).subtracting($0.tags).isEmpty }.map(\.id))
        }
        var untouchable: Set<String> = []
        if let age = rules.minimumAge {
            let cutoff = before(now, age)
            untouchable.formUnion(past.filter { $0.time > cutoff }.map(\.id))
        }
        kept.formUnion(untouchable)
        if kept.isEmpty { kept = [newest.id] }
        untouchable.formUnion(past.filter(\.isHeld).map(\.id))
        kept.formUnion(untouchable)

        if let maximum = rules.maximumCount {
            if let first = past.first(where: { kept.contains($0.id) }) { untouchable.insert(first.id) }
            while kept.count > maximum,
                let victim = past.last(where: { kept.contains($0.id) && !untouchable.contains($0.id) })
            {
                kept.remove(victim.id)
            }
        }
        return kept.union(future.map(\.id))
    }

    private func isNewer(_ left: RetentionCandidate, _ right: RetentionCandidate) -> Bool {
        left.time == right.time ? left.id < right.id : left.time > right.time
    }

    /// The newest snapshot of each period that has one, newest first.
    private func newestOfPeriods(
        _ period: RetentionPeriod, _ snapshots: [RetentionCandidate]
    ) -> [RetentionCandidate] {
        let periods = Dictionary(grouping: snapshots) { name(of: period, for: $0) }
        return periods.values.compactMap { $0.min(by: isNewer) }.sorted(by: isNewer)
    }

    private func name(of period: RetentionPeriod, for snapshot: RetentionCandidate) -> String {
        let date = Date(timeIntervalSince1970: Double(snapshot.time.seconds))
        var calendar = Calendar(identifier: period == .weekly ? .iso8601 : .gregorian)
        calendar.timeZone = zone
        let fields: Set<Calendar.Component>
        switch period {
        case .last: return snapshot.id
        case .hourly: fields = [.year, .month, .day, .hour]
        case .daily: fields = [.year, .month, .day]
        case .weekly: fields = [.yearForWeekOfYear, .weekOfYear]
        case .monthly: fields = [.year, .month]
        case .yearly: fields = [.year]
        }
        let parts = calendar.dateComponents(fields, from: date)
        let numbers = [
            parts.yearForWeekOfYear, parts.weekOfYear, parts.year, parts.month, parts.day, parts.hour,
        ]
        return numbers.map { $0.map(String.init) ?? "" }.joined(separator: " ")
    }

    /// The first moment at which the clocks show what they showed at `time`, months and days earlier, or
    /// more; less the hours. Found by walking over the days around it in steps of a quarter of an hour,
    /// between which no zone under test has ever changed its clocks since 1970.
    private func before(_ time: Timestamp, _ span: CalendarSpan) -> Timestamp {
        guard span.months > 0 || span.days > 0 else { return moved(time, bySeconds: -3600 * span.hours) }
        guard let utc = TimeZone(secondsFromGMT: 0) else { return time }
        var calendar = Calendar(identifier: .gregorian)
        calendar.timeZone = utc
        let shown = time.seconds + offset(at: time.seconds)
        var wanted = Date(timeIntervalSince1970: Double(shown))
        wanted = calendar.date(byAdding: .month, value: -span.months, to: wanted) ?? wanted
        wanted = calendar.date(byAdding: .day, value: -span.days, to: wanted) ?? wanted
        let label = Int64(wanted.timeIntervalSince1970)

        var step = (label - 2 * 86_400) / 900 * 900
        while step + 900 + offset(at: step) <= label { step += 900 }
        let reached = label - offset(at: step)
        // Where the clocks jumped over the label, this step begins beyond it.
        let jumped = reached < step
        let cutoff = Timestamp.clamped(jumped ? step : reached, jumped ? 0 : time.nanoseconds)
        return moved(cutoff, bySeconds: -3600 * span.hours)
    }

    private func offset(at seconds: Int64) -> Int64 {
        Int64(zone.secondsFromGMT(for: Date(timeIntervalSince1970: Double(seconds))))
    }

    private func moved(_ time: Timestamp, bySeconds seconds: Int) -> Timestamp {
        Timestamp.clamped(time.seconds + Int64(seconds), time.nanoseconds)
    }
}

extension Timestamp {
    fileprivate static func clamped(_ seconds: Int64, _ nanoseconds: Int32) -> Timestamp {
        (try? Timestamp(seconds: seconds, nanoseconds: nanoseconds)) ?? .earliest
    }
}
