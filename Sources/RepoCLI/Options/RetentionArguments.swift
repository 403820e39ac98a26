import ArgumentParser
import Policy
import RepoBase

/// Rules of retention, in the words of restic.
struct RetentionArguments: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "A set of rules: standard, business or compact; options below change it.", valueName: "name"))
    var preset: String?
    @Option(help: ArgumentHelp("Keep the newest n; -1 keeps all.", valueName: "n")) var keepLast: Int?
    @Option(help: ArgumentHelp("Keep the newest of each of n hours.", valueName: "n")) var keepHourly: Int?
    @Option(help: ArgumentHelp("Keep the newest of each of n days.", valueName: "n")) var keepDaily: Int?
    @Option(help: ArgumentHelp("Keep the newest of each of n weeks.", valueName: "n")) var keepWeekly: Int?
    @Option(help: ArgumentHelp("Keep the newest of each of n months.", valueName: "n")) var keepMonthly: Int?
    @Option(help: ArgumentHelp("Keep the newest of each of n years.", valueName: "n")) var keepYearly: Int?
    @Option(help: ArgumentHelp("Keep all that are younger than this, as in 2y5m7d3h.", valueName: "span"))
    var keepWithin: String?
    @Option(help: ArgumentHelp("The newest of each hour within the span.", valueName: "span"))
    var keepWithinHourly: String?
    @Option(help: ArgumentHelp("The newest of each day within the span.", valueName: "span"))
    var keepWithinDaily: String?
    @Option(help: ArgumentHelp("The newest of each week within the span.", valueName: "span"))
    var keepWithinWeekly: String?
    @Option(help: ArgumentHelp("The newest of each month within the span.", valueName: "span"))
    var keepWithinMonthly: String?
    @Option(help: ArgumentHelp("The newest of each year within the span.", valueName: "span"))
    var keepWithinYearly: String?
    @Option(
        name: .customLong("keep-tag"),
        help: ArgumentHelp(
            "Keep those with all of these tags, joined by commas; may be repeated.", valueName: "tags"))
    var keepTags: [String] = []
    @Option(help: ArgumentHelp("Let nothing younger go.", valueName: "span")) var minimumAge: String?
    @Option(help: ArgumentHelp("Keep at most n of each group.", valueName: "n")) var maximumCount: Int?

    /// Nil when no option was given. Throws `.usage` for rules that make no sense.
    func rules() throws -> RetentionRules? {
        var rules = RetentionRules()
        if let preset {
            guard let known = RetentionPreset(rawValue: preset) else {
                let names = RetentionPreset.allCases.map(\.rawValue)
                throw RepoError(
                    .usage, "there is no preset '\(preset)'",
                    advice: "Presets are \(names.joined(separator: ", ")).")
            }
            rules = known.rules
        }
        let counts: [(RetentionPeriod, Int?)] = [
            (.last, keepLast), (.hourly, keepHourly), (.daily, keepDaily), (.weekly, keepWeekly),
            (.monthly, keepMonthly), (.yearly, keepYearly),
        ]
        for case (let period, let count?) in counts { rules.keep[period] = try KeepCount(count) }
        let spans: [(RetentionPeriod, String?)] = [
            (.last, keepWithin), (.hourly, keepWithinHourly), (.daily, keepWithinDaily),
            (.weekly, keepWithinWeekly),
            (.monthly, keepWithinMonthly), (.yearly, keepWithinYearly),
        ]
        for case (let period, let span?) in spans { rules.keepWithin[period] = try CalendarSpan(span) }
        rules.keepTags += keepTags.map { $0.split(separator: ",").map(String.init) }
        rules.minimumAge = try minimumAge.map { try CalendarSpan($0) }
        rules.maximumCount = maximumCount
        guard rules != RetentionRules() else { return nil }
        try rules.validate()
        return rules
    }
}
