import NumbersTesting
import PostgresFormats
import RepoBase
import Storage
import StorageTesting
import Testing

@testable import Repository
@testable import WALArchive

@Suite("Letting the log go")
struct RetentionTests {
    private let system = ArchiveFixture.system

    private func time(_ second: Int64) -> FileTime { FileTime(seconds: second, nanoseconds: 0) }

    /// Applies what is planned and returns what is left of a timeline.
    private func prune(_ fixture: ArchiveFixture, window: Int64? = nil) throws -> WALInventory {
        let archive = try fixture.archive()
        let inventory = try archive.inventory(of: system)
        let backups = try archive.baseBackups()[system] ?? []
        let retention = LogRetention(archive)
        try retention.apply(retention.plan(inventory, backups: backups, window: window.map(time)))
        return try archive.inventory(of: system)
    }

    @Test("without a base backup nothing goes")
    func noBackup() throws {
        let fixture = try ArchiveFixture()
        try fixture.archiveSegments(1...20)
        try fixture.backup(from: 5 << 20, to: 6 << 20, at: 1000, system: 99)
        #expect(try prune(fixture)[1]?.runs == [1...20])
        #expect(try journal(fixture).isEmpty)
    }

    @Test("all from the oldest backup's first segment on stays, on every timeline; histories stay; what goes is journaled")
    func oldestBackup() throws {
        let fixture = try ArchiveFixture()
        try fixture.archiveSegments(1...20)
        try fixture.archiveSegments(8...30, timeline: 2)
        try fixture.archiveHistory(2, "1\t0/800000\tno recovery target specified\n")
        let archive = try fixture.archive()
        let label = ArchiveFixture.segment(3, size: WALSegmentSize(bytes: 1 << 20)!) + ".00000028.backup"
        try archive.store([ArchiveFixture.file(label, seed: 1, count: 50)], system: system, segmentSize: nil)
        try fixture.backup(timeline: 2, from: (12 << 20) + 40, to: (13 << 20) + 1, at: 1000)
        try fixture.backup(timeline: 2, from: 25 << 20, to: 26 << 20, at: 2000)
        let left = try prune(fixture)
        #expect(left[1]?.runs == [12...20])
        #expect(left[2]?.runs == [12...30])
        #expect(left[2]?.hasHistory == true)
        #expect(left[1]?.backupLabels.isEmpty == true)
        #expect(try journal(fixture).map(\.subjects.count) == [11 + 4 + 1])
    }

    private func journal(_ fixture: ArchiveFixture) throws -> [RecordFields] {
        try fixture.store.list("journal/").map {
            try SealedRecord.decode(
                .journal, fixture.store.get($0.key, atMost: 1 << 20), object: "journal", keyRing: fixture.keys).fields
        }.filter { $0.action == "prune: log" }
    }

    @Test("a batch goes when nothing in it is needed, and else as a whole stays")
    func batches() throws {
        let fixture = try ArchiveFixture()
        try fixture.archiveSegments(0...63, batched: true)
        try fixture.backup(from: 40 << 20, to: 41 << 20, at: 1000)
        #expect(try prune(fixture)[1]?.runs == [32...63])
    }

    @Test("what is locked stays with all behind it on its timeline, and goes when its lock has ended", arguments: [false, true])
    func locked(_ batched: Bool) throws {
        let fixture = try ArchiveFixture()
        try fixture.archiveSegments(0...63, batched: batched)
        try fixture.archiveSegments(0...15, timeline: 2)
        try fixture.backup(from: 40 << 20, to: 41 << 20, at: 1000)
        let clock = Monitor<Int64>(100)
        let store = LockingStore(fixture.store, ObjectLock(.compliance, seconds: 100), now: { clock.withLock { $0 } })
        let archive = try fixture.archive(store)
        let inventory = try archive.inventory(of: system)
        let size = WALSegmentSize(bytes: 1 << 20)!
        let last = ArchiveFixture.segment(31, size: size)
        let name = batched ? WALObjectName.batch(first: ArchiveFixture.segment(16, size: size), last: last) : WALObjectName("\(ArchiveFixture.segment(16, size: size))")!
        try store.extendLock(name.key(systemIdentifier: system), until: 200)
        func leave(now: Int64) throws -> (LogRetention.Plan, LogRetention.Locked) {
            clock.withLock { $0 = now }
            let retention = LogRetention(archive)
            var plan = try retention.plan(inventory, backups: try archive.baseBackups()[system] ?? [], window: nil)
            var objects: [StoreKey: StoredObject] = [:]
            for name in plan.going {
                let key = name.key(systemIdentifier: system)
                objects[key] = try store.stat(key)
            }
            let locked = try retention.leaveLocked(in: &plan, objects, now: now)
            try retention.apply(plan)
            return (plan, locked)
        }
        let (plan, locked) = try leave(now: 150)
        #expect(plan.segments == 16 + 16 && locked.until == 200)
        #expect(locked.objects.count == (batched ? 1 : 24))
        #expect(try archive.inventory(of: system)[1]?.runs == [16...63])
        #expect(try archive.inventory(of: system)[2] == nil, "another timeline is no affair of that lock")
        let (rest, free) = try leave(now: 200)
        #expect(free.objects.isEmpty && free.until == nil && rest.segments == (batched ? 32 : 40) + 16)
        #expect(try archive.inventory(of: system)[1]?.runs == [(batched ? 32 : 40)...63])
    }

    @Test("inside the recovery window all stays, and of older backups their own log")
    func window() throws {
        let fixture = try ArchiveFixture()
        try fixture.archiveSegments(1...100)
        try fixture.backup(from: 10 << 20, to: (12 << 20) + 5, at: 1000)
        try fixture.backup(from: 40 << 20, to: 41 << 20, at: 4000)
        try fixture.backup(from: 60 << 20, to: 61 << 20, at: 6000)
        try fixture.backup(from: 80 << 20, to: 81 << 20, at: 8000)
        // The window begins between the second and the third: with the second.
        #expect(try prune(fixture, window: 5999)[1]?.runs == [10...12, 40...100])
        #expect(try prune(fixture, window: 6000)[1]?.runs == [10...12, 40...40, 60...100])
        #expect(try prune(fixture, window: 9999)[1]?.runs == [10...12, 40...40, 60...60, 80...100])
    }

    @Test("a window longer than there are backups keeps all from the oldest on")
    func youngBackups() throws {
        let fixture = try ArchiveFixture()
        try fixture.archiveSegments(1...50)
        try fixture.backup(from: 10 << 20, to: 11 << 20, at: 1000)
        try fixture.backup(from: 40 << 20, to: 41 << 20, at: 4000)
        #expect(try prune(fixture, window: 500)[1]?.runs == [10...50])
    }

    @Test("a gap makes the backup behind it part of the window")
    func gap() throws {
        let fixture = try ArchiveFixture()
        try fixture.archiveSegments(1...50)
        try fixture.archiveSegments(60...100)
        let backups = try [
            fixture.backup(from: 10 << 20, to: 11 << 20, at: 1000), fixture.backup(from: 30 << 20, to: 31 << 20, at: 3000),
            fixture.backup(from: 70 << 20, to: 71 << 20, at: 7000), fixture.backup(from: 90 << 20, to: 91 << 20, at: 9000),
        ]
        let archive = try fixture.archive()
        let inventory = try archive.inventory(of: system)
        let lineages = try archive.lineages(inventory, backups: backups)
        let window = RecoveryWindow(since: time(4000), backups: backups, lineages: lineages)
        #expect(window.bases == [backups[1], backups[2]])
        #expect(window.firstSegment == 30)
    }

    @Test("the window follows the timeline that lives, over promotions, and forgets one that was abandoned before it")
    func timelines() throws {
        let fixture = try ArchiveFixture()
        try fixture.archiveSegments(1...30)
        try fixture.archiveSegments(20...40, timeline: 2)
        try fixture.archiveSegments(25...60, timeline: 3)
        try fixture.archiveHistory(2, "1\t0/1400000\tx\n")
        try fixture.archiveHistory(3, "1\t0/1900000\tx\n")
        let backups = try [
            fixture.backup(from: 5 << 20, to: 6 << 20, at: 500), fixture.backup(from: 15 << 20, to: 16 << 20, at: 1500),
            fixture.backup(timeline: 2, from: 30 << 20, to: 31 << 20, at: 2000),
            fixture.backup(timeline: 3, from: 50 << 20, to: 51 << 20, at: 5000),
        ]
        let archive = try fixture.archive()
        let inventory = try archive.inventory(of: system)
        #expect(try archive.lineages(inventory, backups: backups).map(\.history.timeline) == [2, 3])
        func bases(_ since: Int64, _ timelines: Set<UInt32>) throws -> [BaseBackup] {
            let lineages = try archive.lineages(inventory, backups: backups).filter { timelines.contains($0.history.timeline) }
            return RecoveryWindow(since: time(since), backups: backups, lineages: lineages).bases
        }
        #expect(try bases(3000, [3]) == [backups[1]])
        #expect(try bases(3000, [2]) == [backups[2]])
        #expect(try bases(1800, [2, 3]) == [backups[1]])
        #expect(try bases(6000, [3]) == [backups[3]])
    }

    @Test("whatever goes, every backup keeps its own log, and the window stays as long as it was", arguments: [UInt64](1...60))
    func property(seed: UInt64) throws {
        var random = SeededGenerator(seed)
        let fixture = try ArchiveFixture()
        var missing: Set<UInt64> = []
        for _ in 0..<random.below(3) { missing.insert(random.below(60)) }
        var number: UInt64 = 0
        while number < 60 {
            let end = min(59, number + random.below(9))
            if !missing.contains(number) {
                let last = (number...end).first { missing.contains($0 + 1) } ?? end
                try fixture.archiveSegments(number...last, batched: random.below(2) == 0)
                number = last + 1
            } else {
                number += 1
            }
        }
        var backups: [BaseBackup] = []
        for index in 0..<(1 + random.below(6)) {
            let start = random.below(55) << 20
            backups.append(
                try fixture.backup(from: start + 40, to: start + 41 + random.below(3 << 20), at: Int64(start >> 20) * 100 + Int64(index)))
        }
        let archive = try fixture.archive()
        let before = try archive.inventory(of: system)
        let since = random.below(2) == 0 ? nil : time(Int64(random.below(6000)))
        let plan = try LogRetention(archive).plan(before, backups: backups, window: since)
        try LogRetention(archive).apply(plan)
        let after = try archive.inventory(of: system)
        func complete(_ inventory: WALInventory, _ backup: BaseBackup) -> Bool {
            inventory[1]?.missing(in: backup.firstSegment...backup.lastSegment).isEmpty ?? false
        }
        for backup in backups { #expect(complete(before, backup) == complete(after, backup)) }
        let oldest = backups.map(\.firstSegment).min()!
        var first = oldest
        if let since {
            let window = RecoveryWindow(since: since, backups: backups, lineages: try archive.lineages(before, backups: backups))
            first = try #require(window.firstSegment)
            for base in window.bases {
                #expect(WALLineage(TimelineHistory(), timeline: 1, before).reach(of: base)?.segment
                    == WALLineage(TimelineHistory(), timeline: 1, after).reach(of: base)?.segment)
            }
        }
        // Not one too many, and not one too few.
        for name in plan.going {
            let there = try #require(before[1])
            guard case .file(.segment(let segment)) = name else { continue }
            let number = WALSegment(name: segment, size: there.segmentSize)!.number
            #expect(number < first && !backups.contains { ($0.firstSegment...$0.lastSegment).contains(number) })
        }
        for object in after[1]?.objects ?? [] {
            #expect(
                object.last >= first
                    || since != nil && backups.contains { $0.lastSegment >= object.first && $0.firstSegment <= object.last })
        }
    }

    @Test("whatever deletion the process dies at, what is left behind has no gap, and the next prune goes on", arguments: [false, true])
    func crashes(afterWorking: Bool) throws {
        for change in 1...13 {
            let fixture = try ArchiveFixture()
            try fixture.archiveSegments(1...20)
            let backup = try fixture.backup(from: 11 << 20, to: 12 << 20, at: 1000)
            let archive = try fixture.archive(
                FaultingStore(fixture.store, plan: FaultingStore.dying(atChange: change, afterWorking: afterWorking)))
            let inventory = try archive.inventory(of: system)
            let retention = LogRetention(archive)
            do { try retention.apply(retention.plan(inventory, backups: [backup], window: nil)) } catch is ProcessDied {}
            #expect(try fixture.archive().inventory(of: system)[1]?.runs.count == 1)
            #expect(try prune(fixture)[1]?.runs == [11...20])
        }
    }
}

typealias SeededGenerator = SeededNumbers

extension SeededNumbers {
    init(_ seed: UInt64) { self.init(seed: seed) }

    mutating func below(_ limit: UInt64) -> UInt64 { next() % limit }
}
