/// What a rule keeps one of: each snapshot, or the newest of each hour, day, week, month or year.
public enum RetentionPeriod: String, CaseIterable, Hashable, Sendable {
    /// Every snapshot is a period of its own: keep-last and keep-within.
    case last
    case hourly
    case daily
    /// Weeks of ISO 8601, Monday to Sunday, with the year that holds their Thursday.
    case weekly
    case monthly
    case yearly
}

/// The period of each kind that a moment falls into, by the clocks of one zone.
///
/// An hour is what the clocks call an hour: one that comes twice, when they are put back, is one period of
/// two hours, as in restic and borg. Likewise days have 23, 24 or 25 hours.
struct PeriodKeys {
    private let local: CivilTime

    init(_ timestamp: Timestamp, in zone: any ZoneOffsets) {
        local = CivilTime(timestamp, in: zone)
    }

    /// Equal for moments of the same period and for no others. `rank`, the place in the group, tells
    /// snapshots apart where each counts.
    func key(_ period: RetentionPeriod, rank: Int) -> Int {
        switch period {
        case .last: rank
        case .hourly: local.date.daysSince1970 * 24 + local.hour
        case .daily: local.date.daysSince1970
        case .weekly: local.date.daysSince1970 - local.date.weekday
        case .monthly: local.date.year * 12 + local.date.month
        case .yearly: local.date.year
        }
    }

    /// The period for people: `2026-11-03 14h`, `2026-11-03`, `2026-W45`, `2026-11`, `2026`; nil for `last`.
    func label(_ period: RetentionPeriod) -> String? {
        let day = TimeText.date(local.date)
        switch period {
        case .last: return nil
        case .hourly: return "\(day) \(TimeText.padded(local.hour, to: 2))h"
        case .daily: return day
        case .weekly:
            let week = local.date.isoWeek
            return "\(TimeText.padded(week.year, to: 4))-W\(TimeText.padded(week.week, to: 2))"
        case .monthly: return String(day.prefix(7))
        case .yearly: return String(day.prefix(4))
        }
    }
}
