import Foundation
import Glibc
import PostgresTesting
import RepoBase
import Testing

/// The eleven corruptions of PostgreSQL's pg_verifybackup tests (src/bin/pg_verifybackup/t/003_corruption.pl), done to the objects that hold a base
/// backup, and four done to its log: each is found by a check, which names what is wrong.
@Suite("Scenarios: corruption", .serialized, .timeLimit(.minutes(10)))
struct CorruptionScenarioTests {
    /// A repository with a base backup that has a tablespace, and its log; each case spoils a copy.
    private final class Backup: @unchecked Sendable {
        static let shared = Result { try Backup() }

        let archived: ArchivedServer
        let segments: [String]

        private init() throws {
            archived = try ArchivedServer(settings: ["wal_level = replica"], options: "--single")
            let server = archived.server
            try server.start()
            let place = server.folder + "/space"
            try PostgresServer.run(["/bin/mkdir", place])
            try server.sql("CREATE TABLESPACE one LOCATION '\(place)'")
            try server.sql("CREATE TABLE far TABLESPACE one AS SELECT i, md5(i::text) FROM generate_series(1, 20000) i")
            try archived.snapshot()
            for _ in 0..<4 {
                try server.sql("INSERT INTO far SELECT i, md5(i::text) FROM generate_series(1, 2000) i")
                try archived.archiveAll()
            }
            try server.stop()
            let repository = archived.folder.repository
            // Each in an object of its own.
            segments = FileTree.files(repository + "/wal").filter { $0.split(separator: "/").last?.count == 24 }
                .map { String($0.dropFirst(repository.count + 1)) }
        }

        /// The packs, the largest first.
        func packs(_ repository: String) -> [String] {
            FileTree.files(repository + "/packs").sorted { size($0) > size($1) }
        }

        private func size(_ path: String) -> Int { (try? FileManager.default.attributesOfItem(atPath: path)[.size] as? Int) ?? 0 }
    }

    struct Case: Sendable, CustomTestStringConvertible {
        let name: String
        /// What the check's output holds beside the object.
        let expected: String?
        /// Given the repository, its packs and two of its segments; returns what is to be named.
        let spoil: @Sendable (_ repository: String, _ packs: [String], _ segments: [String]) throws -> String

        var testDescription: String { name }
    }

    private static func bytes(_ path: String) throws -> [UInt8] { try FileTree.read(path) }

    /// As a file of the server's user.
    private static func write(_ path: String, _ bytes: [UInt8]) throws {
        chmod(path, 0o600)
        try FileTree.write(path, bytes)
        try PostgresServer.own(path)
    }

    private static func parent(_ path: String) -> String { String(path[..<path.lastIndex(of: "/")!]) }

    static let cases: [Case] = [
        Case(name: "extra_file", expected: "does not match its name") { repository, _, _ in
            let path = repository + "/packs/ab/ab" + String(repeating: "7", count: 62)
            try write(path, [UInt8](repeating: 1, count: 5000))
            try PostgresServer.own(parent(path))
            return path
        },
        Case(name: "extra_tablespace_file", expected: nil) { repository, _, segments in
            let path = parent("\(repository)/\(segments[0])") + "/extra"
            try write(path, [1, 2, 3])
            return path
        },
        Case(name: "missing_file", expected: "missing") { _, packs, _ in
            unlink(packs[0])
            return packs[0]
        },
        Case(name: "missing_tablespace", expected: "missing") { _, packs, _ in
            FileTree.remove(parent(packs[0]))
            return packs[0]
        },
        Case(name: "append_to_file", expected: nil) { _, packs, _ in
            try write(packs[0], bytes(packs[0]) + [1])
            return packs[0]
        },
        Case(name: "truncate_file", expected: nil) { _, packs, _ in
            try write(packs[0], Array(bytes(packs[0]).dropLast(1000)))
            return packs[0]
        },
        Case(name: "replace_file", expected: nil) { _, packs, _ in
            try write(packs[0], bytes(packs[1]))
            return packs[0]
        },
        Case(name: "bad_manifest", expected: nil) { repository, _, _ in
            let path = try #require(FileTree.files(repository + "/snapshots").first)
            try write(path, bytes(path) + [0])
            return path
        },
        Case(name: "open_file_fails", expected: nil) { _, packs, _ in
            chmod(packs[0], 0)
            return packs[0]
        },
        Case(name: "open_directory_fails", expected: nil) { _, packs, _ in
            chmod(parent(packs[0]), 0)
            return parent(packs[0])
        },
        Case(name: "search_directory_fails", expected: nil) { _, packs, _ in
            chmod(parent(packs[0]), 0o600)
            return parent(packs[0])
        },
        Case(name: "a missing segment", expected: "missing") { repository, _, segments in
            unlink("\(repository)/\(segments[0])")
            return "\(repository)/\(segments[0])"
        },
        Case(name: "two segments that were swapped", expected: "moved here") { repository, _, segments in
            let (first, second) = (try bytes("\(repository)/\(segments[0])"), try bytes("\(repository)/\(segments[1])"))
            try write("\(repository)/\(segments[0])", second)
            try write("\(repository)/\(segments[1])", first)
            return "\(repository)/\(segments[0])"
        },
        Case(name: "a truncated segment", expected: "bytes instead of") { repository, _, segments in
            try write("\(repository)/\(segments[1])", Array(bytes("\(repository)/\(segments[1])").dropLast(700)))
            return "\(repository)/\(segments[1])"
        },
        Case(name: "a segment with a flipped bit", expected: "does not authenticate") { repository, _, segments in
            var content = try bytes("\(repository)/\(segments[1])")
            content[content.count - 500] ^= 0x10
            try write("\(repository)/\(segments[1])", content)
            return "\(repository)/\(segments[1])"
        },
    ]

    private func withCopy(of backup: Backup, _ body: (_ repository: String) throws -> Void) throws {
        let copy = try PostgresServer.makeFolder()
        defer { _ = try? PostgresServer.run(["/bin/rm", "-rf", copy], asServer: false) }
        try PostgresServer.run(["/bin/cp", "-a", backup.archived.folder.repository, copy + "/repository"])
        try body(copy + "/repository")
    }

    @Test("a segment that is missing behind a base backup is told, and is no damage")
    func gapBehind() throws {
        let backup = try Backup.shared.get()
        try withCopy(of: backup) { repository in
            let lost = backup.segments.sorted { $0 > $1 }[1]
            try #require(unlink("\(repository)/\(lost)") == 0)
            let outcome = try backup.archived.outcome("check", repository: repository)
            #expect(outcome.status == 0, "\(outcome.output)")
            let name = lost.split(separator: "/").last ?? ""
            #expect(outcome.output.contains("timeline 1: \(name) missing from the log: never archived, or deleted"), "\(outcome.output)")
        }
    }

    @Test("every corruption is found and named", arguments: cases)
    func found(_ corruption: Case) throws {
        let backup = try Backup.shared.get()
        try withCopy(of: backup) { try found(corruption, backup, $0) }
    }

    private func found(_ corruption: Case, _ backup: Backup, _ repository: String) throws {
        // The segment that the base backup needs for itself comes first.
        let own = backup.segments.sorted { $0 > $1 }
        let needed = try #require(FileTree.files(repository + "/wal").first { $0.hasSuffix(".backup") }.map { String($0.split(separator: "/").last!.prefix(24)) })
        let segments = own.filter { $0.hasSuffix(needed) } + own.filter { !$0.hasSuffix(needed) }
        try #require(segments[0].hasSuffix(needed))
        let path = try corruption.spoil(repository, backup.packs(repository), segments)
        let outcome = try backup.archived.outcome("check --read-data", repository: repository)
        #expect(outcome.status != 0, "\(corruption.name): \(outcome.output)")
        let named = path.hasPrefix(repository) ? String(path.dropFirst(repository.count + 1)) : path
        let isTold = corruption.expected.map { outcome.output.contains($0) } ?? true
        #expect(outcome.output.contains(named) && isTold, "\(corruption.name), \(named): \(outcome.output)")
        try PostgresServer.run(["/bin/chmod", "-R", "u+rwX", repository])
    }
}
