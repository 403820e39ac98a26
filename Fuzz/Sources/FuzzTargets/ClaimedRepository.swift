@testable import BlobEngine
import Glibc
@testable import PostgresFormats
import PostgresTesting
import RepoBase
@testable import RepoCLI
@testable import Repository
import Storage
@testable import WALArchive

/// A repository as a stolen writer's key can make it: honest snapshots, a base backup, three segments behind it and a report, and beside them what an input claims.
final class ClaimedRepository {
    static let system: UInt64 = 7_000_000_000_000_000_001
    private static let segmentSize = SyntheticLog.segmentSize

    /// Files of the folder before anybody claims anything, by their paths in it.
    private let files: [(path: String, bytes: [UInt8])]
    private let honest: Snapshot
    private let report: Report

    /// Makes it with the program's own commands.
    init(_ work: FuzzFolder) throws {
        let first = CommandSession(work, password: "secret")
        func require(_ status: Int32, _ session: CommandSession) { demand(status == 0, session.text) }
        require(first.run(["init"]), first)
        require(first.run(["key", "add", "--out", "@machine.key"]), first)
        let session = CommandSession(work)
        for (name, count) in [("a", 5000), ("b", 20), ("empty", 0)] {
            try Self.write("\(work.path)/restored/\(name)", (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31 >> 3) })
        }
        require(session.run(["snapshot", "files", "--name", "shop", "--host", "host", "--time", "2023-11-14T22:13:20Z", "@restored"]), session)
        require(session.run(["init", "--repo", "@twin", "--copy-of", "@repository"]), session)
        let repository = try Self.open(work)
        let entries = try SnapshotCatalog(repository).all(onProblem: { _, error in preconditionFailure("\(error)") })
        honest = entries[0].snapshot
        var backup = honest
        (backup.source, backup.kind, backup.facts) = ("till", "postgres", Self.physical.encoded())
        try Self.put(backup.encoded(), repository)
        for number in UInt64(1)...3 { try Self.archive(number, Self.facts(number), repository) }
        require(session.run(["drill", "--source", "shop"]), session)
        report = try Reports(repository).all()[0].report
        var files: [(path: String, bytes: [UInt8])] = []
        for name in ["machine.key", "repository", "twin"] { try Self.read(work.path, name, into: &files) }
        self.files = files
        work.empty()
    }

    /// Throws where what is claimed cannot be stored at all.
    func write(_ claims: ForgedClaims, to work: FuzzFolder) throws {
        for (path, bytes) in files { try Self.write("\(work.path)/\(path)", bytes) }
        guard !claims.records.isEmpty else { return }
        let repository = try Self.open(work)
        for record in claims.records {
            switch record.kind {
            case .files: try Self.put(Self.changed(honest.encoded(), record.fields), repository)
            case .backup:
                var backup = honest
                (backup.source, backup.kind, backup.facts) = ("till", "postgres", Self.physical.encoded())
                try Self.put(Self.changed(backup.encoded(), record.fields), repository)
            case .physical, .logical:
                var backup = honest
                (backup.source, backup.kind) = (record.selector & 1 == 0 ? "till" : "shop", "postgres")
                backup.time.seconds += Int64(record.selector)
                backup.facts = Self.changed((record.kind == .physical ? Self.physical : Self.logical).encoded(), record.fields)
                try Self.put(backup.encoded(), repository)
            case .segment:
                // Others than those that are there, and other accounts of the same.
                let number = UInt64(record.selector % 8) + 1
                guard let facts = try? WALFacts(Self.changed(Self.facts(number).encoded(), record.fields), object: "facts") else { continue }
                try? Self.archive(number, facts, repository, timeline: record.selector >= 128 ? 2 : 1)
            case .report:
                guard let report = try? Report(Self.changed(report.encoded(), record.fields), object: "report") else { continue }
                try Reports(repository).add(report)
            }
        }
    }

    func honestFields(_ kind: ForgedClaims.Kind) -> [FieldMutator.Field] {
        let bytes =
            switch kind {
            case .files, .backup: Self.snapshot.encoded()
            case .physical: Self.physical.encoded()
            case .logical: Self.logical.encoded()
            case .segment: Self.facts(2).encoded()
            case .report: report.encoded()
            }
        return FieldMutator.fields(bytes)!
    }

    // MARK: - What an honest one says

    private static let time = FileTime(seconds: 1_700_000_000, nanoseconds: 0)

    /// For its fields; its root is nowhere.
    private static let snapshot: Snapshot = {
        var snapshot = Snapshot(time: time, source: "till", kind: "postgres", root: BlobID(words: 1, 2, 3, 4))
        (snapshot.host, snapshot.user, snapshot.programVersion, snapshot.started) = ("host", "user", "1.0.0", time)
        (snapshot.tags, snapshot.paths, snapshot.arguments) = (["K=V"], [Array("/srv".utf8)], [Array("snapshot".utf8)])
        snapshot.problems = [SnapshotProblem(path: Array("/srv/gone".utf8), message: "it vanished")]
        return snapshot
    }()

    private static let physical: ClusterFacts = {
        var facts = ClusterFacts(method: .physical, systemIdentifier: system, serverVersion: 180_000, startTime: time, stopTime: FileTime(seconds: time.seconds + 1, nanoseconds: 0))
        (facts.timeline, facts.segmentSize) = (1, segmentSize)
        (facts.start, facts.stop) = (LogSequenceNumber(1 << 20 | 144), LogSequenceNumber(1 << 20 | 8192))
        (facts.label, facts.settings, facts.tablespaces) = ("nightly", ["wal_level": "replica", "max_connections": "100"], [.init(oid: 16_400, location: "/srv/fast")])
        facts.databases = [.init(name: "shop", bytes: 8_000_000, rowCounts: [.init(schema: "public", table: "orders", rows: 17)])]
        return facts
    }()

    private static let logical: ClusterFacts = {
        var facts = ClusterFacts(method: .logical, systemIdentifier: system, serverVersion: 180_000, startTime: time, stopTime: time)
        facts.databases = physical.databases
        return facts
    }()

    /// By number and timeline: their content, and what it says of itself.
    nonisolated(unsafe) private static var segments: [[UInt64]: (bytes: [UInt8], facts: WALFacts)] = [:]

    private static func segment(_ number: UInt64, _ timeline: UInt32) -> (bytes: [UInt8], facts: WALFacts) {
        if let known = segments[[number, UInt64(timeline)]] { return known }
        // A second later with each, from 2023-11-14T22:13:22Z on; in microseconds since 2000.
        let time = PostgresTime(microseconds: 753_315_201_000_000 + Int64(number) * 1_000_000)
        let bytes = SyntheticLog.segment(
            number, timeline: timeline, system: system, transaction: 748 + UInt32(number), at: time, restorePoint: number == 2 ? "before" : "other")
        let contents = try! bytes.withUnsafeBytes { bytes throws(RepoError) in try WALSegmentReader.read(bytes, object: "segment") }
        segments[[number, UInt64(timeline)]] = (bytes, contents.facts)
        return (bytes, contents.facts)
    }

    private static func facts(_ number: UInt64, _ timeline: UInt32 = 1) -> WALFacts { segment(number, timeline).facts }

    // MARK: - Objects

    /// The fields, with those of a tag replaced by the claim's that have it; what is no sequence of fields stands as it is.
    private static func changed(_ honest: [UInt8], _ claim: [UInt8]) -> [UInt8] {
        guard let claimed = FieldMutator.fields(claim) else { return claim }
        let tags = Set(claimed.map(\.tag))
        let fields = FieldMutator.fields(honest)!.filter { !tags.contains($0.tag) } + claimed
        return FieldMutator.encode(fields.enumerated().sorted { ($0.element.tag, $0.offset) < ($1.element.tag, $1.offset) }.map(\.element))
    }

    private static func open(_ work: FuzzFolder) throws -> OpenRepository {
        try CommandSession(work).context().openRepository()
    }

    private static func put(_ fields: [UInt8], _ repository: OpenRepository) throws {
        let bytes = try EnvelopedFrame(magic: "reposnap", word: "snapshot", name: "snapshot", byteLimit: SnapshotCodec.byteLimit)
            .encode(fields, epoch: repository.keys.currentEpoch, signer: repository.keys.signer)
        try repository.store.put(SnapshotObject.key(ObjectHasher.hash(bytes)), bytes, .replace)
    }

    private static func archive(_ number: UInt64, _ facts: WALFacts, _ repository: OpenRepository, timeline: UInt32 = 1) throws {
        let content = AlignedBuffer(capacity: segmentSize.bytes)
        segment(number, timeline).bytes.withUnsafeBytes { content.base.copyMemory(from: $0.baseAddress!, byteCount: $0.count) }
        content.count = segmentSize.bytes
        let name = WALSegment(timeline: timeline, number: number).name(segmentSize)
        try WALArchive(repository).store(
            [WALFile(name: name, content: content, facts: facts)], system: system, segmentSize: segmentSize, stamp: WALStamp(time: time, host: "host"))
    }

    // MARK: - Files

    private static func read(_ folder: String, _ path: String, into files: inout [(path: String, bytes: [UInt8])]) throws {
        var status = stat()
        guard lstat("\(folder)/\(path)", &status) == 0 else { return }
        if status.st_mode & S_IFMT == S_IFDIR {
            for name in try LocalFolder.names(in: "\(folder)/\(path)").sorted() { try read(folder, "\(path)/\(name)", into: &files) }
            return
        }
        let file = Glibc.open("\(folder)/\(path)", O_RDONLY | O_CLOEXEC)
        defer { close(file) }
        let size = Int(status.st_size)
        files.append((path, [UInt8](unsafeUninitializedCapacity: size) { buffer, count in count = pread(file, buffer.baseAddress, size, 0) }))
    }

    private static func write(_ path: String, _ bytes: [UInt8]) throws {
        var file = Glibc.open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        if file < 0, errno == ENOENT {
            for (index, character) in path.utf8.enumerated() where index > 0 && character == UInt8(ascii: "/") { mkdir(String(path.utf8.prefix(index))!, 0o700) }
            file = Glibc.open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        }
        precondition(file >= 0 && Glibc.write(file, bytes, bytes.count) == bytes.count, "\(path): \(String(cString: strerror(errno)))")
        close(file)
    }
}
