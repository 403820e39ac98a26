import Testing

@testable import Policy

@Suite struct RetentionTests {
    private let now = "2026-11-21T12:00:00Z"

    /// `id: reasons` of those that stay, `id! reasons` of those that go, newest first.
    private func decide(
        _ rules: RetentionRules, _ snapshots: [RetentionCandidate], zone: String = "UTC", now: String? = nil
    ) throws -> [String] {
        try rules.decide(snapshots, now: moment(now ?? self.now), zone: SystemZone(zone)).map { decision in
            let reasons = decision.reasons.map(\.description).joined(separator: " + ")
            return "\(decision.snapshot.id)\(decision.verdict == .keep ? ":" : "!") \(reasons)"
        }
    }

    private func kept(
        _ rules: RetentionRules, _ snapshots: [RetentionCandidate], zone: String = "UTC"
    ) throws -> String {
        try rules.decide(snapshots, now: moment(now), zone: SystemZone(zone))
            .filter { $0.verdict == .keep }.map(\.snapshot.id).joined()
    }

    /// `a` is the newest, one a day at noon, from 20 November 2026 backwards.
    private func days(_ count: Int) throws -> [RetentionCandidate] {
        try (0..<count).map { index in
            let noon = try moment("2026-11-20T12:00:00Z").seconds - Int64(index) * 86_400
            let id = String(UnicodeScalar(UInt8(ascii: "a") + UInt8(index)))
            return RetentionCandidate(id: id, group: "db", time: try Timestamp(seconds: noon))
        }
    }

    @Test func everyRuleThatKeepsIsNamed() throws {
        let rules = RetentionRules(
            keep: [.last: .upTo(1), .daily: .upTo(2), .monthly: .unlimited, .yearly: .upTo(5)],
            keepWithin: [.last: try CalendarSpan("1d"), .weekly: try CalendarSpan("10d")],
            keepTags: [["release"]])
        let decisions = try decide(
            rules,
            [
                snapshot("a", "2026-11-20T12:00:00Z"), snapshot("b", "2026-11-20T11:00:00Z"),
                snapshot("c", "2026-11-19T12:00:00Z"), snapshot("d", "2026-11-15T12:00:00Z"),
                snapshot("e", "2026-10-31T12:00:00Z", tags: ["release", "x"]),
                snapshot("f", "2026-10-05T12:00:00Z", held: true), snapshot("g", "2026-10-04T12:00:00Z"),
                snapshot("h", "2026-10-03T12:00:00Z"),
            ])
        #expect(
            decisions == [
                "a: last 1 of 1 + daily 1 of 2: 2026-11-20 + monthly 1: 2026-11 + yearly 1 of 5: 2026"
                    + " + within 1d + weekly within 10d: 2026-W47",
                "b: within 1d",
                "c: daily 2 of 2: 2026-11-19",
                "d: weekly within 10d: 2026-W46",
                "e: tags release + monthly 2: 2026-10",
                "f: hold",
                "g! no rule keeps it",
                "h: oldest (monthly) + oldest (yearly)",
            ])
    }

    @Test(arguments: [
        RetentionRules(), RetentionRules(keep: [.daily: .upTo(0)]), RetentionRules(maximumCount: 5),
        RetentionRules(minimumAge: CalendarSpan(days: 3)),
    ])
    func rulesThatKeepNothingAreRefused(rules: RetentionRules) throws {
        #expect(throws: RetentionError.noKeepRule) { try decide(rules, days(3)) }
        // Even with nothing to decide: the configuration is wrong.
        #expect(throws: RetentionError.noKeepRule) { try decide(rules, []) }
    }

    @Test func senselessRulesAreRefused() throws {
        #expect(throws: RetentionError.invalidCount(-2)) { try KeepCount(-2) }
        #expect(throws: RetentionError.invalidCount(-1)) {
            try decide(RetentionRules(keep: [.daily: .upTo(-1)]), days(3))
        }
        #expect(throws: RetentionError.invalidMaximumCount(0)) {
            try decide(RetentionRules(keep: [.last: .upTo(1)], maximumCount: 0), days(3))
        }
        #expect(throws: RetentionError.emptyTagList) { try decide(RetentionRules(keepTags: [[]]), days(3)) }
        #expect(try KeepCount(-1) == .unlimited)
        #expect(try KeepCount(0) == .upTo(0))
    }

    @Test func anIdThatComesTwiceIsRefused() throws {
        let rules = RetentionRules(keep: [.last: .upTo(1)])
        #expect(throws: RetentionError.duplicateSnapshot(id: "a")) { try decide(rules, days(2) + days(1)) }
    }

    @Test func aCountOfZeroIsNoRule() throws {
        #expect(try kept(RetentionRules(keep: [.last: .upTo(1), .daily: .upTo(0)]), days(4)) == "a")
    }

    @Test func groupsAreJudgedApart() throws {
        let rules = RetentionRules(keep: [.last: .upTo(1)])
        let decisions = try decide(
            rules,
            [
                snapshot("a", "2026-11-01T00:00:00Z", group: "web"),
                snapshot("b", "2026-11-02T00:00:00Z", group: "db"),
                snapshot("c", "2026-11-03T00:00:00Z", group: "web"),
                snapshot("d", "2026-01-02T00:00:00Z", group: "db"),
            ])
        #expect(
            decisions == [
                "b: last 1 of 1", "d! no rule keeps it", "c: last 1 of 1", "a! no rule keeps it",
            ])
    }

    @Test func tiesAreBrokenByIdInWhateverOrderTheyCome() throws {
        let same = try ["c", "a", "b"].map { try snapshot($0, "2026-11-01T00:00:00.000000001Z") }
        let earlier = try snapshot("0", "2026-11-01T00:00:00Z")
        for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0], [1, 0, 2]] {
            let shuffled = [earlier] + order.map { same[$0] }
            #expect(
                try decide(RetentionRules(keep: [.last: .upTo(3)]), shuffled) == [
                    "a: last 1 of 3", "b: last 2 of 3", "c: last 3 of 3", "0! no rule keeps it",
                ])
        }
    }

    @Test func theOldestStaysWhileTheCountIsNotUsedUp() throws {
        #expect(try kept(RetentionRules(keep: [.monthly: .upTo(3)]), days(20)) == "at")
        #expect(try kept(RetentionRules(keep: [.monthly: .upTo(2)]), days(20)) == "at")
        #expect(try kept(RetentionRules(keep: [.monthly: .upTo(1)]), days(20)) == "a")
        #expect(try kept(RetentionRules(keep: [.monthly: .unlimited]), days(20)) == "at")
        // Not by rules with a duration.
        #expect(try kept(RetentionRules(keepWithin: [.monthly: CalendarSpan("5y")]), days(20)) == "a")
        // Two months: the newest of each, and no room for the oldest.
        #expect(try kept(RetentionRules(keep: [.monthly: .upTo(2)]), days(24)) == "au")
        #expect(try kept(RetentionRules(keep: [.monthly: .upTo(3)]), days(24)) == "aux")
    }

    @Test func withinCountsFromTheNewestSnapshotNotFromNow() throws {
        let rules = RetentionRules(keepWithin: [.last: try CalendarSpan("2d")])
        // c is exactly two days older than a.
        let decisions = try decide(rules, days(4), now: "2036-01-01T00:00:00Z")
        #expect(decisions == ["a: within 2d", "b: within 2d", "c! no rule keeps it", "d! no rule keeps it"])
    }

    @Test func aSnapshotInTheFutureNeitherTakesAPlaceNorPushesOneOut() throws {
        let rules = RetentionRules(
            keep: [.last: .upTo(2), .yearly: .upTo(2)], keepWithin: [.last: try CalendarSpan("1d")],
            maximumCount: 2)
        let past = try days(4)
        let without = try decide(rules, past)
        let leapt = [
            try snapshot("y", "2038-01-19T03:14:07Z"), try snapshot("z", "2031-01-01T00:00:00Z", held: true),
        ]
        #expect(
            try decide(rules, past + leapt) == ["y: in the future", "z: hold + in the future"] + without)
        #expect(
            without == [
                "a: last 1 of 2 + yearly 1 of 2: 2026 + within 1d", "b: last 2 of 2",
                "c! no rule keeps it", "d! beyond maximum count 2",
            ])
        // A clock that fell back leaves everything in the future, and everything stays.
        #expect(
            try decide(rules, past, now: "1970-01-01T00:00:00Z").allSatisfy {
                $0.hasSuffix(": in the future")
            })
        // The very moment is not the future.
        #expect(
            try decide(RetentionRules(keep: [.last: .upTo(1)]), [snapshot("a", now)], now: now) == [
                "a: last 1 of 1"
            ])
    }

    @Test func nothingBelowTheMinimumAgeGoes() throws {
        let rules = RetentionRules(
            keep: [.last: .upTo(1)], minimumAge: try CalendarSpan("3d"), maximumCount: 2)
        #expect(
            try decide(rules, days(5), now: "2026-11-20T12:00:00Z") == [
                "a: last 1 of 1 + younger than minimum age 3d", "b: younger than minimum age 3d",
                // Over the maximum by one: they are too young to go.
                "c: younger than minimum age 3d", "d! no rule keeps it", "e! no rule keeps it",
            ])
    }

    @Test func beyondTheMaximumTheOldestGoHoldsExcepted() throws {
        var snapshots = try days(6)
        snapshots[4].isHeld = true
        let rules = RetentionRules(keep: [.last: .upTo(6)], maximumCount: 3)
        #expect(
            try decide(rules, snapshots) == [
                "a: last 1 of 6", "b: last 2 of 6", "c! beyond maximum count 3", "d! beyond maximum count 3",
                "e: hold + last 5 of 6", "f! beyond maximum count 3",
            ])
        // What no rule keeps goes for that reason, and does not count.
        #expect(
            try decide(RetentionRules(keep: [.last: .upTo(2)], maximumCount: 2), days(3)) == [
                "a: last 1 of 2", "b: last 2 of 2", "c! no rule keeps it",
            ])
    }

    @Test func holdsThatFillTheMaximumDoNotPushOutTheNewest() throws {
        var snapshots = try days(5)
        for index in 2..<5 { snapshots[index].isHeld = true }
        #expect(try kept(RetentionRules(keep: [.last: .upTo(9)], maximumCount: 2), snapshots) == "acde")
    }

    @Test func aHoldChangesNoOtherDecision() throws {
        let rules = RetentionRules(keep: [.daily: .upTo(2), .monthly: .upTo(2)], keepTags: [["x"]])
        for snapshots in [try days(24), try days(1)] {
            for rules in [rules, RetentionRules(keepTags: [["x"]])] {
                let without = try rules.decide(snapshots, now: moment(now), zone: FixedOffset.utc)
                for index in snapshots.indices {
                    var changed = snapshots
                    changed[index].isHeld = true
                    let with = try rules.decide(changed, now: moment(now), zone: FixedOffset.utc)
                    #expect(with[index].verdict == .keep && with[index].reasons.first == .hold)
                    for other in snapshots.indices where other != index {
                        #expect(with[other] == without[other])
                    }
                }
            }
        }
    }

    @Test func rulesThatMatchNothingLeaveTheNewest() throws {
        let rules = RetentionRules(keepTags: [["release"]])
        #expect(
            try decide(rules, days(2)) == ["a: newest, and no rule keeps another", "b! no rule keeps it"])
        #expect(try decide(rules, []) == [])
        var tagged = try days(3)
        tagged[2].tags = ["release"]
        #expect(try kept(rules, tagged) == "c")
    }

    @Test func tagListsAskForAllTheirTags() throws {
        let snapshots = [
            try snapshot("a", "2026-11-04T00:00:00Z", tags: ["db"]),
            try snapshot("b", "2026-11-03T00:00:00Z", tags: ["db", "nightly"]),
            try snapshot("c", "2026-11-02T00:00:00Z", tags: ["release"]),
        ]
        #expect(try kept(RetentionRules(keepTags: [["db", "nightly"], ["release"]]), snapshots) == "bc")
    }

    @Test func weeksBelongToTheYearOfTheirThursday() throws {
        // 2020 had 53 weeks; 3 January 2021 was its last day, 4 January began week 1.
        let snapshots = [
            try snapshot("a", "2021-01-04T00:00:00Z"), try snapshot("b", "2021-01-03T23:59:59Z"),
            try snapshot("c", "2021-01-01T00:00:00Z"), try snapshot("d", "2020-12-28T00:00:00Z"),
            try snapshot("e", "2020-12-27T23:59:59Z"),
        ]
        #expect(
            try decide(RetentionRules(keep: [.weekly: .upTo(3)]), snapshots) == [
                "a: weekly 1 of 3: 2021-W01", "b: weekly 2 of 3: 2020-W53", "c! no rule keeps it",
                "d! no rule keeps it", "e: weekly 3 of 3: 2020-W52",
            ])
    }

    @Test func theZoneSaysWhereDaysEnd() throws {
        let snapshots = [
            try snapshot("a", "2026-11-03T18:30:00Z"), try snapshot("b", "2026-11-03T18:29:59Z"),
            try snapshot("c", "2026-11-03T00:00:00Z"),
        ]
        #expect(try kept(RetentionRules(keep: [.daily: .upTo(2)]), snapshots) == "ac")
        #expect(try kept(RetentionRules(keep: [.daily: .upTo(2)]), snapshots, zone: "Asia/Kolkata") == "ab")
    }

    @Test func anHourThatComesTwiceIsOneHour() throws {
        let snapshots = [
            try snapshot("a", "2022-10-30T03:30:00+01:00"), try snapshot("b", "2022-10-30T02:30:00+01:00"),
            try snapshot("c", "2022-10-30T02:30:00+02:00"), try snapshot("d", "2022-10-30T01:30:00+02:00"),
        ]
        #expect(
            try decide(RetentionRules(keep: [.hourly: .upTo(3)]), snapshots, zone: "Europe/Berlin") == [
                "a: hourly 1 of 3: 2022-10-30 03h", "b: hourly 2 of 3: 2022-10-30 02h", "c! no rule keeps it",
                "d: hourly 3 of 3: 2022-10-30 01h",
            ])
        #expect(try kept(RetentionRules(keep: [.hourly: .upTo(3)]), snapshots) == "abc")
    }

    @Test(arguments: [
        // Hourly snapshots of the day, both midnights included: a day of 23 hours and one of 25.
        ("2022-03-27T00:00:00+01:00", 24, 1), ("2022-10-30T00:00:00+02:00", 26, 1),
        ("2022-06-01T00:00:00+02:00", 25, 1),
    ])
    func daysHaveTheHoursThatTheyHave(midnight: String, count: Int, over: Int) throws {
        let start = try moment(midnight).seconds
        let snapshots = try (0..<count).map {
            RetentionCandidate(
                id: "\($0)", group: "db", time: try Timestamp(seconds: start + Int64($0) * 3600))
        }
        let decisions = try RetentionRules(keep: [.daily: .upTo(2)]).decide(
            snapshots, now: moment(now), zone: SystemZone("Europe/Berlin"))
        // The last is the next day's midnight, the one before it the newest of the day.
        #expect(
            decisions.filter { $0.verdict == .keep }.map(\.snapshot.id) == ["\(count - 1)", "\(count - 2)"])
    }

    @Test func presetsAreWhatTheirNamesPromise() {
        #expect(RetentionPreset.standard.rules.description == "30 daily, 12 weekly, 12 monthly, 7 yearly")
        #expect(RetentionPreset.business.rules.description == "30 daily, 52 weekly, 84 monthly")
        #expect(RetentionPreset.compact.rules.description == "7 daily, 4 weekly, 3 monthly")
        #expect(RetentionPreset(rawValue: "standard") == .standard)
    }

    @Test func rulesDescribeThemselves() throws {
        let rules = RetentionRules(
            keep: [.last: .upTo(3), .daily: .unlimited, .weekly: .upTo(0)],
            keepWithin: [.last: try CalendarSpan("7d"), .hourly: try CalendarSpan("36h")],
            keepTags: [["a", "b"]],
            minimumAge: try CalendarSpan("1d"), maximumCount: 100)
        #expect(
            rules.description
                == "3 last, all daily; within 7d; hourly within 36h; tags a,b; minimum age 1d; at most 100")
    }
}
