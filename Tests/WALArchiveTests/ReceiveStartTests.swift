import PostgresFormats
import RepoBase
import Testing

@testable import WALArchive

/// Where receiving begins, for everything that may be held and everything that a server may say. Segments have 1 MiB; `s` is the position of a segment's beginning.
@Suite("Where receiving begins")
struct ReceiveStartTests {
    private static let size = WALSegmentSize(bytes: 1 << 20)!

    private static func s(_ segment: UInt64, _ bytes: UInt64 = 0) -> LogSequenceNumber { LogSequenceNumber(segment << 20 + bytes) }
    private static func segment(_ timeline: UInt32, _ number: UInt64) -> WALSegment { WALSegment(timeline: timeline, number: number) }

    /// Timelines with the positions at which they were left, and the present one.
    private static func history(_ ends: [(UInt32, LogSequenceNumber)], _ timeline: UInt32) -> TimelineHistory {
        TimelineHistory(timeline: timeline, ancestors: ends.map { .init(timeline: $0.0, end: $0.1, reason: "") })!
    }

    private static func server(
        _ position: LogSequenceNumber, _ history: TimelineHistory = TimelineHistory(), slot: LogSequenceNumber? = nil, standby: Bool? = false
    ) -> ReceiveStart.Server {
        ReceiveStart.Server(position: position, history: history, isStandby: standby, slotRestart: slot)
    }

    private static let twoTimelines = history([(1, s(9, 500))], 2)

    struct Case: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var held: ReceiveStart.Held
        var server: ReceiveStart.Server
        var start: ReceiveStart
    }

    static let cases = [
        Case(
            testDescription: "nothing held, no slot: the segment that is being written", held: .nothing, server: server(s(7, 80)),
            start: ReceiveStart(segment: segment(1, 7), durable: s(7))),
        Case(
            testDescription: "nothing held: from the slot's position on", held: .nothing, server: server(s(7, 80), slot: s(3, 40)),
            start: ReceiveStart(segment: segment(1, 3), durable: s(3))),
        Case(
            testDescription: "nothing held, the slot's position on an older timeline", held: .nothing,
            server: server(s(12), twoTimelines, slot: s(4, 1)), start: ReceiveStart(segment: segment(1, 4), durable: s(4))),
        Case(
            testDescription: "behind the last whole segment", held: .upTo(segment(1, 5)), server: server(s(7, 80), slot: s(3, 40)),
            start: ReceiveStart(segment: segment(1, 6), durable: s(6))),
        Case(
            testDescription: "a journal is received from its segment's beginning on and counts as safe", held: .journal(segment(1, 6), end: s(6, 300)),
            server: server(s(7, 80)), start: ReceiveStart(segment: segment(1, 6), durable: s(6, 300))),
        Case(
            testDescription: "the next segment is the new timeline's first", held: .upTo(segment(1, 8)), server: server(s(12), twoTimelines),
            start: ReceiveStart(segment: segment(2, 9), durable: s(9))),
        Case(
            testDescription: "a journal of a timeline that was left later is received to that end", held: .journal(segment(1, 9), end: s(9, 400)),
            server: server(s(12), twoTimelines), start: ReceiveStart(segment: segment(1, 9), durable: s(9, 400))),
        Case(
            testDescription: "up to the very end of the timeline", held: .journal(segment(1, 9), end: s(9, 500)), server: server(s(12), twoTimelines),
            start: ReceiveStart(segment: segment(1, 9), durable: s(9, 500))),
        Case(
            testDescription: "received beyond the fork: that is left, and the new timeline begins in the fork's segment",
            held: .journal(segment(1, 9), end: s(9, 501)), server: server(s(12), twoTimelines),
            start: ReceiveStart(segment: segment(2, 9), durable: s(9, 500), abandonedAt: s(9, 500))),
        Case(
            testDescription: "whole segments beyond the fork", held: .upTo(segment(1, 10)), server: server(s(12), twoTimelines),
            start: ReceiveStart(segment: segment(2, 9), durable: s(9, 500), abandonedAt: s(9, 500))),
        Case(
            testDescription: "on the new timeline already", held: .journal(segment(2, 11), end: s(11, 8)), server: server(s(12), twoTimelines),
            start: ReceiveStart(segment: segment(2, 11), durable: s(11, 8))),
    ]

    @Test(arguments: cases)
    func begins(_ test: Case) throws {
        #expect(try ReceiveStart.choose(test.held, test.server, size: Self.size) == test.start)
    }

    @Test("a server that does not continue what is here is refused; a standby that is behind is waited for")
    func refused() {
        let two = Self.twoTimelines
        let refusals: [(ReceiveStart.Held, ReceiveStart.Server, RepoError.Code)] = [
            (.journal(Self.segment(2, 11), end: Self.s(11, 8)), Self.server(Self.s(12)), .conflict),
            (.upTo(Self.segment(3, 11)), Self.server(Self.s(12), two), .conflict),
            (.journal(Self.segment(1, 6), end: Self.s(6, 300)), Self.server(Self.s(6, 299)), .conflict),
            (.journal(Self.segment(2, 11), end: Self.s(11, 8)), Self.server(Self.s(11), two), .conflict),
            (.journal(Self.segment(1, 6), end: Self.s(6, 300)), Self.server(Self.s(6, 299), standby: true), .sourceFailed),
            (.journal(Self.segment(1, 6), end: Self.s(6, 300)), Self.server(Self.s(6, 299), standby: nil), .sourceFailed),
            (.upTo(Self.segment(1, 6)), Self.server(Self.s(6, 299)), .conflict),
        ]
        for (held, server, code) in refusals {
            #expect { try ReceiveStart.choose(held, server, size: Self.size) } throws: { ($0 as? RepoError)?.code == code }
        }
        #expect(throws: Never.self) {
            try ReceiveStart.choose(.journal(Self.segment(1, 6), end: Self.s(6, 300)), Self.server(Self.s(6, 300)), size: Self.size)
        }
    }

    @Test("what the repository holds counts as far as it goes without a gap from the slot's position on")
    func held() throws {
        let fixture = try ArchiveFixture()
        func last(_ history: TimelineHistory = TimelineHistory(), slot: LogSequenceNumber? = nil) throws -> WALSegment? {
            let inventory = try fixture.archive().inventory(of: ArchiveFixture.system)
            return ReceiveStart.lastHeld(inventory, history, slotRestart: slot, size: Self.size)
        }
        #expect(try last() == nil)
        #expect(try last(slot: Self.s(5)) == nil)
        try fixture.archiveSegments(3...6)
        #expect(try last() == Self.segment(1, 6))
        #expect(try last(slot: Self.s(4, 100)) == Self.segment(1, 6))
        // What is missing in between is still on the server.
        try fixture.archiveSegments(9...12)
        #expect(try last(slot: Self.s(4, 100)) == Self.segment(1, 6))
        // It has gone on behind a gap, long ago.
        #expect(try last(slot: Self.s(10, 100)) == Self.segment(1, 12))
        #expect(try last() == Self.segment(1, 12))
        // The slot's own segment is missing: from the end of what comes before it.
        #expect(try last(slot: Self.s(7)) == Self.segment(1, 6))
        #expect(try last(slot: Self.s(8)) == Self.segment(1, 6))
        #expect(try last(slot: Self.s(2)) == Self.segment(1, 1))
        // The slot is ahead of everything: what lies between is asked of the server, which may have it.
        #expect(try last(slot: Self.s(20)) == Self.segment(1, 12))
        // Behind a promotion, what the old primary went on to archive does not count.
        let history = Self.history([(1, Self.s(11, 5))], 2)
        #expect(try last(history) == Self.segment(1, 10))
        try fixture.archiveSegments(11...13, timeline: 2)
        #expect(try last(history) == Self.segment(2, 13))
        #expect(try last(history, slot: Self.s(9)) == Self.segment(2, 13))
        #expect(try last() == Self.segment(1, 12))
    }

    @Test("a slot is never told of less than it was found at, before the server has shown that it still has the log")
    func slotIsNotMovedBack() {
        #expect(ReceiveStart.acknowledgement(Self.s(5, 10), slotRestart: nil) == Self.s(5, 10))
        #expect(ReceiveStart.acknowledgement(Self.s(5, 10), slotRestart: Self.s(4)) == Self.s(5, 10))
        #expect(ReceiveStart.acknowledgement(Self.s(5, 10), slotRestart: Self.s(5, 10)) == Self.s(5, 10))
        #expect(ReceiveStart.acknowledgement(Self.s(5, 10), slotRestart: .invalid) == Self.s(5, 10))
        #expect(ReceiveStart.acknowledgement(Self.s(5, 10), slotRestart: Self.s(5, 11)) == .invalid)
    }

    @Test("behind a gap it goes on at the slot, and where the slot's own log is gone, at the server's end")
    func resume() {
        let missing = Self.segment(1, 5)
        func resume(_ slot: LogSequenceNumber?, _ history: TimelineHistory = TimelineHistory()) -> WALSegment {
            ReceiveStart.resume(behind: missing, Self.server(Self.s(12, 3), history, slot: slot), size: Self.size)
        }
        #expect(resume(nil) == Self.segment(1, 12))
        #expect(resume(Self.s(8, 7)) == Self.segment(1, 8))
        // An earlier receiver had set it back, to a place in the very segment that is missing.
        #expect(resume(Self.s(5, 900)) == Self.segment(1, 12))
        #expect(resume(Self.s(2)) == Self.segment(1, 12))
        #expect(resume(.invalid) == Self.segment(1, 12))
        #expect(resume(nil, Self.twoTimelines) == Self.segment(2, 12))
    }
}
