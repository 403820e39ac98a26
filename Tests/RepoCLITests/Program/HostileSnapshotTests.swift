import BlobEngine
import RepoBase
import Storage
import Testing

@testable import PostgresFormats
@testable import RepoCLI
@testable import Repository

/// Whoever stole a machine with a writer's key can store snapshots that say anything. No command of the others may fall over what they say: they must be listed,
/// named, and let go.
@Suite("Snapshots that say what no program writes") struct HostileSnapshotTests {
    enum Claim: String, CaseIterable {
        case earliest, latest, startedEarly, startedLate, everything, cluster, longLog, lastLog, backwards, dumps, texts

        func make(_ snapshot: inout Snapshot) throws {
            let (first, last) = (FileTime(seconds: .min, nanoseconds: 0), FileTime(seconds: .max, nanoseconds: 999_999_999))
            switch self {
            case .earliest: snapshot.time = first
            case .latest: snapshot.time = last
            case .startedEarly: snapshot.started = first
            case .startedLate: snapshot.started = last
            case .everything: for value in SnapshotStatistics.order { snapshot.statistics[keyPath: value] = .max }
            case .texts:
                let escape = HostileSnapshotTests.escape
                (snapshot.host, snapshot.user, snapshot.kind, snapshot.programVersion, snapshot.tags) = (escape, escape, escape, escape, ["a=\(escape)", escape])
                (snapshot.paths, snapshot.arguments) = ([Array(escape.utf8)], [Array(escape.utf8)])
                snapshot.problems = [SnapshotProblem(path: Array(escape.utf8), message: escape)]
            case .cluster, .longLog, .lastLog, .backwards, .dumps:
                snapshot.kind = "postgres"
                let bounds = FileTime.recordedSeconds
                var facts = ClusterFacts(
                    method: self == .dumps ? .logical : .physical, systemIdentifier: .max, serverVersion: 180_000,
                    startTime: self == .cluster ? first : FileTime(seconds: bounds.lowerBound, nanoseconds: 0),
                    stopTime: self == .cluster ? last : FileTime(seconds: bounds.upperBound, nanoseconds: 0))
                facts.timeline = .max
                switch self {
                case .cluster: (facts.start, facts.stop) = (LogSequenceNumber(1), LogSequenceNumber(1 << 20))
                case .longLog: (facts.start, facts.stop) = (LogSequenceNumber(1), LogSequenceNumber(1 << 63))
                case .lastLog: (facts.start, facts.stop) = (LogSequenceNumber(.max - 1), LogSequenceNumber(.max))
                default: (facts.start, facts.stop) = (LogSequenceNumber(1 << 30), .invalid)
                }
                facts.databases = [.init(name: "shop", bytes: .max), .init(name: "till", bytes: .max, rowCounts: [
                    .init(schema: "public", table: "a", rows: .max), .init(schema: "public", table: "b", rows: .max),
                ])]
                snapshot.facts = facts.encoded()
            }
        }
    }

    /// What would move a terminal's cursor, set its title, or turn a line round.
    static let escape = "\u{1B}]0;gone\u{7}\u{1B}[2J\r\n\u{9B}31m\u{202E}"
    private let folder: ProgramFolder

    init() throws { folder = try ProgramFolder() }

    @Test(arguments: Claim.allCases) func areNoTrap(_ claim: Claim) throws {
        let first = try folder.snapshot("shop.sql", Array("one".utf8))
        let forged = try forge(from: first, claim)
        for words in [
            ["snapshots"], ["snapshots", "--json"], ["stats", "--snapshots"], ["stats", "--snapshots", "--json"], ["ls", forged, "--json"], ["cat", forged, "shop.sql"], ["diff", first, forged],
            ["diff", forged, first], ["find", "shop.sql"], ["check", "--read-data"], ["forget", "--dry-run", "--preset", "standard"], ["forget", "--dry-run", "--preset", "compact", "--accept-unusual"],
            ["forget", "--dry-run", "--keep-within", "2d", "--keep-within-yearly", "3y", "--minimum-age", "4d"], ["restore", forged, "--target", "\(folder.path)/\(claim)"],
            ["restore", "--source", "shop.sql", "--at", "now", "--target", "\(folder.path)/\(claim)-now"], ["restore", "latest", "--target", "\(folder.path)/\(claim)-latest", "--dry-run"],
            ["wal", "status"], ["copy", "--status"], ["drill", "--source", "shop.sql"], ["drill", forged], ["hold", "add", forged], ["hold"], ["hold", "remove", forged],
            ["init", "--repo", "\(folder.path)/twin", "--copy-of", folder.repository], ["copy", "--to", "\(folder.path)/twin"], ["copy", "--to", "\(folder.path)/twin", "--status"],
            ["snapshot", "stdin", "--name", "shop.sql"], ["repair", "snapshots", forged], ["forget", forged], ["prune"], ["check"],
        ] {
            let outcome = try folder.program.run(words)
            #expect(outcome.signal == 0, "\(words) \(claim): \(outcome.errors.suffix(6000))")
            // JSON has its own escapes, and is for programs.
            let shown = (words[0] == "cat" || words.contains("--json") ? "" : outcome.text) + outcome.errors
            #expect(!shown.contains { "\u{1B}\u{7}\u{9B}\u{202E}\r".contains($0) }, "\(words): \(shown)")
            switch words {
            // What no arithmetic can take is damage, and named.
            case ["check", "--read-data"]:
                let isNamed = outcome.status == 12 && (outcome.errors + outcome.text).contains("snapshots/\(forged)")
                #expect(isNamed != [.everything, .dumps, .texts].contains(claim), "\(claim): \(outcome)")
            // Set aside or let go, it is in nobody's way.
            case ["prune"], ["check"]: #expect(outcome.status == 0, "\(claim): \(outcome)")
            default: break
            }
        }
        try folder.expect(first, "shop.sql", Array("one".utf8))
    }

    @Test(arguments: [
        "", "{", "[]", "null", "1e999", #"{"time":1e999,"source":[],"seconds":-1e308,"checks":{},"phases":7,"rowCounts":[{"rows":1e30}],"databases":[{"bytes":-1}]}"#,
        #"{"source":"shop","outcome":"passed","time":"99999-99-99T99:99:99Z","checks":[{"name":null,"seconds":1e999,"findings":[1]}]}"#,
    ])
    func nothingFallsOverAReport(_ text: String) throws {
        let repository = try open()
        let bounds = FileTime.recordedSeconds
        for (time, outcome) in [(bounds.lowerBound, Int32(0)), (bounds.upperBound, 255), (.max, 1)] {
            try Reports(repository).add(Report(time: FileTime(seconds: time, nanoseconds: 999_999_999), source: "\u{1B}[31m\n", outcome: outcome, text: text))
        }
        for words in [["drill", "--list"], ["drill", "--list", "--json"], ["drill", "--show", "latest"], ["drill", "--show", "latest", "--json"], ["check", "--read-data"], ["prune"]] {
            let outcome = try folder.program.run(words)
            #expect(outcome.signal == 0, "\(words): \(outcome.errors.suffix(6000))")
            #expect(words[0] == "check" || !outcome.text.contains("\u{1B}"), "\(words): \(outcome.text)")
        }
    }

    @Test func nothingFallsOverWhatATreeSays() throws {
        let tree = "\(folder.path)/tree"
        for name in ["block", "fifo", "file", "link"] { try FileTree.write("\(tree)/\(name)", Array(name.utf8)) }
        try #require(try folder.program.run(["snapshot", "files", tree]).status == 0)
        let first = try folder.snapshotIDs().first!
        let forged = try forgeTree(like: first)
        let out = "\(folder.path)/out"
        for words in [
            ["ls", forged], ["ls", forged, "--json"], ["ls", forged, "--long"], ["diff", first, forged], ["diff", forged, first, "--json"], ["find", "f*"], ["find", "f*", "--json"],
            ["cat", forged, "file"], ["stats", "--snapshots"], ["restore", forged, "--target", out, "--dry-run"], ["restore", forged, "--target", out],
            ["restore", forged, "--target", out, "--verify", "--overwrite", "always", "--delete"], ["restore", first, "--target", out], ["drill", "--source", tree],
            ["snapshot", "files", tree], ["check", "--read-data"], ["repair", "snapshots"], ["forget", forged, "--prune"], ["check"],
        ] {
            let outcome = try folder.program.run(words)
            #expect(outcome.signal == 0, "\(words): \(outcome.errors.suffix(6000))")
        }
    }

    /// A snapshot after another one, with entries that no file system has.
    private func forgeTree(like id: String) throws -> String {
        let repository = try open()
        let before = try SnapshotCatalog(repository).find(id).snapshot
        let writer = try SnapshotWriter(repository, options: SnapshotOptions(), following: before)
        func metadata(_ type: FileType, _ time: Int64, permissions: UInt16 = .max) -> FileMetadata {
            FileMetadata(
                type: type, permissions: permissions & 0o7777, userID: .max, groupID: .max, userName: [0xFF, 0x1B], groupName: [0], size: type == .regular ? 4 : .max,
                linkCount: .max, device: .max, inode: .max, deviceNumber: DeviceNumber(major: .max, minor: .max),
                modificationTime: FileTime(seconds: time, nanoseconds: 999_999_999), changeTime: FileTime(seconds: -1 - time, nanoseconds: 0))
        }
        try writer.enterDirectory([], metadata(.directory, .min))
        for directory in before.paths.first.map({ $0.split(separator: UInt8(ascii: "/")) }) ?? [] { try writer.enterDirectory(Array(directory), metadata(.directory, .max)) }
        try writer.add(TreeEntry(name: Array("block".utf8), metadata: metadata(.blockDevice, .max), payload: .special))
        try writer.add(TreeEntry(name: Array("fifo".utf8), metadata: metadata(.fifo, .min), payload: .special))
        let feed = writer.beginContent(.contentDefined, previous: nil)
        var isRead = false
        while try feed.read({ space in
            defer { isRead = true }
            if !isRead { space.copyBytes(from: "file".utf8) }
            return isRead ? 0 : 4
        }) > 0 {}
        try writer.add(TreeEntry(name: Array("file".utf8), metadata: metadata(.regular, .max), payload: .file(.empty)), content: feed.finish())
        try writer.add(TreeEntry(name: Array("link".utf8), metadata: metadata(.symbolicLink, .min), payload: .symbolicLink(target: Array(repeating: 0x2F, count: 4095))))
        for _ in before.paths.first.map({ $0.split(separator: UInt8(ascii: "/")) }) ?? [] { try writer.leaveDirectory() }
        try writer.leaveDirectory()
        let id = try writer.commit { root, statistics in
            var snapshot = before
            (snapshot.root, snapshot.statistics, snapshot.time.seconds) = (root, statistics, before.time.seconds + 1)
            return snapshot
        }.id
        return "\(id)"
    }

    private func open() throws -> OpenRepository {
        try CommandContext(console: Console(environment: folder.program.environment), options: GlobalOptions.parse([])).openRepository()
    }

    /// A snapshot like another one, but for what it claims.
    private func forge(from id: String, _ claim: Claim) throws -> String {
        let repository = try open()
        var snapshot = try SnapshotCatalog(repository).find(id).snapshot
        try claim.make(&snapshot)
        let bytes = try SnapshotCodec.encode(snapshot, epoch: repository.keys.currentEpoch, signer: repository.keys.signer)
        let forged = ObjectHasher.hash(bytes)
        try repository.store.put(StoreKey("snapshots/\(forged)"), bytes, .create)
        return "\(forged)"
    }
}
