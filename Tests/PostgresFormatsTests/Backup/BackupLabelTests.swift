import RepoBase
import Testing
@testable import PostgresFormats

@Suite("Labels and maps of base backups")
struct BackupLabelTests {
    let log: RecordedLog
    init() throws { log = try RecordedLog.shared.get() }

    @Test("a real label, whose name has two lines")
    func real() throws {
        let label = try BackupLabel(log.label, object: "backup_label")
        #expect(label.label == "two\nlines")
        #expect(label.method == "streamed" && !label.isFromStandby && label.startTimeline == 1 && label.stop == nil)
        let size = WALSegmentSize(bytes: 1 << 20)!
        #expect(WALSegment(name: label.startSegment, size: size) == WALSegment(timeline: 1, holding: label.start, size: size))
        #expect(label.checkpoint > label.start)
        #expect(!label.startTime.isEmpty)
    }

    @Test("the file that is archived when a backup ends")
    func archived() throws {
        let files = log.files.filter { $0.key.hasSuffix(".backup") }
        #expect(files.count >= 2)
        for (name, bytes) in files {
            let label = try BackupLabel(bytes, object: name)
            #expect(name.hasPrefix(label.startSegment))
            let stop = try #require(label.stop)
            #expect(stop.position > label.start && stop.timeline == 1)
        }
    }

    @Test("an incremental backup of PostgreSQL 17 from a standby")
    func incremental() throws {
        let text = """
            START WAL LOCATION: 0/A000028 (file 00000002000000000000000A)
            CHECKPOINT LOCATION: 0/A000080
            BACKUP METHOD: streamed
            BACKUP FROM: standby
            START TIME: 2026-11-21 09:00:00 CET
            LABEL: a
            START TIMELINE: 9
            START TIMELINE: 2
            INCREMENTAL FROM LSN: 0/8000028
            INCREMENTAL FROM TLI: 1

            """
        let label = try BackupLabel(Array(text.utf8), object: "it")
        #expect(label.incrementalFrom == .init(position: LogSequenceNumber("0/8000028")!, timeline: 1))
        #expect(label.isFromStandby && label.startTimeline == 2 && label.label == "a\nSTART TIMELINE: 9")
    }

    @Test("a label without any one of its lines is refused")
    func refused() {
        let lines = log.label.split(separator: 10, omittingEmptySubsequences: false)
        // The label's second line is no line of its own.
        for index in lines.indices.dropLast() where !lines[index].elementsEqual("lines".utf8) {
            var fewer = lines
            fewer.remove(at: index)
            #expect(throws: RepoError.self, "without line \(index)") { try BackupLabel(Array(fewer.joined(separator: [10])), object: "it") }
        }
        #expect(throws: RepoError.self) { try BackupLabel(Array(log.label.dropLast()), object: "it") }
        #expect(throws: RepoError.self) { try BackupLabel([], object: "it") }
    }

    @Test("a real map of tablespaces, with a backslash in the path")
    func map() throws {
        let map = try TablespaceMap(log.tablespaceMap, object: "tablespace_map")
        #expect(map.entries.count == 1)
        #expect(map.entries[0].path.suffix(8).elementsEqual("/a\\space".utf8))
        #expect(map.bytes == log.tablespaceMap)
    }

    @Test("maps read as they were written, whatever the paths")
    func mapForms() throws {
        let map = TablespaceMap([.init(oid: 16_400, path: Array("/a b\\\n\r/ü".utf8)), .init(oid: 5, path: [0x2F, 0xFF])])
        #expect(try TablespaceMap(map.bytes, object: "it") == map)
        for text in ["1", "1 \n", " /x\n", "x /y\n", "1 /a\n1 /b\n", "1 /a", "1 /a\\"] {
            #expect(throws: RepoError.self, "\(text)") { try TablespaceMap(Array(text.utf8), object: "it") }
        }
    }
}
