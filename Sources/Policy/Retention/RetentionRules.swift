/// How many periods a rule keeps a snapshot of.
public enum KeepCount: Hashable, Sendable, CustomStringConvertible {
    case upTo(Int)
    case unlimited

    /// As restic's options have it: -1 is unlimited. Throws `RetentionError.invalidCount` below that.
    public init(_ number: Int) throws(RetentionError) {
        guard number >= -1 else { throw .invalidCount(number) }
        self = number == -1 ? .unlimited : .upTo(number)
    }

    public var description: String {
        switch self {
        case .upTo(let count): String(count)
        case .unlimited: "all"
        }
    }
}

/// Which snapshots of a source stay: grandfather-father-son, in the words of `restic forget`.
///
/// A snapshot stays when at least one rule keeps it. See `decide(_:now:zone:)` for what each rule means.
public struct RetentionRules: Hashable, Sendable {
    /// keep-last, keep-hourly … keep-yearly: of how many periods the newest snapshot stays. Absent and zero:
    /// no rule.
    public var keep: [RetentionPeriod: KeepCount]
    /// keep-within (`.last`) and keep-within-hourly … keep-within-yearly: the same for every period that is
    /// not older than this, counted back from the newest snapshot of the group.
    public var keepWithin: [RetentionPeriod: CalendarSpan]
    /// keep-tag: a snapshot that has all the tags of one of these lists stays.
    public var keepTags: [[String]]
    /// Nothing younger is let go, counted back from now.
    public var minimumAge: CalendarSpan?
    /// The most snapshots that a group may keep; the oldest beyond it go.
    public var maximumCount: Int?

    public init(
        keep: [RetentionPeriod: KeepCount] = [:], keepWithin: [RetentionPeriod: CalendarSpan] = [:],
        keepTags: [[String]] = [], minimumAge: CalendarSpan? = nil, maximumCount: Int? = nil
    ) {
        self.keep = keep
        self.keepWithin = keepWithin
        self.keepTags = keepTags
        self.minimumAge = minimumAge
        self.maximumCount = maximumCount
    }

    /// Throws `RetentionError` for rules that would let everything go, or that make no sense. `decide` does
    /// this too; here it can be done when a configuration is read.
    public func validate() throws(RetentionError) {
        for case .upTo(let count) in keep.values where count < 0 { throw .invalidCount(count) }
        if let maximumCount, maximumCount < 1 { throw .invalidMaximumCount(maximumCount) }
        if keepTags.contains(where: \.isEmpty) { throw .emptyTagList }
        let counts = keep.values.contains { $0 != .upTo(0) }
        guard counts || !keepWithin.isEmpty || !keepTags.isEmpty else { throw .noKeepRule }
    }
}

/// Rules with a name.
public enum RetentionPreset: String, CaseIterable, Sendable {
    /// 30 daily, 12 weekly, 12 monthly, 7 yearly.
    case standard
    /// 30 daily, 52 weekly, 84 monthly.
    case business
    /// 7 daily, 4 weekly, 3 monthly.
    case compact

    public var rules: RetentionRules {
        switch self {
        case .standard:
            RetentionRules(keep: [
                .daily: .upTo(30), .weekly: .upTo(12), .monthly: .upTo(12), .yearly: .upTo(7),
            ])
        case .business:
            RetentionRules(keep: [.daily: .upTo(30), .weekly: .upTo(52), .monthly: .upTo(84)])
        case .compact:
            RetentionRules(keep: [.daily: .upTo(7), .weekly: .upTo(4), .monthly: .upTo(3)])
        }
    }
}

extension RetentionRules: CustomStringConvertible {
    /// One line for logs and the audit trail: `30 daily, 12 weekly; within 7d; at most 100`.
    public var description: String {
        var parts: [String] = []
        let counts = RetentionPeriod.allCases.compactMap { period in
            keep[period].flatMap { $0 == .upTo(0) ? nil : "\($0) \(period.rawValue)" }
        }
        if !counts.isEmpty { parts.append(counts.joined(separator: ", ")) }
        for period in RetentionPeriod.allCases {
            guard let span = keepWithin[period] else { continue }
            parts.append(period == .last ? "within \(span)" : "\(period.rawValue) within \(span)")
        }
        parts += keepTags.map { "tags \($0.joined(separator: ","))" }
        if let minimumAge { parts.append("minimum age \(minimumAge)") }
        if let maximumCount { parts.append("at most \(maximumCount)") }
        return parts.isEmpty ? "no rules" : parts.joined(separator: "; ")
    }
}

/// Why rules cannot be applied. Nothing is let go then.
public enum RetentionError: Error, Hashable, Sendable, CustomStringConvertible {
    /// No rule keeps anything, so all would go; a maximum count or minimum age alone is not a rule that
    /// keeps.
    case noKeepRule
    /// A count below -1.
    case invalidCount(Int)
    /// A maximum below 1.
    case invalidMaximumCount(Int)
    /// A keep-tag without a tag, which every snapshot would match.
    case emptyTagList
    /// Two snapshots with one id: letting go of one would take the other.
    case duplicateSnapshot(id: String)

    public var description: String {
        switch self {
        case .noKeepRule:
            """
            no rule keeps any snapshot, so all would go: give a preset, a --keep-… count above 0, \
            --keep-within or --keep-tag (--keep-last 100 keeps the newest hundred)
            """
        case .invalidCount(let count):
            "\(count) is not a number of snapshots to keep: write 0 or more, or -1 for all"
        case .invalidMaximumCount(let count):
            "\(count) is not a maximum number of snapshots: write 1 or more"
        case .emptyTagList:
            "a keep-tag rule names no tag: write the tag, or several with commas between them"
        case .duplicateSnapshot(let id):
            "snapshot \(id) was listed twice: list each snapshot once"
        }
    }
}
