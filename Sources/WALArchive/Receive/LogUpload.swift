import Glibc
import PostgresFormats
import RepoBase
import Repository
import Storage

/// Brings journals into the repository on a thread of its own, in the order of the log: histories before the first segment of their timeline, and
/// each journal until the repository has it, however long that takes.
final class LogUpload: Sendable {
    private enum Work: Sendable {
        case history(UInt32)
        case whole(WALSegment)
        /// The last that there will be of this segment: its timeline was left.
        case rest(WALSegment, length: Int)
    }

    private struct State {
        var queue: [Work] = []
        /// The segment that is being received, with as much as is to be stored of it now.
        var part: (segment: WALSegment, length: Int)?
        var isClosing = false
        /// Ends the receiver.
        var failure: RepoError?
        var isInTrouble = false
        var stored = 0
    }

    private let state = Monitor(State())
    private let archive: WALArchive
    private let spool: LogSpool
    private let spares: SpareJournals?
    private let size: WALSegmentSize
    private let options: ReceiveOptions
    private let report: @Sendable (ReceiveEvent) -> Void
    private let worker = Monitor<WorkerThread?>(nil)
    /// Waits between tries: doubled from a second to a minute, with jitter.
    private static let policy = RetryPolicy(attempts: .max, firstDelay: .seconds(1), maximumDelay: .seconds(60), totalTime: .seconds(1 << 40))

    /// - Parameter spares: take the files of journals that are done; nil: they are deleted.
    init(
        _ archive: WALArchive, _ spool: LogSpool, _ spares: SpareJournals?, size: WALSegmentSize, options: ReceiveOptions,
        report: @escaping @Sendable (ReceiveEvent) -> Void
    ) {
        (self.archive, self.spool, self.spares, self.size) = (archive, spool, spares, size)
        (self.options, self.report) = (options, report)
    }

    func start() { worker.withLock { $0 = WorkerThread { self.run() } } }

    // MARK: What is asked of it

    func store(history timeline: UInt32) { state.update { $0.queue.append(.history(timeline)) } }

    func store(_ segment: WALSegment) {
        state.update { state in
            if state.part?.segment == segment { state.part = nil }
            state.queue.append(.whole(segment))
        }
    }

    /// The timeline was left in this segment: its journal goes when this much is stored.
    func store(rest segment: WALSegment, length: Int) {
        state.update { state in
            if state.part?.segment == segment { state.part = nil }
            state.queue.append(.rest(segment, length: length))
        }
    }

    /// Stores so much of a segment that goes on being received, when nothing else waits; a later call replaces this one.
    func store(part segment: WALSegment, length: Int) { state.update { $0.part = (segment, length) } }

    /// What ends the receiver: other content under a name, damage, a wrong key, a journal that cannot be read.
    var failure: RepoError? { state.withLock { $0.failure } }
    var stored: Int { state.withLock { $0.stored } }

    /// Bytes of journals that wait.
    var waiting: UInt64 { state.withLock { Self.waiting($0, size) } }

    private static func waiting(_ state: State, _ size: WALSegmentSize) -> UInt64 {
        let journals = state.queue.count { work in
            if case .history = work { return false }
            return true
        }
        return UInt64(journals) * UInt64(JournalFile.fileSize(size))
    }

    /// Waits up to a second for room below the limit.
    func hasRoom(limit: UInt64) -> Bool {
        state.wait(upTo: 1) { Self.waiting($0, size) < limit || $0.failure != nil }
    }

    /// Stores what waits, as long as the repository takes it; what it does not take stays in the spool. Returns what went wrong.
    func finish() -> RepoError? {
        state.update { $0.isClosing = true }
        worker.withLock { $0 }?.join()
        return failure
    }

    // MARK: The thread

    private func run() {
        while let step = next() {
            do {
                try repeating { try perform(step) }
            } catch {
                let error = error as? RepoError ?? RepoError(.failed, "\(error)")
                state.update { $0.failure = $0.failure ?? error }
                return
            }
        }
    }

    private enum Step {
        case work(Work)
        case part(WALSegment, Int)
    }

    /// The next thing to do, which stays at the head of the queue until it is done; nil at the end.
    private func next() -> Step? {
        let next: Step?? = state.wait { state -> Step?? in
            if let first = state.queue.first { return .work(first) }
            if let part = state.part {
                state.part = nil
                return .part(part.segment, part.length)
            }
            return state.isClosing ? .some(nil) : nil
        }
        return next ?? nil
    }

    private func perform(_ step: Step) throws {
        switch step {
        case .work(let work):
            switch work {
            case .history(let timeline): try put(history: timeline)
            case .whole(let segment): try put(segment)
            case .rest(let segment, let length):
                if length > 0 { try put(part: segment, length: length) }
                try drop(segment)
            }
            state.update { state in
                state.queue.removeFirst()
                if case .whole = work { state.stored += 1 }
            }
        case .part(let segment, let length): try put(part: segment, length: length)
        }
    }

    /// Until it succeeds, with waits between; throws what no waiting mends, and while closing whatever comes.
    private func repeating(_ body: () throws -> Void) throws {
        var failures = 0
        while true {
            do {
                try body()
                let wasInTrouble = state.withLock { state in
                    defer { state.isInTrouble = false }
                    return state.isInTrouble
                }
                if wasInTrouble { report(.repositoryBack) }
                return
            } catch let error as RepoError {
                guard Self.mayPass(error), !state.withLock({ $0.isClosing }) else { throw error }
                failures += 1
                let waiting = state.withLock { state in
                    state.isInTrouble = true
                    return Self.waiting(state, size)
                }
                let delay = Self.policy.delay(afterFailures: failures, elapsed: .zero, random: Double.random(in: 0..<1))!
                report(.repositoryTrouble(error, waiting: waiting))
                // At least a second: waits here have whole ones.
                _ = state.wait(upTo: max(1, Int(delay.components.seconds))) { $0.isClosing }
            }
        }
    }

    /// Whether it may be otherwise later: a store that is not reached, a full or missing disk.
    private static func mayPass(_ error: RepoError) -> Bool {
        ![.conflict, .damaged, .wrongKey, .refused, .usage, .noRepository].contains(error.code)
    }

    private func put(history timeline: UInt32) throws {
        let path = spool.historyPath(timeline)
        // An earlier call has stored it.
        guard access(path, F_OK) == 0 else { return }
        let content = try LocalContent.read(path, atMost: TimelineHistory.sizeLimit)
        try archive.store(
            [WALFile(name: ArchivedFile.history(timeline: timeline).name, content: content, facts: nil)], system: spool.systemIdentifier,
            segmentSize: nil, threads: 1)
        unlink(path)
    }

    private func put(_ segment: WALSegment) throws {
        let name = segment.name(size)
        let path = spool.journalPath(name)
        let content = try JournalFile.content(path, count: size.bytes)
        var facts: WALFacts?
        do throws(RepoError) {
            facts = try withExtendedLifetime(content) { () throws(RepoError) in
                try WALSegmentReader.verify(
                    name: name, content.bytes, extent: .complete, systemIdentifier: spool.systemIdentifier, object: path
                ).facts
            }
        } catch {
            guard options.acceptsDamage else { throw error }
            report(.warning("\(error.message); archived as it is"))
        }
        let stored = try archive.store(
            [WALFile(name: name, content: content, facts: facts)], system: spool.systemIdentifier, segmentSize: size, threads: options.threads)
        try drop(segment)
        removeParts(of: segment, shorterThan: .max)
        switch stored {
        case .new(let bytes): report(.stored(segment: name, bytes: bytes, wasThere: false))
        case .alreadyThere: report(.stored(segment: name, bytes: 0, wasThere: true))
        }
    }

    private func put(part segment: WALSegment, length: Int) throws {
        let name = segment.name(size)
        let path = spool.journalPath(name)
        let content = try JournalFile.content(path, count: length)
        guard let (usable, facts) = try soundBeginning(content, name, path) else { return }
        content.count = usable
        try archive.store(
            [WALFile(name: name, content: content, facts: facts)], system: spool.systemIdentifier, segmentSize: size,
            as: .received(segment: name, length: UInt32(usable)), threads: options.threads)
        removeParts(of: segment, shorterThan: UInt64(usable))
        report(.part(segment: name, length: usable))
    }

    /// How much of the content recovery can read, and its facts; nil where it is not even the header of a segment.
    private func soundBeginning(_ content: AlignedBuffer, _ name: String, _ path: String) throws(RepoError) -> (Int, WALFacts)? {
        defer { extendLifetime(content) }
        // Fewer bytes than the header of the first page.
        guard content.count >= 40 else { return nil }
        let found = try WALSegmentReader.read(content.bytes, object: path)
        switch found.end {
        case .full, .switched, .cut: return (content.count, found.facts)
        case .zeros(let fault), .leftovers(let fault), .damaged(let fault):
            // What lies behind cannot be replayed; the journal keeps it.
            report(.warning("\(path) is damaged: \(fault); only what is before that is archived of \(name)"))
            return fault.offset >= 40 ? (fault.offset, found.facts) : nil
        }
    }

    /// The journal has done its duty.
    private func drop(_ segment: WALSegment) throws(RepoError) {
        let path = spool.journalPath(segment.name(size))
        guard let spares else {
            unlink(path)
            return
        }
        try spares.recycle(path)
    }

    /// Shorter parts of the same segment are of no use any more. A writer key leaves them to 'prune'.
    private func removeParts(of segment: WALSegment, shorterThan length: UInt64) {
        guard archive.repository.keys.role == .full else { return }
        let name = segment.name(size)
        guard let parts = try? archive.received(of: name, system: spool.systemIdentifier) else { return }
        for part in parts where part.receivedLength < length {
            // One that stays does no harm.
            try? archive.store.delete(part.key(systemIdentifier: spool.systemIdentifier))
        }
    }
}
