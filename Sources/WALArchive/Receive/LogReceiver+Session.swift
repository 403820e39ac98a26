import Glibc
import PostgresClient
import PostgresFormats
import RepoBase
import Repository

// What is settled before log streams, on each connection anew.
extension LogReceiver {
    /// Uses one connection until the stream ends. True when what was asked for is reached; false when the server shuts down.
    func session(_ connection: PostgresConnection) throws -> Bool {
        try connection.version.requireSupported()
        let identity = try connection.identifySystem()
        let size = try connection.segmentSize()
        try settle(identity, size)
        let slot = try slot(connection)
        try learnHistory(identity.timeline, connection)
        let server = ReceiveStart.Server(
            position: identity.position, history: history, isStandby: (try? connection.show("in_hot_standby")).map { $0 == "on" },
            slotRestart: slot?.restart)
        var start = try begin(server)
        lastHeard = .now
        slotRestart = server.slotRestart
        while true {
            expected = start.segment.start(size)
            durable = start.durable
            // Where a connection that ends before the first byte leaves it.
            if journal == nil, expected > .invalid {
                last = history.segment(holding: LogSequenceNumber(expected.value - 1), size: size)
            }
            serverEnd = identity.position
            let next: NextTimeline?
            do throws(RepoError) {
                next = try connection.startReplication(slot: options.slot, from: expected, timeline: start.segment.timeline)
            } catch { throw refused(error, connection, start, server) }
            guard let next else {
                hasStreamed = true
                report(.streaming(system: identity.systemIdentifier, timeline: start.segment.timeline, from: durable, slot: options.slot))
                let ended: StreamEnd
                do {
                    ended = try stream(connection, timeline: start.segment.timeline, until: identity.position)
                } catch let error as RepoError { throw refused(error, connection, start, server) }
                switch ended {
                case .reached: return true
                case .shutdown: return false
                case .timeline(let next): start = try follow(next, connection)
                }
                continue
            }
            start = try follow(next, connection)
        }
    }

    // MARK: The cluster, its slot and its histories

    /// At the first connection takes up what is on this machine; at every further one makes sure that it is the same cluster.
    private func settle(_ identity: SystemIdentity, _ size: WALSegmentSize) throws {
        if let place {
            guard place.systemIdentifier == identity.systemIdentifier, place.size == size else {
                throw RepoError(
                    .conflict,
                    "\(target) is another cluster now: its system identifier is \(identity.systemIdentifier), and the log of \(place.systemIdentifier) was received",
                    advice: "Point --dsn at the right server; a new cluster is received by a new process.")
            }
            return
        }
        let spool = try LogSpool(
            folder: "\(Self.spoolFolder(archive, options))/\(identity.systemIdentifier)", systemIdentifier: identity.systemIdentifier)
        let spares = SpareJournals(folder: spool.folder, size: size)
        let upload = LogUpload(archive, spool, spares, size: size, options: options, report: report)
        let place = Place(systemIdentifier: identity.systemIdentifier, size: size, spool: spool, spares: spares, upload: upload)
        let newest = try spool.recover(upload, size: size, report: report)
        self.place = place
        last = try spool.journals().last.flatMap { WALSegment(name: $0, size: size) }
        if let newest {
            // In a file of its own: a process that died of a failed fdatasync may have left pages that the kernel holds and the disk does not.
            let content = try JournalFile.content(newest.path, count: newest.flushed)
            journal = try JournalFile(
                spare: try spare(place) { tellTrouble(place) }, path: newest.path, segment: newest.segment, size: size,
                systemIdentifier: identity.systemIdentifier, content: content)
            last = nil
        }
        upload.start()
    }

    private func tellTrouble(_ place: Place) {
        guard !isStalled, let trouble = place.spares.trouble else { return }
        isStalled = true
        report(.stalled(trouble.message))
    }

    private func slot(_ connection: PostgresConnection) throws -> ReplicationSlot? {
        guard let name = options.slot else {
            if !hasStreamed { report(.warning("without a slot the server may remove log before it was received: give --slot")) }
            return nil
        }
        var slot = try connection.findSlot(name)
        if slot == nil {
            guard options.createsSlot else {
                throw RepoError(
                    .usage, "the server has no replication slot '\(name)'",
                    advice: "Give --create-slot as well, or make it: SELECT pg_create_physical_replication_slot('\(name)', true).")
            }
            do throws(RepoError) {
                try connection.createPhysicalSlot(name, isTemporary: false, reservesLog: true)
            } catch {
                // 42710, duplicate_object: somebody was faster.
                guard connection.refusedState == "42710" else { throw error }
            }
            slot = try connection.findSlot(name)
        }
        guard let slot else { throw RepoError(.sourceFailed, "the replication slot '\(name)' was dropped a moment ago") }
        guard slot.kind == "physical" else {
            throw RepoError(.usage, "the replication slot '\(name)' is a \(slot.kind) one", advice: "Receiving the log needs a physical slot.")
        }
        return slot
    }

    /// Where the server's timelines come from. Histories that the repository does not have go there before anything else.
    func learnHistory(_ timeline: UInt32, _ connection: PostgresConnection) throws {
        guard timeline > 1 else {
            history = TimelineHistory()
            return
        }
        history = try keepHistory(timeline, connection)
        for ancestor in history.ancestors where ancestor.timeline > 1 {
            // A server need not have its ancestors' histories any more.
            _ = try? keepHistory(ancestor.timeline, connection)
        }
    }

    private func keepHistory(_ timeline: UInt32, _ connection: PostgresConnection) throws -> TimelineHistory {
        let file = try connection.timelineHistory(timeline)
        let found = try TimelineHistory(file.content, timeline: timeline, object: "\(file.name) of \(target)")
        if let place, knownHistories.insert(timeline).inserted {
            try place.spool.keepHistory(timeline, file.content)
            place.upload.store(history: timeline)
        }
        return found
    }

    // MARK: Where to begin

    /// One listing. Nil where the repository is not reached and what is on this machine tells enough.
    private func inventory(mayFail: Bool) throws -> WALInventory? {
        do {
            return try archive.inventory(of: place!.systemIdentifier)
        } catch let error as RepoError where mayFail && ![.damaged, .wrongKey].contains(error.code) {
            report(.warning("\(error.message); going on with what is on this machine"))
            return nil
        }
    }

    private func begin(_ server: ReceiveStart.Server) throws -> ReceiveStart {
        let place = place!
        let size = place.size
        var held = ReceiveStart.Held.nothing
        if let journal { held = .journal(journal.segment, end: journal.flushedEnd) } else if let last { held = .upTo(last) }
        if !hasStreamed, let inventory = try inventory(mayFail: held != .nothing) {
            let stored = ReceiveStart.lastHeld(inventory, server.history, slotRestart: server.slotRestart, size: size)
            let here = journal?.segment ?? last
            if let stored, here.map({ $0.timeline <= stored.timeline && $0.number <= stored.number }) ?? true {
                try supersede(by: inventory)
                held = .upTo(stored)
            }
            for timeline in inventory.timelines where timeline.timeline > server.history.timeline && !timeline.runs.isEmpty {
                report(
                    .warning(
                        "the repository has log of timeline \(timeline.timeline) of this cluster, and the server is on timeline \(server.history.timeline)"))
            }
        }
        if let gapEnd {
            closeJournal()
            report(.warning("log is missing before \(gapEnd.name(size)): make a base backup at once, recovery cannot pass this gap"))
            self.gapEnd = nil
            return ReceiveStart(segment: gapEnd, durable: gapEnd.start(size))
        }
        if let restart {
            self.restart = nil
            return ReceiveStart(segment: restart, durable: restart.start(size))
        }
        let start = try ReceiveStart.choose(held, server, size: size)
        if let fork = start.abandonedAt {
            report(
                .warning(
                    "the server's history left timeline \(journal?.segment.timeline ?? last?.timeline ?? 0) at \(fork), before the end of what was received of it "
                        + "(\(journal?.flushedEnd ?? fork)): that stays in the repository on its own timeline"))
            closeJournal()
        } else if let journal, start.segment != journal.segment {
            closeJournal()
        }
        return start
    }

    /// The repository has the journal's segment whole: the journal goes, once it was compared.
    private func supersede(by inventory: WALInventory) throws {
        guard let journal, let place else { return }
        let name = journal.segment.name(place.size)
        guard inventory[journal.segment.timeline]?.contains(journal.segment.number) ?? false else {
            closeJournal()
            return
        }
        if archive.repository.keys.role == .full, journal.flushed > 0,
            let content = try archive.content(of: .segment(name: name), system: place.systemIdentifier)
        {
            defer { extendLifetime(content) }
            guard try journal.holds(UnsafeRawBufferPointer(rebasing: content.bytes.prefix(journal.flushed)), at: 0) else {
                throw RepoError(
                    .conflict, "\(name) is in the repository with other content than was received of it (\(journal.path))",
                    advice: "Two servers write this timeline. Find out which one is to be kept, before the log is lost: see 'repo wal status'.")
            }
        }
        self.journal = nil
        try place.spares.recycle(journal.path)
    }

    /// Nothing more is received into this journal: what there is of it is stored, and then it goes.
    func closeJournal() {
        guard let journal, let place else { return }
        place.upload.store(rest: journal.segment, length: journal.flushed)
        self.journal = nil
        partLength = 0
    }

    /// Goes on with the next timeline, at the beginning of the segment in which it began.
    private func follow(_ next: NextTimeline, _ connection: PostgresConnection) throws -> ReceiveStart {
        let place = place!
        try journal?.flush()
        guard expected == next.start else {
            throw RepoError(
                .sourceFailed, "the server ended its timeline at \(next.start), and the log was received up to \(expected)",
                advice: "It is asked again; see the server's log if this is told more than once.")
        }
        closeJournal()
        history = try keepHistory(next.timeline, connection)
        report(.timeline(next.timeline, from: next.start))
        let segment = WALSegment(timeline: next.timeline, holding: next.start, size: place.size)
        return ReceiveStart(segment: segment, durable: next.start)
    }

    // MARK: Refusals

    /// What a refusal of the stream means here.
    private func refused(
        _ error: RepoError, _ connection: PostgresConnection, _ start: ReceiveStart, _ server: ReceiveStart.Server
    ) -> RepoError {
        guard error.code == .sourceFailed, let place else { return error }
        let size = place.size
        switch connection.refusedState {
        case "55006":
            // object_in_use: another receiver, or what the server still believes of one that is gone.
            return RepoError(
                hasStreamed || ContinuousClock.now - began < .seconds(15) ? .sourceFailed : .failed,
                "the replication slot '\(options.slot ?? "")' is in use: \(error.message)",
                advice: "Another receiver streams through it; each needs a slot of its own. A server notices the end of a lost connection after wal_sender_timeout.")
        case "58P01":
            // undefined_file: "requested WAL segment … has already been removed".
            let missing = WALSegment(timeline: start.segment.timeline, holding: expected, size: size)
            let resume = ReceiveStart.resume(behind: missing, server, size: size)
            if options.allowsGap, resume.number > missing.number {
                gapEnd = resume
                return RepoError(.sourceFailed, "the server no longer has segment \(missing.name(size)); going on at \(resume.name(size))")
            }
            return RepoError(
                .failed,
                "the log from \(expected) on (segment \(missing.name(size))) was not received, and the server no longer has it: a gap begins there, "
                    + "and all before it is kept",
                advice: "With --allow-gap it goes on at \(resume.name(size)); make a base backup at once then. A slot keeps the log for the next time.")
        default: return error
        }
    }
}
