import Glibc
import PostgresFormats
import RepoBase
import Testing

@testable import WALArchive

/// Journals of what was received: exactly what was flushed comes back, whatever else a crash has left of them.
@Suite("Journals")
struct JournalTests {
    private static let size = WALSegmentSize(bytes: 1 << 20)!
    private static let segment = WALSegment(timeline: 1, number: 5)
    private static let system: UInt64 = 7_301_234_567_890_123_456
    private static var name: String { segment.name(size) }

    private final class Folder {
        let path: String
        init() {
            var template = Array("/tmp/repo-journal-XXXXXX".utf8CString)
            path = template.withUnsafeMutableBufferPointer { String(cString: mkdtemp($0.baseAddress!)) }
        }
        deinit { _ = try? RemovedFolder.remove(path) }
        var journal: String { "\(path)/\(JournalTests.name).journal" }
    }

    private func journal(_ folder: Folder, content: AlignedBuffer? = nil) throws -> JournalFile {
        let spares = SpareJournals(folder: folder.path, size: Self.size)
        defer { spares.close() }
        var spare = spares.take()
        while spare == nil { spare = spares.take() }
        return try JournalFile(
            spare: spare!, path: folder.journal, segment: Self.segment, size: Self.size, systemIdentifier: Self.system, content: content)
    }

    private func append(_ journal: JournalFile, _ content: AlignedBuffer, _ range: Range<Int>) throws {
        try withExtendedLifetime(content) { try journal.append(UnsafeRawBufferPointer(rebasing: content.bytes[range])) }
    }

    private func recovered(_ folder: Folder) throws -> JournalFile {
        try JournalFile(recovering: folder.journal, name: Self.name, systemIdentifier: Self.system)
    }

    private func change(_ path: String, at offset: Int, _ bytes: [UInt8]) {
        let file = open(path, O_WRONLY)
        defer { close(file) }
        #expect(pwrite(file, bytes, bytes.count, off_t(offset)) == bytes.count)
    }

    @Test("what was flushed comes back, and what was only written does not")
    func flushed() throws {
        let folder = Folder()
        let content = ArchiveFixture.content(1, count: 1 << 20)
        let journal = try journal(folder)
        #expect(try recovered(folder).flushed == 0)
        var end = 0
        for step in [100, 8092, 1, 300_000] {
            try append(journal, content, end..<end + step)
            end += step
            try journal.flush()
            try append(journal, content, end..<end + 50)
            end += 50
            let again = try recovered(folder)
            #expect(again.flushed == end - 50 && again.written == end - 50)
            #expect(try JournalFile.content(folder.journal, count: again.flushed).array == Array(content.array[..<again.flushed]))
        }
        #expect(try withExtendedLifetime(content) { try journal.holds(UnsafeRawBufferPointer(rebasing: content.bytes[7..<9000]), at: 7) })
        #expect(try withExtendedLifetime(content) { try journal.holds(UnsafeRawBufferPointer(rebasing: content.bytes[7..<9000]), at: 8) } == false)
        try append(journal, content, end..<1 << 20)
        try journal.flush()
        #expect(journal.isFull)
        #expect(try recovered(folder).isFull)
    }

    @Test("recovered, it goes on where it was", arguments: [0, 1, 4096, 700_001])
    func goesOn(first: Int) throws {
        let folder = Folder()
        let content = ArchiveFixture.content(2, count: 1 << 20)
        do {
            let journal = try journal(folder)
            try append(journal, content, 0..<first)
            try journal.flush()
        }
        let again = try recovered(folder)
        try append(again, content, first..<first + 1000)
        try again.flush()
        #expect(try recovered(folder).flushed == first + 1000)
        // In a new file, in the place of the old.
        let kept = try JournalFile.content(folder.journal, count: first + 1000)
        let copy = try journal(folder, content: kept)
        #expect(copy.flushed == first + 1000)
        #expect(try recovered(folder).flushed == first + 1000)
    }

    @Test("a mark that came to the disk before its bytes does not count; the one before it does")
    func markWithoutBytes() throws {
        let folder = Folder()
        let content = ArchiveFixture.content(3, count: 1 << 20)
        let journal = try journal(folder)
        try append(journal, content, 0..<10_000)
        try journal.flush()
        try append(journal, content, 10_000..<30_000)
        try journal.flush()
        #expect(try recovered(folder).flushed == 30_000)
        change(folder.journal, at: 20_000, [UInt8](repeating: 0, count: 4096))
        #expect(try recovered(folder).flushed == 10_000)
    }

    @Test("a torn mark does not count either, and a journal that nothing vouches for is damaged")
    func tornMark() throws {
        let folder = Folder()
        let content = ArchiveFixture.content(4, count: 1 << 20)
        let journal = try journal(folder)
        try append(journal, content, 0..<10_000)
        try journal.flush()
        try append(journal, content, 10_000..<30_000)
        try journal.flush()
        // The third mark, counted from the journal's beginning, is in the first place again.
        for offset in [0, 20, 40, 63] {
            let place = (1 << 20) + offset
            let before = try JournalFile.content(folder.journal, count: (1 << 20) + 64).array[place]
            change(folder.journal, at: place, [before ^ 0x40])
            #expect(try recovered(folder).flushed == 10_000)
            change(folder.journal, at: place, [before])
            #expect(try recovered(folder).flushed == 30_000)
        }
        change(folder.journal, at: 5000, [content.array[5000] ^ 1])
        #expect { try recovered(folder) } throws: { ($0 as? RepoError)?.code == .damaged }
    }

    @Test("another cluster's, another segment's and a shorter file are no journals of this one")
    func strangers() throws {
        let folder = Folder()
        let journal = try journal(folder)
        try append(journal, ArchiveFixture.content(5, count: 100), 0..<100)
        try journal.flush()
        for (name, system) in [(Self.segment.next.name(Self.size), Self.system), (Self.name, 8)] {
            #expect { try JournalFile(recovering: folder.journal, name: name, systemIdentifier: system) } throws: {
                ($0 as? RepoError)?.code == .damaged
            }
        }
        truncate(folder.journal, 1 << 20)
        #expect { try recovered(folder) } throws: { ($0 as? RepoError)?.code == .damaged }
    }

    @Test("files of journals that are done are used again, without what they held")
    func recycled() throws {
        let folder = Folder()
        let content = ArchiveFixture.content(6, count: 1 << 20)
        do {
            let journal = try journal(folder)
            try append(journal, content, 0..<1 << 20)
            try journal.flush()
        }
        let spares = SpareJournals(folder: folder.path, size: Self.size)
        defer { spares.close() }
        try spares.recycle(folder.journal)
        #expect(access(folder.journal, F_OK) != 0)
        // The same segment, from the recycled file among others.
        for _ in 0..<2 {
            var spare = spares.take()
            while spare == nil { spare = spares.take() }
            let journal = try JournalFile(
                spare: spare!, path: folder.journal, segment: Self.segment, size: Self.size, systemIdentifier: Self.system)
            #expect(journal.flushed == 0)
            #expect(try recovered(folder).flushed == 0)
        }
    }
}
