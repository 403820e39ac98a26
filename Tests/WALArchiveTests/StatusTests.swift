import PostgresFormats
import RepoBase
import Storage
import StorageTesting
import Testing

@testable import Repository
@testable import WALArchive

@Suite("What can be brought back")
struct StatusTests {
    private let system = ArchiveFixture.system

    private func time(_ second: Int64) -> FileTime { FileTime(seconds: second, nanoseconds: 0) }

    @Test("windows run from a backup's end to the last commit before a gap, on each timeline")
    func windows() throws {
        let fixture = try ArchiveFixture()
        try fixture.archiveSegments(1...30)
        try fixture.archiveSegments(40...50)
        try fixture.archiveSegments(20...35, timeline: 2)
        try fixture.archiveHistory(2, "1\t0/1400008\tx\n")
        let backups = try [
            fixture.backup(from: 3 << 20, to: 4 << 20, at: 400), fixture.backup(from: 10 << 20, to: 11 << 20, at: 1100),
            fixture.backup(from: 42 << 20, to: 43 << 20, at: 4300), fixture.backup(timeline: 2, from: 30 << 20, to: 31 << 20, at: 3100),
        ]
        let status = try fixture.archive().status(promises: ["main-db": ("30d", time(500))])
        let cluster = try #require(status.clusters.first)
        #expect(cluster.sources == ["main-db"] && cluster.baseBackups == 4)
        #expect(cluster.windows.map(\.timeline) == [1, 1, 2])
        #expect(cluster.windows.map(\.backup) == [backups[0].id, backups[2].id, backups[0].id])
        #expect(cluster.windows.map(\.from) == [time(400), time(4300), time(400)])
        #expect(cluster.windows.map(\.to) == [time(3000), time(5000), time(3500)])
        #expect(cluster.windows.map(\.backups) == [2, 1, 3])
        #expect(cluster.windows.map(\.end.value) == [31 << 20, 51 << 20, 36 << 20])
        #expect(cluster.gaps.map(\.segments) == [9])
        #expect(cluster.gaps.first?.isHarmful == true)
        #expect(cluster.timelines.map(\.parent) == [nil, 1])
        #expect(cluster.promise?.kept == time(400) && cluster.promise?.isKept == true)
    }

    @Test("a part of a segment, received or left by a promotion, moves a window's end to the last commit in it", arguments: [false, true])
    func partOfASegment(isLeftByPromotion: Bool) throws {
        let fixture = try ArchiveFixture()
        let size = WALSegmentSize(bytes: 1 << 20)!
        try fixture.archiveSegments(1...10)
        try fixture.backup(from: 3 << 20, to: 4 << 20, at: 400)
        let name = ArchiveFixture.segment(11, size: size)
        var facts = WALFacts()
        facts.transactionEnds = 1
        (facts.lowestTransaction, facts.highestTransaction) = (11, 11)
        let commit = PostgresTime(time(1042))
        (facts.earliestEnd, facts.latestEnd, facts.lastEnd) = (commit, commit, commit)
        facts.endOfRecords = LogSequenceNumber((11 << 20) + 8192)
        let file = isLeftByPromotion ? ArchivedFile.partial(segment: name).name : name
        let object = isLeftByPromotion ? WALObjectName.file(.partial(segment: name)) : .received(segment: name, length: 8192)
        try fixture.archive().store(
            [ArchiveFixture.file(file, seed: 1, count: 8192, facts: facts)], system: system, segmentSize: size, as: object)
        let promises = ["main-db": (span: "30d", since: time(500))]
        var cluster = try #require(try fixture.archive().status(promises: promises).clusters.first)
        #expect(cluster.windows.map(\.to) == [time(1042)])
        #expect(cluster.windows.map(\.end.value) == [(11 << 20) + 8192])
        #expect(cluster.timelines.map(\.end?.value) == [(11 << 20) + 8192])
        #expect(cluster.promise?.kept == time(400))

        // Damaged, it counts as far as names tell.
        let key = object.key(systemIdentifier: system)
        try fixture.store.put(key, Array(repeating: 1, count: 4096), .replace)
        cluster = try #require(try fixture.archive().status(promises: promises).clusters.first)
        #expect(cluster.windows.map(\.to) == [time(1000)])
        #expect(cluster.windows.map(\.end.value) == [(11 << 20) + (isLeftByPromotion ? 0 : 8192)])
        #expect(cluster.promise?.kept == time(400))
    }

    @Test("a gap's cause is told where it is known")
    func causes() throws {
        let fixture = try ArchiveFixture()
        try fixture.archiveSegments(1...5)
        try fixture.archiveSegments(8...10)
        try fixture.archiveSegments(12...14)
        let name = ArchiveFixture.segment(11, size: WALSegmentSize(bytes: 1 << 20)!)
        try fixture.archive().store(
            [ArchiveFixture.file(name, seed: 1, count: 8192)], system: system, segmentSize: WALSegmentSize(bytes: 1 << 20),
            as: .received(segment: name, length: 8192))
        try fixture.backup(from: 4 << 20, to: (5 << 20) + 9, at: 500)
        try fixture.backup(from: 8 << 20, to: 9 << 20, at: 900)
        let gaps = try #require(try fixture.archive().status().clusters.first).gaps
        #expect(gaps.count == 2)
        #expect(gaps[0].cause.contains("prune"))
        #expect(gaps[1].cause.contains("receive"))
        #expect(gaps.map(\.isLoss) == [false, true])
    }

    @Test("a writer key sees names, and says that it does not see times")
    func writerKey() throws {
        let fixture = try ArchiveFixture()
        try fixture.archiveSegments(1...3)
        let status = try fixture.archive(keys: fixture.writerKeys()).status()
        #expect(status.clusters.first?.timelines.first?.segments == 3)
        #expect(status.limitation != nil)
    }
}

@Suite("Checking the log")
struct LogCheckTests {
    private let system = ArchiveFixture.system
    private let size = WALSegmentSize(bytes: 1 << 20)!

    private func key(_ number: UInt64) -> StoreKey {
        WALObjectName.file(.segment(name: ArchiveFixture.segment(number, size: size))).key(systemIdentifier: system)
    }

    private func fixture() throws -> (ArchiveFixture, BaseBackup) {
        let fixture = try ArchiveFixture()
        try fixture.archiveSegments(1...12, isLog: true)
        try fixture.archiveSegments(16...40, batched: true, isLog: true)
        try fixture.archiveHistory(2, "1\t0/1400008\tx\n")
        return (fixture, try fixture.backup(from: 5 << 20, to: (7 << 20) + 1, at: 700))
    }

    @Test("a sound log has no errors")
    func sound() throws {
        let (fixture, _) = try fixture()
        let report = try LogCheck(fixture.archive(), data: .all).run()
        #expect(report.errors.isEmpty)
        #expect(report.objects == 12 + 2 + 1 + 0 && report.bytesRead > 0)
    }

    @Test("a flipped byte of the content is found by reading, one of the description without", arguments: [true, false])
    func flipped(inContent: Bool) throws {
        let (fixture, backup) = try fixture()
        var bytes = try fixture.store.get(key(6), atMost: 1 << 20)
        bytes[inContent ? bytes.count - 3 : 250] ^= 1
        try fixture.store.put(key(6), bytes, .replace)
        #expect(try LogCheck(fixture.archive()).run().errors.isEmpty == inContent)
        let errors = try LogCheck(fixture.archive(), data: .all).run().errors
        #expect(errors.map(\.object) == ["\(key(6))"])
        #expect(errors.first?.snapshots == [backup.id])
    }

    @Test("what an object says of its segment is found where it cannot be, and by reading where it is not so", arguments: [true, false])
    func lie(isPossible: Bool) throws {
        let (fixture, backup) = try fixture()
        let honest = try ArchiveFixture.logFile(6)
        var facts = try #require(honest.facts)
        if isPossible { facts.lastEnd = facts.lastEnd.map { PostgresTime(microseconds: $0.microseconds + 1) } } else { facts.firstRecord = LogSequenceNumber(8 << 20) }
        try fixture.store.delete(key(6))
        let archive = try fixture.archive()
        try archive.store([WALFile(name: honest.name, content: honest.content, facts: facts)], system: system, segmentSize: size)
        #expect(try LogCheck(archive).run().errors.isEmpty == isPossible)
        let errors = try LogCheck(archive, data: .all).run().errors
        #expect(errors.map(\.object) == ["\(key(6))"] && errors.first?.snapshots == [backup.id])
        #expect(errors.first?.problem.contains("of the log in \(honest.name)") == true)
        let reader = try archive.open(.file(.segment(name: honest.name)), system: system)
        if isPossible { #expect(try reader.facts() == [facts]) } else { #expect { try reader.facts() } throws: { ($0 as? RepoError)?.code == .damaged } }
    }

    @Test("what was archived although it is damaged is as sound as it was, alone and among others")
    func acceptedDamage() throws {
        let (fixture, _) = try fixture()
        let archive = try fixture.archive()
        var sound = try ArchiveFixture.logFile(51)
        let torn = try ArchiveFixture.logFile(52)
        torn.content.base.storeBytes(of: 7, toByteOffset: 50_000, as: UInt8.self)
        let strange = ArchiveFixture.file(ArchiveFixture.segment(53, size: size), seed: 1, count: 100)
        let accepted = WALFile(name: torn.name, content: torn.content, facts: nil)
        try archive.store([sound, accepted, strange], system: system, segmentSize: size)
        try archive.store([WALFile(name: ArchiveFixture.segment(60, size: size), content: torn.content, facts: nil)], system: system, segmentSize: size)
        #expect(try LogCheck(archive, data: .all).run().errors.isEmpty)
        // Sound, and another's.
        let other = try ArchiveFixture.logFile(61, system: 7)
        try archive.store([WALFile(name: ArchiveFixture.segment(61, size: size), content: other.content, facts: other.facts)], system: system, segmentSize: size)
        #expect(try LogCheck(archive, data: .all).run().errors.map(\.problem) == ["what is in it as \(other.name) is the log of cluster 7 from 0/3D00000 on"])
        try fixture.store.delete(key(61))
        // Nothing is said of one that is sound: whoever plans by it would miss what it holds.
        sound = try ArchiveFixture.logFile(62)
        sound.facts = WALFacts()
        try archive.store([sound, try ArchiveFixture.logFile(63)], system: system, segmentSize: size)
        #expect(try LogCheck(archive, data: .all).run().errors.map(\.problem) == ["what it says of the log in \(sound.name) is not what is in it"])
    }

    @Test("what is truncated, grown, swapped, missing, doubled or foreign is found and named", arguments: 0..<7)
    func damaged(kind: Int) throws {
        let (fixture, backup) = try fixture()
        let bytes = try fixture.store.get(key(6), atMost: 1 << 20)
        var object = "\(key(6))"
        switch kind {
        case 0: try fixture.store.put(key(6), Array(bytes.dropLast()), .replace)
        case 1: try fixture.store.put(key(6), bytes + [0], .replace)
        case 2: try fixture.store.put(key(6), fixture.store.get(key(5), atMost: 1 << 20), .replace)
        case 3: try fixture.store.delete(key(6))
        case 4: try fixture.store.put(key(6), [], .replace)
        case 5:
            let stray = StoreKey("wal/\(system)/00000001/00000000/nonsense")
            try fixture.store.put(stray, bytes, .create)
            object = "\(stray)"
        default:
            // The same segment with other content, as a process that lost a race leaves it.
            let writer = WALObjectWriter(keys: fixture.keys, hasher: try fixture.archive().hasher)
            let files = [try ArchiveFixture.logFile(5), ArchiveFixture.file(ArchiveFixture.segment(6, size: size), seed: 99, count: 100)]
            let name = WALObjectName.batch(first: files[0].name, last: files[1].name)
            let sealed = try writer.seal(
                WALFileSource(files), key: name.key(systemIdentifier: system), segmentSize: size, stored: FileTime(seconds: 1, nanoseconds: 0), host: "h")
            try fixture.store.put(name.key(systemIdentifier: system), sealed.bytes.array, .create)
            let found = try LogCheck(fixture.archive()).run().errors
            #expect(found.count == 1 && found[0].problem.contains("other content"))
            return
        }
        let errors = try LogCheck(fixture.archive()).run().errors
        #expect(errors.map(\.object) == [object])
        if kind != 5 { #expect(errors.first?.snapshots == [backup.id]) }
    }

    @Test("parts cover everything")
    func parts() throws {
        let (fixture, _) = try fixture()
        let all = try LogCheck(fixture.archive(), data: .all).run().bytesRead
        let parts = try (1...3).map { try LogCheck(fixture.archive(), data: .part($0, of: 3)).run().bytesRead }
        #expect(parts.reduce(0, +) == all)
    }
}
