import PostgresClient
import PostgresFormats
import RepoBase

/// How a stream ended.
enum StreamEnd {
    /// What was asked for was received.
    case reached
    /// The server shuts down.
    case shutdown
    case timeline(NextTimeline)
}

// What comes in: written to the journal, flushed when the socket is empty, acknowledged.
extension LogReceiver {
    /// Bytes that are written before a flush although more is there to read: bounds what a synchronous commit waits for.
    private static let flushSize = 4 << 20

    /// Reads until the stream ends.
    /// - Parameter goal: the end of the log on the server when the connection began.
    func stream(_ connection: PostgresConnection, timeline: UInt32, until goal: LogSequenceNumber) throws -> StreamEnd {
        (lastHeard, lastPart, hasAsked) = (.now, .now, false)
        try sendStatus(connection)
        while true {
            if let failure = place!.upload.failure { throw failure }
            // With bytes to flush: only what is there already.
            let deadline = isFlushed ? ContinuousClock.now + .seconds(1) : .now
            let event: ReplicationEvent
            do throws(RepoError) {
                event = try connection.replicationEvent(until: deadline)
            } catch {
                if error.code == .interrupted { try farewell(connection) }
                throw error
            }
            switch consume event {
            case .message(.log(let data)):
                heard()
                serverEnd = max(serverEnd, data.serverEnd)
                let start = data.start
                try data.withBytes { bytes throws in try take(bytes, from: start, timeline, connection) }
                if let journal, journal.written - journal.flushed >= Self.flushSize { try flush(connection) }
            case .message(.keepalive(let end, _, let wantsReply)):
                heard()
                serverEnd = max(serverEnd, end)
                if wantsReply {
                    try journal?.flush()
                    try acknowledge(connection)
                }
            case .nothing:
                if !isFlushed { try flush(connection) } else if isIdle(goal) { return .reached }
            case .ended:
                try journal?.flush()
                advance()
                guard let next = try connection.endReplication() else { return .shutdown }
                return .timeline(next)
            }
            if let stop = options.stopAt, max(durable, expected) >= stop {
                try flush(connection)
                return .reached
            }
            try tick(connection, timeline)
        }
    }

    private var isFlushed: Bool { journal.map { $0.written == $0.flushed } ?? true }

    private func heard() {
        lastHeard = .now
        hasAsked = false
    }

    private func isIdle(_ goal: LogSequenceNumber) -> Bool {
        options.endsWhenIdle && durable >= goal && expected >= serverEnd && ContinuousClock.now - lastHeard > .milliseconds(500)
    }

    // MARK: Taking

    /// Takes bytes that follow the last ones. What is in the journal already is compared.
    private func take(
        _ bytes: UnsafeRawBufferPointer, from start: LogSequenceNumber, _ timeline: UInt32, _ connection: PostgresConnection
    ) throws {
        guard start == expected else {
            throw RepoError(.sourceFailed, "the server sent the log from \(start) on, and \(expected) was to come")
        }
        slotRestart = nil
        let size = place!.size
        var rest = bytes
        received += UInt64(bytes.count)
        while !rest.isEmpty {
            let segment = WALSegment(timeline: timeline, holding: expected, size: size)
            let journal = try journal(for: segment, connection)
            let offset = Int(expected.value - segment.start(size).value)
            var count = min(rest.count, size.bytes - offset)
            if offset < journal.written {
                count = min(count, journal.written - offset)
                let piece = UnsafeRawBufferPointer(rebasing: rest[..<count])
                guard try journal.holds(piece, at: offset) else { throw differs(segment, expected, journal) }
            } else {
                try journal.append(UnsafeRawBufferPointer(rebasing: rest[..<count]))
            }
            expected = LogSequenceNumber(expected.value + UInt64(count))
            rest = UnsafeRawBufferPointer(rebasing: rest[count...])
            if journal.isFull, expected == segment.end(size) { try complete(journal, connection) }
        }
    }

    private func differs(_ segment: WALSegment, _ position: LogSequenceNumber, _ journal: JournalFile) -> RepoError {
        RepoError(
            .conflict,
            "the server's log differs from what was received of it: in \(segment.name(place!.size)), between \(position) and \(journal.writtenEnd)",
            advice: "Was the server restored without a new timeline, or did its disk lose data? What was received is kept in \(journal.path) and in the repository; "
                + "find out which of the two is to be kept.")
    }

    /// The journal that these bytes belong into; a new one where the last was full. Waits for room.
    private func journal(for segment: WALSegment, _ connection: PostgresConnection) throws -> JournalFile {
        if let journal { return journal }
        let place = place!
        // There is always room for one that is stored and one that is filled.
        let limit = max(options.spoolLimit, UInt64(2 * JournalFile.fileSize(place.size))) - UInt64(JournalFile.fileSize(place.size))
        while !place.upload.hasRoom(limit: limit) {
            try stall(connection, "\(ByteCount.describe(place.upload.waiting)) wait in \(place.spool.folder) for the repository, and --spool-limit allows no more")
        }
        let spare = try spare(place) { try stall(connection, place.spares.trouble?.message ?? "a journal is being made") }
        if isStalled {
            isStalled = false
            report(.goingOn)
        }
        heard()
        let fresh = try JournalFile(
            spare: spare, path: place.spool.journalPath(segment.name(place.size)), segment: segment, size: place.size,
            systemIdentifier: place.systemIdentifier)
        journal = fresh
        partLength = 0
        lastPart = .now
        return fresh
    }

    /// A file for a journal. `whileWaiting` runs each second until there is one.
    func spare(_ place: Place, whileWaiting: () throws -> Void) throws -> String {
        while true {
            if let path = place.spares.take() { return path }
            try cancellation.check()
            try whileWaiting()
        }
    }

    /// Called each second while nothing is read: the server is told that we live, and keeps the log.
    private func stall(_ connection: PostgresConnection, _ why: String) throws {
        try cancellation.check()
        if let failure = place!.upload.failure { throw failure }
        if !isStalled, ContinuousClock.now - lastHeard > .seconds(2) {
            isStalled = true
            report(.stalled(why))
        }
        if ContinuousClock.now - lastStatus >= options.statusInterval { try sendStatus(connection) }
    }

    /// A segment is full: it is flushed, verified while the server still has to keep it, and handed over.
    private func complete(_ journal: JournalFile, _ connection: PostgresConnection) throws {
        let place = place!
        try journal.flush()
        let name = journal.segment.name(place.size)
        do throws(RepoError) {
            let content = try JournalFile.content(journal.path, count: place.size.bytes)
            try withExtendedLifetime(content) { () throws(RepoError) in
                _ = try WALSegmentReader.verify(
                    name: name, content.bytes, extent: .complete, systemIdentifier: place.systemIdentifier, object: name)
            }
        } catch {
            guard error.code == .damaged else { throw error }
            if distrusted == journal.segment {
                guard options.acceptsDamage else {
                    throw RepoError(
                        .damaged, "\(error.message) (it came twice)",
                        advice: "The server's log itself is damaged, or its version is unknown. Make a base backup, which does not depend on it; "
                            + "--accept-damage archives it as it is, and recovery may not get past it.")
                }
            } else {
                // Perhaps it was changed on its way: once more, into a new journal. The server was not told that it is safe.
                distrusted = journal.segment
                self.journal = nil
                try place.spool.setAside(journal.path)
                restart = journal.segment
                throw RepoError(.sourceFailed, "\(error.message); it is received once more")
            }
        }
        distrusted = nil
        self.journal = nil
        partLength = 0
        last = journal.segment
        place.upload.store(journal.segment)
        durable = max(durable, journal.segment.end(place.size))
        try sendStatus(connection)
    }

    // MARK: Answering

    private func flush(_ connection: PostgresConnection) throws {
        try journal?.flush()
        try acknowledge(connection)
    }

    private func acknowledge(_ connection: PostgresConnection) throws {
        advance()
        try sendStatus(connection)
    }

    private func advance() {
        if let journal { durable = max(durable, min(journal.flushedEnd, expected)) }
    }

    private func sendStatus(_ connection: PostgresConnection, wantsReply: Bool = false) throws {
        lastStatus = .now
        let flushed = ReceiveStart.acknowledgement(durable, slotRestart: slotRestart)
        try connection.sendStatus(
            written: max(flushed, expected), flushed: flushed, now: PostgresTime(WALStamp.now().time), wantsReply: wantsReply)
    }

    /// After a cancellation: what has come is flushed and acknowledged, so that nobody waits for it.
    private func farewell(_ connection: PostgresConnection) throws {
        try journal?.flush()
        advance()
        try? sendStatus(connection)
    }

    /// What is due by the clock.
    private func tick(_ connection: PostgresConnection, _ timeline: UInt32) throws {
        let now = ContinuousClock.now
        if now - lastStatus >= options.statusInterval { try sendStatus(connection) }
        if now - lastPart >= options.partialInterval { storePart() }
        if now - lastProgress >= .seconds(60) {
            lastProgress = now
            report(.progress(progress(timeline)))
        }
        let silence = now - lastHeard
        if silence >= options.timeout {
            throw RepoError(.sourceFailed, "\(target) has said nothing for \(options.timeout.components.seconds) seconds: the connection counts as lost")
        }
        if silence >= options.timeout / 2, !hasAsked {
            hasAsked = true
            try sendStatus(connection, wantsReply: true)
        }
    }

    private func progress(_ timeline: UInt32) -> ReceiveProgress {
        ReceiveProgress(
            timeline: timeline, flushed: durable, serverEnd: max(serverEnd, durable), received: received, stored: place!.upload.stored,
            waiting: place!.upload.waiting)
    }

    /// Has what there is of the segment stored, where that is more than before.
    func storePart() {
        lastPart = .now
        guard let journal, journal.flushed > partLength else { return }
        partLength = journal.flushed
        place?.upload.store(part: journal.segment, length: journal.flushed)
    }
}
