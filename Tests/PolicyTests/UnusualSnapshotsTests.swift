import Testing

@testable import Policy

/// One snapshot a day, unless a test says otherwise; the last is of today. Sizes in MiB.
@Suite("Unusual snapshots") struct UnusualSnapshotsTests {
    private static let now: Int64 = 1_800_000_000

    /// - Parameter sizes: of all there is, and of what was added; oldest first.
    private static func daily(_ sizes: [(logical: UInt64, added: UInt64)], until end: Int64 = now) -> [SnapshotFigures] {
        sizes.enumerated().map { place, size in
            let id = String(UnicodeScalar(UInt8(ascii: "a") + UInt8(place)))
            return SnapshotFigures(
                id: id, time: end - Int64(sizes.count - 1 - place) * 86_400, logicalBytes: size.logical << 20, addedBytes: size.added << 20)
        }
    }

    private static func found(_ snapshots: [SnapshotFigures], now: Int64 = now) -> [String] {
        UnusualSnapshots.find(snapshots, now: now).map { "\($0.snapshot.id): \($0.finding)" }
    }

    @Test("a source that changes as sources do is left alone")
    func ordinary() {
        #expect(Self.found([]) == [])
        #expect(Self.found(Self.daily([(100, 100), (101, 2), (99, 1), (130, 30), (70, 1), (72, 3)])) == [])
        // It grows, and what is added is new: half of it is not.
        #expect(Self.found(Self.daily([(100, 100), (100, 1), (100, 1), (100, 1), (180, 80)])) == [])
    }

    @Test("less than half of what there was is told, and told again of those that follow")
    func shrunk() {
        let usual: [(logical: UInt64, added: UInt64)] = [(100, 100), (100, 1), (101, 1), (102, 1)]
        #expect(Self.found(Self.daily(usual + [(51, 0)])) == [])
        #expect(Self.found(Self.daily(usual + [(20, 0), (20, 0)])) == ["e: it has 19 % of the size of those before it", "f: it has 19 % of the size of those before it"])
        #expect(Self.found(Self.daily(usual + [(0, 0), (102, 1)])) == ["e: it has 0 % of the size of those before it"])
    }

    @Test("with fewer than three before it, and below 16 MiB, nothing is usual")
    func tooFew() {
        #expect(Self.found(Self.daily([(100, 100), (100, 1), (10, 0)])) == [])
        #expect(Self.found(Self.daily([(15, 15), (15, 1), (15, 1), (15, 1), (1, 1)])) == [])
    }

    @Test("a source of which next to nothing changed, and that is all new, is told")
    func replaced() {
        let usual: [(logical: UInt64, added: UInt64)] = [(100, 100), (100, 1), (100, 5), (100, 2)]
        #expect(Self.found(Self.daily(usual + [(100, 49)])) == [])
        #expect(Self.found(Self.daily(usual + [(100, 97)])) == ["e: 97 % of it is new, and 5 % of those before it was"])
        // A source whose every snapshot is new, as of encrypted files, says nothing.
        #expect(Self.found(Self.daily([(100, 100), (100, 98), (100, 99), (100, 97), (100, 98)])) == [])
    }

    @Test("more than three times the busiest day is told, twelve a day never")
    func burst() {
        let usual = Self.daily([(1, 1), (1, 1), (1, 1), (1, 1)], until: Self.now - 2 * 86_400)
        func burst(_ count: Int) -> [SnapshotFigures] {
            (0..<count).map { SnapshotFigures(id: "x\(100 + $0)", time: Self.now - 3600 + Int64($0), logicalBytes: 1, addedBytes: 1) }
        }
        #expect(Self.found(usual + burst(12)) == [])
        #expect(Self.found(usual + burst(14)) == [
            "x112: it is one of 13 within 24 hours, and there were at most 1 a day before",
            "x113: it is one of 14 within 24 hours, and there were at most 1 a day before",
        ])
        let hourly = (0..<24 * 6).map {
            SnapshotFigures(id: "h\(1000 + $0)", time: Self.now - Int64(24 * 6 - $0) * 3600, logicalBytes: 1, addedBytes: 1)
        }
        #expect(Self.found(hourly) == [])
        #expect(Self.found(hourly + burst(40)) == [])
        #expect(Self.found(hourly + burst(80)).count > 5)
        // A source that began today has no busiest day.
        #expect(Self.found(burst(80)) == [])
    }

    @Test("after two weeks what happened counts as usual")
    func old() {
        let snapshots = Self.daily([(100, 100), (100, 1), (100, 1), (20, 0)])
        #expect(Self.found(snapshots, now: Self.now + UnusualSnapshots.watchedSeconds).count == 1)
        #expect(Self.found(snapshots, now: Self.now + UnusualSnapshots.watchedSeconds + 1) == [])
    }

    @Test("the order in which they are given, and a clock that runs behind, change nothing")
    func order() {
        let snapshots = Self.daily([(100, 100), (100, 1), (100, 1), (20, 0)])
        #expect(Self.found(snapshots.reversed()) == Self.found(snapshots))
        #expect(Self.found(snapshots, now: Self.now - 10 * 86_400) == Self.found(snapshots))
    }
}
