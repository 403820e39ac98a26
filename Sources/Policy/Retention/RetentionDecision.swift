/// A snapshot as far as retention needs to know it.
public struct RetentionCandidate: Hashable, Sendable {
    /// Unique among all that are decided together.
    public var id: String
    /// Snapshots of one group compete with each other only; usually the source, or source and host.
    public var group: String
    /// When the snapshot was taken.
    public var time: Timestamp
    public var tags: Set<String>
    /// Under legal hold: never let go.
    public var isHeld: Bool

    public init(id: String, group: String, time: Timestamp, tags: Set<String> = [], isHeld: Bool = false) {
        self.id = id
        self.group = group
        self.time = time
        self.tags = tags
        self.isHeld = isHeld
    }
}

/// What becomes of a snapshot, and why.
public struct RetentionDecision: Hashable, Sendable {
    public enum Verdict: String, Hashable, Sendable {
        case keep
        case letGo = "let go"
    }

    public let snapshot: RetentionCandidate
    public let verdict: Verdict
    /// Every rule that keeps it, or the one that lets it go; never empty.
    public let reasons: [RetentionReason]
}

/// Why a snapshot is kept or let go. `description` is what a dry run prints.
public enum RetentionReason: Hashable, Sendable, CustomStringConvertible {
    /// Kept by legal hold.
    case hold
    /// Kept because its time has not come yet: a clock was wrong, so no rule can judge it.
    case inTheFuture
    /// Kept by keep-tag with these tags.
    case tags([String])
    /// Kept as the newest of its period by a rule with a count; `place` counts from 1, the newest period.
    case newestOfPeriod(RetentionPeriod, label: String?, place: Int, of: KeepCount)
    /// Kept as the oldest there is, by a rule whose count is not used up.
    case oldest(RetentionPeriod)
    /// Kept by keep-within or, as the newest of its period, by keep-within-hourly and so on.
    case within(RetentionPeriod, label: String?, CalendarSpan)
    /// Kept because it is younger than the minimum age.
    case youngerThanMinimumAge(CalendarSpan)
    /// Kept as the newest, where the rules keep none at all.
    case newestOfGroup
    /// Let go: no rule keeps it.
    case noRule
    /// Let go: rules keep it, but newer ones and holds fill the maximum.
    case beyondMaximumCount(Int)

    public var description: String {
        switch self {
        case .hold: return "hold"
        case .inTheFuture: return "in the future"
        case .tags(let tags): return "tags \(tags.joined(separator: ","))"
        case .newestOfPeriod(let period, let label, let place, let count):
            let places = count == .unlimited ? "\(place)" : "\(place) of \(count)"
            return "\(period.rawValue) \(places)" + (label.map { ": \($0)" } ?? "")
        case .oldest(let period): return "oldest (\(period.rawValue))"
        case .within(.last, _, let span): return "within \(span)"
        case .within(let period, let label, let span):
            return "\(period.rawValue) within \(span)" + (label.map { ": \($0)" } ?? "")
        case .youngerThanMinimumAge(let span): return "younger than minimum age \(span)"
        case .newestOfGroup: return "newest, and no rule keeps another"
        case .noRule: return "no rule keeps it"
        case .beyondMaximumCount(let count): return "beyond maximum count \(count)"
        }
    }
}
