import Policy
import Testing

/// Thousands of random histories and rules, decided twice.
@Suite struct RetentionModelTests {
    static let historiesPerZone = 700

    @Test(arguments: zoneNames) func decisionsAgreeWithTheModel(zoneName: String) throws {
        let zone = try SystemZone(zoneName)
        var numbers = SeededNumbers(seed: 42)
        let clockChanges = changes(of: zone, from: 2009, to: 2024)
        var letGo = 0
        for history in 0..<Self.historiesPerZone {
            let rules = randomRules(&numbers)
            let (snapshots, now) = try randomHistory(around: clockChanges, &numbers)
            let model = try #require(RetentionModel(rules: rules, zoneName: zoneName))
            let decisions = try rules.decide(snapshots, now: now, zone: zone)
            let kept = Set(decisions.filter { $0.verdict == .keep }.map(\.snapshot.id))
            letGo += decisions.count - kept.count
            let expected = model.kept(snapshots, now: now)
            guard kept == expected else {
                let differing = kept.symmetricDifference(expected).sorted()
                let shown = decisions.filter { differing.contains($0.snapshot.id) }
                    .map { "\(TimeText.local($0.snapshot.time, in: zone)) \($0.verdict) \($0.reasons)" }
                Issue.record("history \(history), \(rules), now \(TimeText.local(now, in: zone)): \(shown)")
                return
            }
            #expect(decisions.count == snapshots.count)
            #expect(decisions.allSatisfy { !$0.reasons.isEmpty })
        }
        // Histories of which nothing ever goes would prove nothing.
        #expect(letGo > Self.historiesPerZone * 3)
    }

    @Test func orderOfInputDoesNotMatter() throws {
        let zone = try SystemZone("Europe/Berlin")
        let clockChanges = changes(of: zone, from: 2022, to: 2022)
        var numbers = SeededNumbers(seed: 7)
        for _ in 0..<200 {
            let rules = randomRules(&numbers)
            let (snapshots, now) = try randomHistory(
                around: clockChanges, &numbers)
            let decisions = try rules.decide(snapshots, now: now, zone: zone)
            #expect(try rules.decide(snapshots.shuffled(using: &numbers), now: now, zone: zone) == decisions)
        }
    }

    /// What stays today lets nothing new go when the same rules are applied to it again at once.
    @Test func decidingTwiceLetsNothingMoreGo() throws {
        let zone = try SystemZone("America/New_York")
        let clockChanges = changes(of: zone, from: 2022, to: 2022)
        var numbers = SeededNumbers(seed: 9)
        for _ in 0..<500 {
            let rules = randomRules(&numbers)
            let (snapshots, now) = try randomHistory(
                around: clockChanges, &numbers)
            let stays = try rules.decide(snapshots, now: now, zone: zone)
                .filter { $0.verdict == .keep }.map(\.snapshot)
            let again = try rules.decide(stays, now: now, zone: zone)
            #expect(again.allSatisfy { $0.verdict == .keep }, "\(rules)")
        }
    }
}

private func randomRules(_ numbers: inout SeededNumbers) -> RetentionRules {
    var rules = RetentionRules()
    for period in RetentionPeriod.allCases {
        if Int.random(in: 0..<3, using: &numbers) == 0 {
            let unlimited = Int.random(in: 0..<12, using: &numbers) == 0
            rules.keep[period] = unlimited ? .unlimited : .upTo(Int.random(in: 0...9, using: &numbers))
        }
        if Int.random(in: 0..<6, using: &numbers) == 0 {
            rules.keepWithin[period] = randomSpan(&numbers)
        }
    }
    if Int.random(in: 0..<5, using: &numbers) == 0 { rules.keepTags = [["x"], ["y", "z"]] }
    if Int.random(in: 0..<5, using: &numbers) == 0 { rules.minimumAge = randomSpan(&numbers) }
    if Int.random(in: 0..<4, using: &numbers) == 0 {
        rules.maximumCount = Int.random(in: 1...12, using: &numbers)
    }
    if (try? rules.validate()) == nil { rules.keep[.daily] = .upTo(3) }
    return rules
}

private func randomSpan(_ numbers: inout SeededNumbers) -> CalendarSpan? {
    switch Int.random(in: 0..<4, using: &numbers) {
    case 0: CalendarSpan(hours: Int.random(in: 1...60, using: &numbers))
    case 1: CalendarSpan(days: Int.random(in: 1...20, using: &numbers))
    case 2: CalendarSpan(months: Int.random(in: 1...26, using: &numbers))
    default:
        CalendarSpan(
            months: Int.random(in: 0...3, using: &numbers), days: Int.random(in: 0...9, using: &numbers),
            hours: Int.random(in: 1...30, using: &numbers))
    }
}

/// Bursts around a change of the clocks where there is one, and scattered over hours to years; on quarters of
/// an hour often, so that boundaries are hit; some of them equal, some in the future.
private func randomHistory(
    around clockChanges: [Int64], _ numbers: inout SeededNumbers
) throws -> (snapshots: [RetentionCandidate], now: Timestamp) {
    let anyMoment = Int64.random(in: 1_230_768_000...1_735_689_600, using: &numbers) / 900 * 900
    let centre = clockChanges.randomElement(using: &numbers) ?? anyMoment
    let reaches: [Int64] = [7200, 86_400, 86_400 * 10, 86_400 * 100, 86_400 * 900]
    let reach = reaches.randomElement(using: &numbers) ?? 7200
    let onQuarters = Bool.random(using: &numbers)
    let count = Int.random(in: 0...50, using: &numbers)
    let snapshots = try (0..<count).map { index -> RetentionCandidate in
        let distance: Int64 =
            index % 3 == 0
            ? .random(in: -7200...7200, using: &numbers) : .random(in: -reach...reach, using: &numbers)
        let seconds: Int64 = centre + distance
        let nanoseconds: Int32 = onQuarters ? 0 : .random(in: 0..<1_000_000_000, using: &numbers)
        let tags = ["x", "y", "z"].filter { _ in Int.random(in: 0..<4, using: &numbers) == 0 }
        return RetentionCandidate(
            id: "\(index)", group: "db",
            time: try Timestamp(
                seconds: onQuarters ? seconds / 900 * 900 : seconds, nanoseconds: nanoseconds),
            tags: Set(tags), isHeld: Int.random(in: 0..<15, using: &numbers) == 0)
    }
    let ahead: Int64 = .random(in: 0...reach * 2, using: &numbers)
    let now = centre + ahead / 900 * 900
    return (snapshots, try Timestamp(seconds: now))
}
