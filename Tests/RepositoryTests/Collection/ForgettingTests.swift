import BlobEngine
import Policy
import RepoBase
import RepositoryTesting
import Storage
import Testing

@testable import Repository

@Suite struct ForgettingTests {
    private let world: CollectionWorld
    private let repository: OpenRepository
    /// Oldest first; their times are 1, 2, 3 and 4 seconds.
    private let ids: [ObjectID]
    private let now: Timestamp

    init() throws {
        let world = try CollectionWorld()
        var numbers = SeededNumbers(seed: 20)
        ids = try (0..<4).map { _ in try world.snapshot(["a": numbers.bytes(3_000)]) }
        repository = try world.open()
        now = try Timestamp(seconds: 100)
        self.world = world
    }

    private func decide(_ rules: RetentionRules) throws -> [Forgetting.Decision] {
        try Forgetting(repository).decide(rules, now: now, zone: FixedOffset.utc)
    }

    private var left: Set<ObjectID> { get throws { Set(try SnapshotCatalog(repository).names().ids) } }

    private func journal(_ action: String) throws -> RecordFields? {
        try world.store.list("journal/").map { object in
            try SealedRecord.decode(
                .journal, try world.store.get(object.key, atMost: 1 << 20), object: "\(object.key)",
                keyRing: world.keys
            ).fields
        }.first { $0.action == action }
    }

    @Test func letsGoWhatNoRuleKeepsAndSaysWhy() throws {
        let rules = RetentionRules(keep: [.last: .upTo(2)])
        let decisions = try decide(rules)
        #expect(decisions.map(\.entry.id) == ids.reversed())
        #expect(decisions.map(\.isKept) == [true, true, false, false])
        #expect(decisions.allSatisfy { !$0.reasons.isEmpty && $0.group == "files on host" })
        #expect(try left == Set(ids))
        #expect(try Set(Forgetting(repository).apply(decisions, rules: rules)) == Set(ids[..<2]))
        #expect(try left == Set(ids[2...]))
        let entry = try #require(try journal("forget"))
        #expect(Set(entry.subjectTexts) == Set(ids[..<2].map { "\($0)" }))
        #expect(entry.details.contains { $0.contains("no rule keeps it") })
    }

    @Test func neverLetsGoOfWhatIsHeld() throws {
        try Holds(repository).add(ids[0], reason: "audit 7")
        let rules = RetentionRules(keep: [.last: .upTo(1)])
        try Forgetting(repository).apply(try decide(rules), rules: rules)
        #expect(try left == [ids[0], ids[3]])
        #expect(code { try Forgetting(repository).remove([ids[3], ids[0]]) } == .refused)
        #expect(try left == [ids[0], ids[3]])
        #expect(try Holds(repository).list().map(\.reason) == ["audit 7"])
        try Holds(repository).remove(ids[0])
        try Forgetting(repository).remove([ids[0]])
        #expect(try left == [ids[3]])
        for action in ["hold add", "hold remove"] { #expect(try journal(action) != nil) }
    }

    @Test func aHoldPutOnAfterTheDecisionCounts() throws {
        let rules = RetentionRules(keep: [.last: .upTo(1)])
        let decisions = try decide(rules)
        try Holds(repository).add(ids[1], reason: "just now")
        try Forgetting(repository).apply(decisions, rules: rules)
        #expect(try left == [ids[1], ids[3]])
    }

    @Test func refusesRulesThatKeepNothing() {
        #expect(code { _ = try decide(RetentionRules()) } == .usage)
    }

    @Test func namesWhatDoesNotExist() {
        let unknown = ObjectID(words: 1, 2, 3, 4)
        #expect(code { try Forgetting(repository).remove([unknown]) } == .notFound)
        #expect(code { try Holds(repository).add(unknown, reason: "") } == .notFound)
        #expect(code { try Holds(repository).remove(ids[0]) } == .notFound)
    }

    @Test func aWriterKeyLetsNothingGo() throws {
        var keys = world.keys
        let writer = try keys.addMachineKey(to: world.store, role: .writer)
        let ring = try KeyRing.open(world.store, writer.credentials)
        let limited = try OpenRepository(
            store: world.store, keys: ring, cacheDirectory: repository.cacheDirectory)
        #expect(code { try Forgetting(limited).remove([ids[0]]) } == .refused)
        #expect(code { _ = try Collector(limited).run() } == .refused)
        try Holds(limited).add(ids[0], reason: "a writer may hold")
        #expect(code { try Holds(limited).remove(ids[0]) } == .refused)
    }
}
