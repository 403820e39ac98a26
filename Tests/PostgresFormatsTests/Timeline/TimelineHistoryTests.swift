import RepoBase
import Testing
@testable import PostgresFormats

@Suite("Histories of timelines")
struct TimelineHistoryTests {
    private func history(_ text: String, _ timeline: UInt32) throws -> TimelineHistory {
        try TimelineHistory(Array(text.utf8), timeline: timeline, object: "0000000\(timeline).history")
    }

    private let text = "1\t0/3000060\tno recovery target specified\n\n2\t0/5000000\tat restore point \"a b\"\n\n4\t1/A8\tbefore 2026-11-21\n"

    @Test("a history as PostgreSQL writes it")
    func real() throws {
        let log = try RecordedLog.shared.get()
        let bytes = try #require(log.files["00000002.history"])
        let history = try TimelineHistory(bytes, timeline: 2, object: "00000002.history")
        #expect(history.ancestors.map(\.timeline) == [1])
        #expect(history.ancestors[0].reason == "no recovery target specified")
        #expect(history.text == String(decoding: bytes, as: UTF8.self))
    }

    @Test("ancestors, holders and ends")
    func questions() throws {
        let history = try history(text, 5)
        #expect(history.ancestors.map(\.timeline) == [1, 2, 4])
        #expect(history.ancestors[1].reason == "at restore point \"a b\"")
        for (position, timeline) in [("0/0", 1), ("0/300005F", 1), ("0/3000060", 2), ("0/4FFFFFF", 2), ("0/5000000", 4), ("1/A7", 4), ("1/A8", 5)] {
            #expect(history.timeline(holding: LogSequenceNumber(position)!) == timeline)
        }
        #expect(history.end(of: 2) == LogSequenceNumber("0/5000000"))
        #expect(history.end(of: 5) == nil && history.end(of: 3) == nil)
        #expect(history.contains(4) && history.contains(5) && !history.contains(3))
        #expect(history.spans.map(\.begin.description) == ["0/0", "0/3000060", "0/5000000", "1/A8"])
        #expect(try self.history(history.text, 5) == history)
    }

    @Test("a timeline leads to another where it was not left before")
    func leads() throws {
        let history = try history(text, 5)
        #expect(history.leads(from: 1, at: LogSequenceNumber("0/3000060")!))
        #expect(!history.leads(from: 1, at: LogSequenceNumber("0/3000061")!))
        #expect(history.leads(from: 4, at: LogSequenceNumber("0/FFFFFFFF")!))
        #expect(!history.leads(from: 3, at: LogSequenceNumber("0/1")!))
        #expect(history.leads(from: 5, at: LogSequenceNumber("1/A8")!))
        #expect(!history.leads(from: 5, at: LogSequenceNumber("1/A7")!))
        #expect(TimelineHistory().leads(from: 1, at: .invalid))
    }

    @Test("a segment in which a timeline begins is taken from the new one")
    func segments() throws {
        let history = try history(text, 5)
        let size = WALSegmentSize(bytes: 16 << 20)!
        for (position, timeline) in [("0/2000000", 1), ("0/3000000", 2), ("0/4FFFFFF", 2), ("0/5000000", 4), ("0/FFFFFFFF", 4), ("1/0", 5)] {
            #expect(history.segment(holding: LogSequenceNumber(position)!, size: size).timeline == timeline, "\(position)")
        }
        #expect(TimelineHistory().segment(holding: LogSequenceNumber("1/0")!, size: size).timeline == 1)
        // Two timelines that begin in one segment: the newer has both.
        let twice = try self.history("1\t0/3000060\tx\n2\t0/3000090\ty\n", 3)
        #expect(twice.segment(holding: LogSequenceNumber("0/3000000")!, size: size).timeline == 3)
    }

    /// `tliOfPointInHistory` of access/transam/timeline.c, word for word: the newest first, each from where the one before it was left.
    private func postgresHolder(_ history: TimelineHistory, _ position: LogSequenceNumber) -> UInt32 {
        let begins = [LogSequenceNumber.invalid] + history.ancestors.map(\.end)
        let entries = zip(history.ancestors.map(\.timeline) + [history.timeline], zip(begins, history.ancestors.map(\.end) + [.invalid]))
        for (timeline, (begin, end)) in entries.reversed()
        where (begin == .invalid || begin <= position) && (end == .invalid || position < end) { return timeline }
        Issue.record("nobody holds \(position)")
        return 0
    }

    @Test("a timeline that was left before it began holds nothing, and those around it what PostgreSQL finds there")
    func descending() throws {
        // Told to follow 2, which began at 0/50, a server stopped at 0/40; later 3 was left at 0/90, and 4 at 0/60.
        let history = try history("1\t0/50\tx\n2\t0/40\ty\n3\t0/90\tz\n4\t0/60\tz\n", 5)
        #expect(history.spans.map(\.begin.value) == [0, 0x40, 0x40, 0x60, 0x60])
        #expect(history.spans.map(\.end?.value) == [0x40, 0x40, 0x60, 0x60, nil])
        for value in UInt64(0)..<0xA0 {
            let position = LogSequenceNumber(value)
            #expect(history.timeline(holding: position) == postgresHolder(history, position), "\(position)")
        }
        #expect(history.leads(from: 1, at: LogSequenceNumber(0x40)) && !history.leads(from: 1, at: LogSequenceNumber(0x48)))
        #expect(!history.leads(from: 2, at: LogSequenceNumber(0x58)) && history.leads(from: 3, at: LogSequenceNumber(0x60)))
        #expect(history.end(of: 1)?.value == 0x40 && history.end(of: 3)?.value == 0x60)
        #expect(try self.history(history.text, 5) == history)
    }

    @Test("comments, blanks and words in any encoding do not count")
    func leniency() throws {
        #expect(try history("# a comment\n \n  1 0/10 why\n", 2).ancestors.map(\.timeline) == [1])
        let bytes = Array("1\t0/10\tat restore point \"".utf8) + [0xE4, 0xF6, 0x22, 0x0A]
        #expect(try TimelineHistory(bytes, timeline: 2, object: "it").ancestors.count == 1)
        #expect(try history("", 2).ancestors.isEmpty)
    }

    @Test(
        "what is no history is refused",
        arguments: [
            "x\t0/10\ty\n", "1\n", "1\t\n", "1\t10\ty\n", "1\t0/10", "2\t0/10\tx\n1\t0/20\ty\n", "1\t0/10\tx\n1\t0/20\ty\n", "9\t0/10\tx\n",
            "0\t0/10\tx\n", "-1\t0/10\tx\n", "99999999999\t0/10\tx\n",
        ])
    func refused(text: String) { #expect(throws: RepoError.self) { try history(text, 9) } }
}
