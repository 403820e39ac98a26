import PostgresFormats
import RepoBase

/// Where a receiver begins to stream: decided from what is there, before anything is asked of the server.
struct ReceiveStart: Hashable {
    /// Streamed from its first byte on: what is there of it is compared with what comes.
    var segment: WALSegment
    /// What the server may be told to be safe here.
    var durable: LogSequenceNumber
    /// The journal's timeline was left before what was received of it ends, at this position: it is stored and not continued.
    var abandonedAt: LogSequenceNumber?

    /// What this machine and the repository hold.
    enum Held: Hashable {
        case nothing
        /// A journal that is not full, up to this position.
        case journal(WALSegment, end: LogSequenceNumber)
        /// Everything up to this segment, with it.
        case upTo(WALSegment)
    }

    /// What the server says.
    struct Server: Hashable {
        var position: LogSequenceNumber
        /// Of its present timeline.
        var history: TimelineHistory
        /// Nil where it does not tell (before PostgreSQL 14).
        var isStandby: Bool?
        /// From where on the slot keeps the log.
        var slotRestart: LogSequenceNumber?
    }

    /// Throws `.conflict` where the server's log is not the continuation of what is held, and `.sourceFailed` where a standby has not come as far yet.
    static func choose(_ held: Held, _ server: Server, size: WALSegmentSize) throws(RepoError) -> ReceiveStart {
        let history = server.history
        switch held {
        case .nothing:
            let position = server.slotRestart.flatMap { $0 == .invalid ? nil : $0 } ?? server.position
            let segment = history.segment(holding: position, size: size)
            return ReceiveStart(segment: segment, durable: segment.start(size))
        case .upTo(let last):
            let start = last.end(size)
            try check(last.timeline, end: start, server)
            if let fork = history.end(of: last.timeline), fork < start { return leave(at: fork, size, history) }
            return ReceiveStart(segment: history.segment(holding: start, size: size), durable: start)
        case .journal(let segment, let end):
            try check(segment.timeline, end: end, server)
            if let fork = history.end(of: segment.timeline), fork < end { return leave(at: fork, size, history) }
            return ReceiveStart(segment: segment, durable: end)
        }
    }

    private static func leave(at fork: LogSequenceNumber, _ size: WALSegmentSize, _ history: TimelineHistory) -> ReceiveStart {
        ReceiveStart(segment: history.segment(holding: fork, size: size), durable: fork, abandonedAt: fork)
    }

    private static func check(_ timeline: UInt32, end: LogSequenceNumber, _ server: Server) throws(RepoError) {
        let history = server.history
        guard history.contains(timeline) else {
            throw RepoError(
                .conflict,
                "the server is on timeline \(history.timeline), and timeline \(timeline) was received, which is not part of its history: "
                    + "it does not continue what is here",
                advice: "Is this an old primary that came back? Point --dsn at the server of timeline \(timeline), "
                    + "or give this one another --spool and repository.")
        }
        guard timeline == history.timeline, server.position < end else { return }
        if server.isStandby != false {
            throw RepoError(
                .sourceFailed, "the server has come to \(server.position), and the log was received up to \(end)",
                advice: "A standby catches up by itself; a primary that was set back would need a new timeline.")
        }
        throw RepoError(
            .conflict, "the log was received up to \(end), and the server's ends at \(server.position) on the same timeline: it has lost what it had written",
            advice: "Was it restored without a new timeline, or did its disk lose data? What was received is kept; "
                + "restore it from there ('repo restore --latest'), or give this server another --spool and repository.")
    }

    /// What the server may be told to be safe here while it has not sent anything: nothing, where its slot is past that. PostgreSQL sets a physical slot to what
    /// it is told, backwards too (walsender.c, PhysicalConfirmReceivedLocation), and the slot would then promise log that may be gone.
    static func acknowledgement(_ durable: LogSequenceNumber, slotRestart: LogSequenceNumber?) -> LogSequenceNumber {
        slotRestart.map { $0 > durable } ?? false ? .invalid : durable
    }

    /// Where to go on when the server no longer has `missing`: at its slot, unless that is gone as well; else at the server's end.
    static func resume(behind missing: WALSegment, _ server: Server, size: WALSegmentSize) -> WALSegment {
        let slot = server.slotRestart.map { server.history.segment(holding: $0, size: size) }
        if let slot, slot.number > missing.number { return slot }
        return server.history.segment(holding: server.position, size: size)
    }

    /// The segment behind which to go on by what the repository holds of the server's history: the newest one, but none before which something is
    /// missing that the slot still keeps. Nil when it holds none.
    static func lastHeld(
        _ inventory: WALInventory, _ history: TimelineHistory, slotRestart: LogSequenceNumber?, size: WALSegmentSize
    ) -> WALSegment? {
        func segment(_ number: UInt64) -> WALSegment { history.segment(holding: LogSequenceNumber(number * UInt64(size.bytes)), size: size) }
        func holds(_ number: UInt64) -> Bool {
            inventory[segment(number).timeline].map { $0.segmentSize == size && $0.contains(number) } ?? false
        }
        /// The newest on this history, below a bound.
        func newest(below bound: UInt64) -> UInt64? {
            inventory.timelines.filter { history.contains($0.timeline) && $0.segmentSize == size }.compactMap { timeline in
                timeline.runs.reversed().lazy.flatMap { $0.reversed() }
                    .first { $0 < bound && segment($0).timeline == timeline.timeline }
            }.max()
        }
        guard let last = newest(below: .max) else { return nil }
        guard let slotRestart, slotRestart != .invalid else { return segment(last) }
        let first = slotRestart.value / UInt64(size.bytes)
        guard first <= last else { return segment(last) }
        if !holds(first) {
            // What comes before the slot's position may still be on the server; nothing at all was promised where the repository has nothing of it.
            return newest(below: first).map(segment) ?? (first > 0 ? segment(first - 1) : nil)
        }
        var number = first
        while number < last, holds(number + 1) { number += 1 }
        return segment(number)
    }
}
