import BlobEngine
import Ingest
import PostgresFormats
import RepoBase
import Testing

@testable import Repository
@testable import WALArchive

@Suite("The log that a base backup brings along")
struct OwnLogTests {
    /// A snapshot of a folder `pg_wal` with these segments of a real server, as a base backup from the second to the fourth.
    private func check(_ change: (_ folder: String, _ files: RealLog.Files) throws -> Void) throws -> [String] {
        let server = try PushTests.Server()
        for number in 0..<5 { try server.make(number, ready: false) }
        try change(server.wal, server.files)
        let size = WALSegmentSize(bytes: 1 << 20)!
        let first = WALSegment(name: server.files.segments[1].name, size: size)!
        let backup = try server.fixture.backup(
            from: first.start(size).value + 40, to: first.start(size).value + (2 << 20) + 300_000, at: 700, system: server.files.system,
            includesLog: true)
        let archive = try server.fixture.archive()
        let outcome = try FilesSource(
            SourceDescription(name: "files", host: "h", user: "u"), paths: [Array((server.fixture.folder + "/data").utf8)]
        ).run(archive.repository)
        let data = try SnapshotPath.find(
            outcome.snapshot.root, Array((server.fixture.folder + "/data").utf8), BlobReader(archive.repository))
        return try OwnLogCheck(repository: archive.repository, backup: backup, root: #require(data.tree)).run().problems
    }

    @Test("segments of a real server are sound")
    func sound() throws { #expect(try check { _, _ in } == []) }

    @Test("a missing, short, swapped or changed segment is named; what lies behind the stop position does not matter", arguments: 0..<5)
    func unsound(kind: Int) throws {
        let problems = try check { folder, files in
            func write(_ number: Int, _ bytes: [UInt8]) throws {
                let content = AlignedBuffer(capacity: bytes.count)
                content.base.copyMemory(from: bytes, byteCount: bytes.count)
                content.count = bytes.count
                try LocalContent.publish(content, at: "\(folder)/\(files.segments[number].name)")
            }
            var bytes = files.segments[kind == 4 ? 3 : 2].bytes
            switch kind {
            case 0: try RemovedFolder.remove("\(folder)/\(files.segments[2].name)")
            case 1: try write(2, Array(bytes.dropLast()))
            case 2: try write(2, files.segments[3].bytes)
            case 3:
                bytes[500_000] ^= 1
                try write(2, bytes)
            default:
                bytes[400_000] ^= 1
                try write(3, bytes)
            }
        }
        let name = try RealLog.files.get().segments[2].name
        if kind == 4 {
            #expect(problems == [])
        } else {
            #expect(problems.count == 1 && problems[0].contains("pg_wal/\(name)"), "\(problems)")
        }
    }
}
