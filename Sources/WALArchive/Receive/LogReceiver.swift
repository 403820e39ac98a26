public import PostgresClient
public import PostgresFormats
public import RepoBase
import Repository
import Storage

/// Streams a server's log into a journal on this machine and from there into the repository: no gap, whatever is interrupted, and nothing acknowledged to the
/// server that is not on this machine's disk, so that a primary which counts it among its synchronous standbys loses nothing that it acknowledged.
///
/// One thread, the caller's, reads the stream, writes the journal and answers the server; another one stores what is whole. Every connection begins with the
/// question whether the server's log continues what is here, and with comparing what is here of a segment with what comes.
/// To be used once, by one thread.
public final class LogReceiver {
    let archive: WALArchive
    let target: ConnectionTarget
    let options: ReceiveOptions
    let cancellation: CancellationFlag
    let report: @Sendable (ReceiveEvent) -> Void

    // What is known once a server was reached.
    var place: Place?
    /// The segment that is being received; nil between two.
    var journal: JournalFile?
    /// The last segment that was received whole, when there is no journal.
    var last: WALSegment?
    var history = TimelineHistory()

    // The stream's state.
    /// Behind the last byte that was taken.
    var expected = LogSequenceNumber.invalid
    /// What the server may be told to be safe here.
    var durable = LogSequenceNumber.invalid
    var serverEnd = LogSequenceNumber.invalid
    /// Where this connection found the slot; nil once log has come, so that the server is known to have it.
    var slotRestart: LogSequenceNumber?
    var lastStatus = ContinuousClock.now
    var lastHeard = ContinuousClock.now
    var lastProgress = ContinuousClock.now
    var lastPart = ContinuousClock.now
    /// Flushed bytes of the journal when a part of it was last stored.
    var partLength = 0
    var hasAsked = false
    var received: UInt64 = 0
    /// A segment that came damaged, and was asked for once more.
    var distrusted: WALSegment?
    var restart: WALSegment?
    /// Whether any connection has come to a stream.
    var hasStreamed = false
    /// Where a gap was accepted: nothing behind this is asked for.
    var gapEnd: WALSegment?
    var knownHistories: Set<UInt32> = []
    let began = ContinuousClock.now
    /// Whether it was told that nothing more is read for now.
    var isStalled = false

    /// What belongs to one cluster on this machine.
    struct Place {
        let systemIdentifier: UInt64
        let size: WALSegmentSize
        let spool: LogSpool
        let spares: SpareJournals
        let upload: LogUpload
    }

    /// How receiving ended.
    public struct Outcome: Sendable {
        public var flushed: LogSequenceNumber
        public var received: UInt64
        public var stored: Int
        /// Whether all of it is in the repository; else what went wrong, and the rest is in the spool.
        public var problem: RepoError?
        public var wasStopped: Bool
    }

    /// - Parameters:
    ///   - cancellation: ends it in order: what has come is flushed and stored.
    ///   - report: called on several threads.
    public init(
        _ archive: WALArchive, _ target: ConnectionTarget, options: ReceiveOptions, cancellation: CancellationFlag,
        report: @escaping @Sendable (ReceiveEvent) -> Void
    ) {
        (self.archive, self.target, self.options) = (archive, target, options)
        (self.cancellation, self.report) = (cancellation, report)
    }

    /// Receives until it is cancelled, or what `options` say is reached. Throws what no waiting mends: `.conflict` when the server's log is not the
    /// continuation of what is here, or the repository has other content; `.usage` for a slot that is not there; `.damaged`; `.failed` when the journal
    /// cannot be written, when log is gone from the server, or when the slot stays in use by others. What was received is kept in any case.
    public func run() throws -> Outcome {
        do {
            let isDone = try receive()
            let problem = end()
            return Outcome(
                flushed: durable, received: received, stored: place?.upload.stored ?? 0, problem: problem, wasStopped: !isDone)
        } catch {
            _ = end()
            throw error
        }
    }

    /// True when what was asked for is reached, false when it was cancelled.
    private func receive() throws -> Bool {
        var failures = 0
        while true {
            do {
                let connection = try PostgresConnection(target, .physicalReplication, cancellation: cancellation)
                let before = received
                defer { if received > before { failures = 0 } }
                if try session(connection) { return true }
                throw RepoError(
                    .sourceFailed, "the server \(target) has ended the stream: it shuts down",
                    advice: "It goes on as soon as the server is back.")
            } catch let error as RepoError {
                if error.code == .interrupted { return false }
                try disconnected()
                if gapEnd != nil {
                    report(.warning(error.message))
                    continue
                }
                guard Self.mayPass(error), options.retries else { throw error }
                failures += 1
                if failures == 1, place == nil { storeLeftovers() }
                try pause(after: error, failures)
                if cancellation.isCancelled { return false }
            }
        }
    }

    /// Whether trying again may help.
    private static func mayPass(_ error: RepoError) -> Bool { error.code == .sourceFailed }

    private func pause(after error: RepoError, _ failures: Int) throws {
        let policy = RetryPolicy(attempts: .max, firstDelay: .milliseconds(500), maximumDelay: .seconds(30), totalTime: .seconds(1 << 40))
        let delay = policy.delay(afterFailures: failures, elapsed: .zero, random: Double.random(in: 0..<1))!
        let seconds = Double(delay.components.seconds) + Double(delay.components.attoseconds) / 1e18
        report(.lost(error, retry: seconds))
        guard !cancellation.wait(until: .now + delay) else { return }
        if let failure = place?.upload.failure { throw failure }
    }

    /// What has come is flushed, and a part of it stored, since nobody knows when the server will be back.
    private func disconnected() throws {
        try journal?.flush()
        storePart()
    }

    /// Flushes and stores what there is. Returns what kept it from the repository.
    private func end() -> RepoError? {
        guard let place else { return nil }
        var problem: RepoError?
        do { try disconnected() } catch { problem = error as? RepoError }
        problem = place.upload.finish() ?? problem
        place.spares.close()
        return problem
    }

    /// Puts into the repository what earlier runs left on this machine, for whatever cluster: the server may never come back.
    private func storeLeftovers() {
        for problem in Self.drain(archive, options: options, report: report) {
            report(.warning("\(problem.message)"))
        }
    }

    /// Stores everything that receivers left in the spool, and asks no server. Folders that another receiver uses are left alone. Returns what went wrong.
    public static func drain(
        _ archive: WALArchive, options: ReceiveOptions, report: @escaping @Sendable (ReceiveEvent) -> Void
    ) -> [RepoError] {
        var problems: [RepoError] = []
        let folder = spoolFolder(archive, options)
        for system in ((try? LocalContent.names(in: folder)) ?? []).compactMap({ UInt64($0) }).sorted() {
            do {
                let spool = try LogSpool(folder: "\(folder)/\(system)", systemIdentifier: system)
                guard let size = try spool.segmentSize() else { continue }
                let upload = LogUpload(archive, spool, nil, size: size, options: options, report: report)
                let newest = try spool.recover(upload, size: size, report: report)
                if let newest, newest.flushed > 0 { upload.store(part: newest.segment, length: newest.flushed) }
                upload.start()
                if let problem = upload.finish() { problems.append(problem) }
            } catch { problems.append(error) }
        }
        return problems
    }

    static func spoolFolder(_ archive: WALArchive, _ options: ReceiveOptions) -> String {
        "\(options.spool)/\(archive.repository.keys.repositoryID)"
    }
}
