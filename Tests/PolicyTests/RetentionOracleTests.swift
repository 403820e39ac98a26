import Foundation
import Testing

@testable import Policy

/// What restic and borg themselves keep, as `tools/retention-oracle` wrote it down.
@Suite struct RetentionOracleTests {
    struct Document: Decodable {
        let restic: String
        let borg: String
        let histories: [History]
    }

    struct History: Decodable {
        struct Snapshot: Decodable {
            let seconds: Int64
            let tags: Set<String>
        }
        let name: String
        let zone: String
        let snapshots: [Snapshot]
        let cases: [Case]
    }

    struct Case: Decodable {
        /// The rules that kept each snapshot, by its place in the history.
        let restic: [Int: [String]]
        let borg: Set<Int>?
        let rules: [String: Value]
    }

    enum Value: Decodable {
        case count(Int)
        case span(String)
        case tags([String])

        init(from decoder: any Decoder) throws {
            let container = try decoder.singleValueContainer()
            if let count = try? container.decode(Int.self) {
                self = .count(count)
            } else if let span = try? container.decode(String.self) {
                self = .span(span)
            } else {
                self = .tags(try container.decode([String].self))
            }
        }
    }

    private static func document() throws -> Document {
        let file = try #require(
            Bundle.module.url(
                forResource: "retention-oracle", withExtension: "json", subdirectory: "Fixtures"))
        return try JSONDecoder().decode(Document.self, from: Data(contentsOf: file))
    }

    private static func rules(_ values: [String: Value]) throws -> RetentionRules {
        var rules = RetentionRules()
        for (name, value) in values {
            switch value {
            case .count(let count):
                rules.keep[try #require(RetentionPeriod(rawValue: name))] = try KeepCount(count)
            case .span(let span):
                let period = name == "within" ? "last" : name.replacing("within-", with: "")
                rules.keepWithin[try #require(RetentionPeriod(rawValue: period))] = try CalendarSpan(span)
            case .tags(let lists): rules.keepTags = lists.map { $0.components(separatedBy: ",") }
            }
        }
        return rules
    }

    /// The rules that keep each snapshot, in restic's words, by its place in the history.
    private static func kept(
        _ history: History, _ rules: RetentionRules, countingOldest: Bool
    ) throws -> [Int: Set<String>] {
        let candidates = try history.snapshots.enumerated().map { index, snapshot in
            RetentionCandidate(
                id: "\(index)", group: "db", time: try Timestamp(seconds: snapshot.seconds),
                tags: snapshot.tags)
        }
        let decisions = try rules.decide(
            candidates, now: moment("2026-11-21T00:00:00Z"), zone: SystemZone(history.zone))
        var kept: [Int: Set<String>] = [:]
        for decision in decisions where decision.verdict == .keep {
            let reasons = decision.reasons.filter { if case .oldest = $0 { countingOldest } else { true } }
            if reasons.isEmpty { continue }
            kept[try #require(Int(decision.snapshot.id))] = Set(reasons.map(ruleName))
        }
        return kept
    }

    private static func ruleName(_ reason: RetentionReason) -> String {
        switch reason {
        case .newestOfPeriod(let period, _, _, _), .oldest(let period): period.rawValue
        case .within(.last, _, _): "within"
        case .within(let period, _, _): "within-\(period.rawValue)"
        case .tags: "tags"
        default: "unexpected: \(reason)"
        }
    }

    /// restic 0.14 does not keep the oldest yet, as later versions do; all else is compared.
    @Test func resticKeepsTheSameForTheSameReasons() throws {
        let document = try Self.document()
        #expect(document.restic == "0.14.0")
        #expect(document.histories.map(\.snapshots.count).max() == 150)
        var cases = 0
        for history in document.histories {
            for oracle in history.cases {
                cases += 1
                let kept = try Self.kept(history, Self.rules(oracle.rules), countingOldest: false)
                #expect(kept == oracle.restic.mapValues(Set.init), "\(history.name): \(oracle.rules)")
            }
        }
        #expect(cases >= 30)
    }

    /// borg 1.2 keeps the oldest. It counts a snapshot with one rule only, so several rules reach further
    /// back there.
    @Test func borgKeepsTheSameByOneRuleAndNoLessByMany() throws {
        var same = 0
        var more = 0
        for history in try Self.document().histories {
            for oracle in history.cases {
                guard let borg = oracle.borg else { continue }
                let kept = Set(try Self.kept(history, Self.rules(oracle.rules), countingOldest: true).keys)
                if oracle.rules.count == 1 {
                    same += 1
                    #expect(kept == borg, "\(history.name): \(oracle.rules)")
                } else {
                    more += borg.count - kept.count
                    #expect(kept.isSubset(of: borg), "\(history.name): \(oracle.rules)")
                }
            }
        }
        #expect(same >= 15 && more > 0)
    }
}
