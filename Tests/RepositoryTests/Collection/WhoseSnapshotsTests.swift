import BlobEngine
import Policy
import RepoBase
import Storage
import Testing

@testable import Repository

/// What a writer that was taken over can do to the snapshots of others, and to its own, by what it stores: each test tells what it stores and which
/// snapshots are left when rules are applied.
@Suite("Whose snapshots count for retention") struct WhoseSnapshotsTests {
    private let world: CollectionWorld
    private let keys: KeyRing
    private let good: KeyRing
    private let bad: KeyRing
    private static let day: Int64 = 86_400
    /// Midnight, and the store's clock is 12 hours further.
    private static let today: Int64 = 1_700_006_400

    init() throws {
        world = try CollectionWorld()
        var keys = world.keys
        let store = world.store
        func writer(_ label: String) throws -> KeyRing {
            let added = try keys.addKey(to: store, .machine, role: .writer, label: label)
            return try KeyRing.open(store, .machineKey(Array(added.keyFile!.utf8)))
        }
        good = try writer("good")
        bad = try writer("bad")
        self.keys = keys
    }

    /// Stores a snapshot `age` days before today that says to have been made `claimed` days before today, at noon.
    @discardableResult
    private func store(
        _ signer: KeyRing, _ age: Int64, claimed: Int64? = nil, source: String = "db", logical: UInt64 = 100, added: UInt64 = 1, seconds: Int64 = 0
    ) throws -> ObjectID {
        world.now.withLock { $0 = Self.today - age * Self.day + 43_200 + seconds }
        var snapshot = Snapshot(
            time: FileTime(seconds: Self.today - (claimed ?? age) * Self.day + 43_200 + seconds, nanoseconds: 0), source: source, kind: "files",
            root: BlobID(words: 1, 2, 3, UInt64(age)))
        snapshot.host = "host"
        snapshot.statistics.logicalBytes = logical << 20
        snapshot.statistics.bytesAdded = added << 20
        let bytes = try SnapshotCodec.encode(snapshot, epoch: signer.currentEpoch, signer: signer.signer)
        let id = ObjectHasher.hash(bytes)
        try world.store.put(SnapshotObject.key(id), bytes, .create)
        return id
    }

    private func decide(
        _ rules: RetentionRules, acceptsUnusual: Bool = false, onSuspicion: (Forgetting.Suspicion) -> Void = { _ in }
    ) throws -> [Forgetting.Decision] {
        let repository = try OpenRepository(store: world.store, keys: keys, cacheDirectory: world.makeCache())
        return try Forgetting(repository).decide(
            rules, now: Timestamp(seconds: Self.today + Self.day - 1), zone: FixedOffset.utc, acceptsUnusual: acceptsUnusual,
            onSuspicion: onSuspicion)
    }

    private func kept(_ rules: RetentionRules, acceptsUnusual: Bool = false) throws -> Set<ObjectID> {
        Set(try decide(rules, acceptsUnusual: acceptsUnusual).filter(\.isKept).map(\.entry.id))
    }

    private let last3 = RetentionRules(keep: [.last: .upTo(3)])
    private let daily = RetentionRules(keep: [.daily: .upTo(30)])

    @Test("snapshots under another's name push none of its own out")
    func forgedName() throws {
        let own = try (0..<5).map { try store(good, Int64(9 - $0)) }
        let forged = try (0..<5).map { try store(bad, Int64(4 - $0)) }
        #expect(try kept(last3) == Set(own.suffix(3) + forged.suffix(3)))
        let decisions = try decide(last3)
        #expect(decisions.map(\.entry.snapshot.time.seconds) == decisions.map(\.entry.snapshot.time.seconds).sorted(by: >))
        let reasons = try #require(decisions.first { $0.entry.id == own[4] }?.reasons)
        #expect(reasons.contains { $0.contains("other keys' snapshots") }, "\(reasons)")
    }

    @Test("a full key's snapshots take places of all, and give way to none of a writer's")
    func fullKey() throws {
        let full = try (0..<4).map { try store(keys, Int64(20 - $0)) }
        let own = try (0..<4).map { try store(good, Int64(9 - $0)) }
        #expect(try kept(last3) == Set(full.suffix(3) + own.suffix(3)))
        let newer = try (0..<3).map { try store(keys, Int64(2 - $0)) }
        #expect(try kept(last3) == Set(newer))
    }

    @Test("what says to be of earlier days than it came takes no place of what was there")
    func backdated() throws {
        let own = try (0..<10).map { try store(good, Int64(10 - $0)) }
        // Later on each of these days than the good ones, all of them stored today.
        let forged = try (0..<10).map { try store(good, 0, claimed: Int64(10 - $0), seconds: 3600 + Int64($0)) }
        let kept = try kept(daily)
        #expect(kept.isSuperset(of: own.dropLast()), "a backup may take a day, so what says to be of yesterday may be honest")
        #expect(!kept.contains(own[9]) && kept.contains(forged[9]))
    }

    @Test("a repository whose objects all have new times is judged as before")
    func copied() throws {
        let own = try (0..<6).map { try store(good, 0, claimed: Int64(30 - $0)) }
        #expect(try kept(last3) == Set(own.suffix(3)))
        let newer = try (0..<2).map { try store(good, Int64(1 - $0)) }
        #expect(try kept(last3) == Set(newer + own.suffix(1)))
    }

    @Test("the snapshots of a key that was removed give way to its successor's")
    func successor() throws {
        _ = try (0..<4).map { try store(good, Int64(9 - $0)) }
        let newer = try (0..<3).map { try store(bad, Int64(3 - $0)) }
        var keys = keys
        try keys.removeKey(good.keyID, from: world.store)
        let repository = try OpenRepository(store: world.store, keys: keys, cacheDirectory: world.makeCache())
        let decisions = try Forgetting(repository).decide(
            last3, now: Timestamp(seconds: Self.today + Self.day - 1), zone: FixedOffset.utc)
        #expect(Set(decisions.filter(\.isKept).map(\.entry.id)) == Set(newer))
    }

    @Test("where a source has shrunk nothing of it goes until somebody has looked, and other sources go on")
    func shrunk() throws {
        let own = try (0..<6).map { try store(good, Int64(9 - $0)) } + [try store(good, 1, logical: 3)]
        let other = try (0..<5).map { try store(good, Int64(9 - $0), source: "files") }
        var told: [Forgetting.Suspicion] = []
        let decisions = try decide(last3) { told.append($0) }
        #expect(Set(decisions.filter(\.isKept).map(\.entry.id)) == Set(own + other.suffix(3)))
        #expect(told.count == 1 && told[0].group == "db on host")
        #expect(told[0].findings == ["snapshot \(own[6].short): it has 3 % of the size of those before it"])
        #expect(decisions.first { $0.entry.id == own[0] }?.reasons.first?.hasPrefix("on hold: ") == true)
        #expect(try kept(last3, acceptsUnusual: true) == Set(own.suffix(3) + other.suffix(3)))
    }

    @Test("a burst of its own key holds what it would push out; nobody is told where nothing would go")
    func burst() throws {
        let own = try (0..<6).map { try store(good, Int64(9 - $0)) }
        let flood = try (0..<20).map { try store(good, 0, seconds: Int64($0)) }
        #expect(try kept(last3) == Set(own + flood))
        var told = 0
        _ = try decide(RetentionRules(keep: [.last: .unlimited])) { _ in told += 1 }
        #expect(told == 0)
    }
}
