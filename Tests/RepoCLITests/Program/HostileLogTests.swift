import BlobEngine
import RepoBase
import Storage
import Testing

@testable import PostgresFormats
@testable import RepoCLI
@testable import Repository
@testable import WALArchive

/// What an object of the log says of its segment comes from who stored it. Whatever a stolen writer's key is made to say there, nothing may fall over it.
@Suite("Segments that say what no log does") struct HostileLogTests {
    enum Claim: String, CaseIterable {
        case times, lateTimes, positions, lists, records, inside, transactions

        func facts(start: UInt64) -> WALFacts {
            var facts = WALFacts()
            let (first, last) = (PostgresTime(microseconds: .min), PostgresTime(microseconds: .max))
            (facts.firstRecord, facts.endOfRecords) = (LogSequenceNumber(start + 40), LogSequenceNumber(start + 4096))
            facts.transactionEnds = 2
            (facts.earliestEnd, facts.latestEnd, facts.lastEnd) = (PostgresTime(microseconds: 1), PostgresTime(microseconds: 2), PostgresTime(microseconds: 2))
            switch self {
            case .times: (facts.earliestEnd, facts.latestEnd, facts.lastEnd) = (first, last, first)
            case .lateTimes: (facts.earliestEnd, facts.latestEnd, facts.lastEnd) = (last, last, last)
            case .positions: (facts.firstRecord, facts.endOfRecords, facts.switchRecord) = (LogSequenceNumber(.max), LogSequenceNumber(.max), LogSequenceNumber(.max))
            case .lists:
                facts.restorePoints = [
                    .init(position: LogSequenceNumber(.max), end: LogSequenceNumber(.max), time: last, name: "late"),
                    .init(position: LogSequenceNumber(0), end: LogSequenceNumber(0), time: first, name: "early"),
                    .init(position: LogSequenceNumber(start + 50), end: LogSequenceNumber(start + 90), time: first, name: HostileSnapshotTests.escape),
                    .init(position: LogSequenceNumber(start + 100), end: LogSequenceNumber(start + 200), time: last, name: "here"),
                ]
                facts.checkpoints = [
                    .init(position: LogSequenceNumber(.max), redo: LogSequenceNumber(.max), time: last, timeline: .max, isShutdown: true),
                    .init(position: LogSequenceNumber(0), redo: LogSequenceNumber(0), time: first, timeline: 0, isShutdown: false),
                ]
            case .records:
                facts.openRecord = .init(position: LogSequenceNumber(.max), head: Array(repeating: 255, count: 128))
                facts.continuation = .init(remaining: .max, head: Array(repeating: 255, count: 128))
            // Positions that may be, so that the rest is read.
            case .inside:
                facts.restorePoints = [
                    .init(position: LogSequenceNumber(start + 50), end: LogSequenceNumber(start + 90), time: first, name: HostileSnapshotTests.escape),
                    .init(position: LogSequenceNumber(start + 100), end: LogSequenceNumber(start + 200), time: last, name: "here"),
                    .init(position: LogSequenceNumber(start + 200), end: LogSequenceNumber(start + 300), time: first, name: "early"),
                    .init(position: LogSequenceNumber(start + (1 << 20) - 8), end: LogSequenceNumber(start + (1 << 20)), time: last, name: "late"),
                ]
                facts.checkpoints = [.init(position: LogSequenceNumber(start + 400), redo: LogSequenceNumber(.max), time: last, timeline: .max, isShutdown: true)]
                facts.openRecord = .init(position: LogSequenceNumber(start + (1 << 20) - 8), head: Array(repeating: 255, count: 128))
                facts.continuation = .init(remaining: .max, head: Array(repeating: 255, count: 128))
            case .transactions: (facts.transactionEnds, facts.lowestTransaction, facts.highestTransaction) = (.max, .max, 0)
            }
            return facts
        }
    }

    private static let system: UInt64 = 7_000_000_000_000_000_001
    private let folder: ProgramFolder

    init() throws { folder = try ProgramFolder() }

    @Test(arguments: Claim.allCases) func areNoTrap(_ claim: Claim) throws {
        try archive(claim)
        let place = "\(folder.path)/\(claim)"
        for words in [
            ["snapshots"], ["wal", "status"], ["wal", "status", "--json"], ["check"], ["check", "--json"], ["stats"],
            ["wal", "get", "000000010000000000000002", "\(place)-segment", "--system-identifier", "\(Self.system)"],
            ["restore", "--source", "till", "--at", "now", "--target", place, "--dry-run", "--skip-log-check"], ["restore", "--source", "till", "--at", "1999-12-31T23:59:59Z", "--target", place, "--dry-run", "--skip-log-check"],
            ["restore", "--source", "till", "--at", "0002-01-01T00:00:00Z", "--target", place, "--dry-run", "--skip-log-check"], ["restore", "--source", "till", "--at", "9999-01-01T00:00:00Z", "--target", place, "--dry-run", "--skip-log-check"],
            ["restore", "--source", "till", "--latest", "--target", place, "--dry-run", "--skip-log-check"],
            ["restore", "--source", "till", "--target-immediate", "--target", place, "--dry-run", "--skip-log-check"],
            ["restore", "--source", "till", "--target-lsn", "0/3000000", "--target", place, "--dry-run", "--skip-log-check"], ["restore", "--source", "till", "--target-lsn", "FFFFFFFF/FFFFFFFF", "--target", place, "--dry-run", "--skip-log-check"],
            ["restore", "--source", "till", "--target-xid", "4294967295", "--target", place, "--dry-run", "--skip-log-check"], ["restore", "--source", "till", "--target-name", "late", "--target", place, "--dry-run", "--skip-log-check"],
            ["restore", "--source", "till", "--target-name", "early", "--target", place, "--dry-run", "--skip-log-check"], ["restore", "--source", "till", "--target-name", "here", "--target", place, "--dry-run", "--skip-log-check"],
            ["restore", "--source", "till", "--at", "now", "--table", "orders", "--to", "service=none", "--dry-run"],
            ["drill", "--source", "till", "--random"], ["drill", "--source", "till", "--latest"],
            ["forget", "--preset", "standard", "--dry-run"], ["forget", "--preset", "standard", "--recovery-window", "7d", "--dry-run"], ["prune", "--dry-run"], ["prune"],
            ["init", "--repo", "\(folder.path)/twin", "--copy-of", folder.repository], ["copy", "--to", "\(folder.path)/twin"], ["copy", "--to", "\(folder.path)/twin", "--status"],
            ["check", "--read-data"], ["repair", "wal"],
        ] {
            let outcome = try folder.program.run(words)
            #expect(outcome.signal == 0, "\(words) \(claim): \(outcome.errors.suffix(6000))")
            let shown = (words.contains("--json") ? "" : outcome.text) + outcome.errors
            #expect(!shown.contains { "\u{1B}\u{7}\u{9B}\u{202E}\r".contains($0) }, "\(words): \(shown)")
        }
    }

    /// It claims to be the newest base backup of somebody's cluster: what is recovered needs it for nothing.
    @Test(arguments: [["--latest"], ["--at", "9999-01-01T00:00:00Z"], ["--target-lsn", "0/3000000"]])
    func aBaseBackupThatDoesNotReadStandsInNoRecoverysWay(_ target: [String]) throws {
        try archive(.transactions)
        let words = ["restore", "--source", "till", "--target", "\(folder.path)/out", "--dry-run", "--skip-log-check"] + target
        let before = try folder.program.run(words)
        let repository = try CommandContext(console: Console(environment: folder.program.environment), options: GlobalOptions.parse([])).openRepository()
        var snapshot = try SnapshotCatalog(repository).find("latest:till").snapshot
        (snapshot.time.seconds, snapshot.facts) = (snapshot.time.seconds + 1, [1, 1])
        let bytes = try SnapshotCodec.encode(snapshot, epoch: repository.keys.currentEpoch, signer: repository.keys.signer)
        let forged = ObjectHasher.hash(bytes)
        try repository.store.put(StoreKey("snapshots/\(forged)"), bytes, .create)
        let after = try folder.program.run(words)
        #expect(after.status == before.status && after.text == before.text && after.errors.hasSuffix(before.errors), "\(before) \(after)")
        #expect(after.errors.contains("snapshots/\(forged) is damaged"))
        // What the files of the newest are, nobody can tell then; nor where it is the only one.
        let immediate = try folder.program.run("restore", "--source", "till", "--target-immediate", "--target", "\(folder.path)/out", "--dry-run")
        #expect(immediate.status == 12 && immediate.errors.contains("it may be the newest"), "\(immediate)")
        let only = try SnapshotCatalog(repository).all().first { $0.id != forged && $0.snapshot.source == "till" }
        try repository.store.delete(StoreKey("snapshots/\(#require(only).id)"))
        let alone = try folder.program.run(words)
        #expect(alone.status == 12 && alone.errors.contains("snapshots/\(forged) is damaged"), "\(alone)")
    }

    /// A base backup, and three segments behind it of which the middle one makes the claim.
    private func archive(_ claim: Claim) throws {
        let first = try folder.snapshot("shop", Array("one".utf8))
        let console = Console(environment: folder.program.environment)
        let repository = try CommandContext(console: console, options: GlobalOptions.parse([])).openRepository()
        let archive = WALArchive(repository)
        let size = WALSegmentSize(bytes: 1 << 20)!
        for number in UInt64(1)...3 {
            let segment = WALSegment(timeline: 1, number: number)
            let content = AlignedBuffer(capacity: size.bytes)
            content.base.initializeMemory(as: UInt8.self, repeating: UInt8(number), count: size.bytes)
            content.count = size.bytes
            let start = segment.start(size).value
            let facts = number == 2 ? claim.facts(start: start) : Claim.transactions.facts(start: start)
            try archive.store([WALFile(name: segment.name(size), content: content, facts: facts)], system: Self.system, segmentSize: size, stamp: WALStamp(time: SystemClock.now(), host: HostileSnapshotTests.escape))
        }
        var snapshot = try SnapshotCatalog(repository).find(first).snapshot
        (snapshot.source, snapshot.kind) = ("till", "postgres")
        var facts = ClusterFacts(
            method: .physical, systemIdentifier: Self.system, serverVersion: 180_000, startTime: snapshot.time, stopTime: snapshot.time)
        (facts.timeline, facts.segmentSize) = (1, size)
        (facts.start, facts.stop) = (LogSequenceNumber(1 << 20 | 40), LogSequenceNumber(1 << 20 | 4096))
        let escape = HostileSnapshotTests.escape
        (facts.label, facts.settings, facts.tablespaces, facts.databases) = (
            escape, [escape: escape], [.init(oid: 1, location: escape)], [.init(name: escape, bytes: 1, rowCounts: [.init(schema: escape, table: escape, rows: 1)])]
        )
        snapshot.facts = facts.encoded()
        let bytes = try SnapshotCodec.encode(snapshot, epoch: repository.keys.currentEpoch, signer: repository.keys.signer)
        try repository.store.put(StoreKey("snapshots/\(ObjectHasher.hash(bytes))"), bytes, .create)
    }
}
