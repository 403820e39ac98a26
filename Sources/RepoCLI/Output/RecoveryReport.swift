import PostgresFormats
import Recovery
import RepoBase

/// `repo restore` of a cluster with `--json`, and what it says to people in the end.
struct RecoveryReport: Encodable {
    let snapshotId: String
    let snapshotTime: String
    let systemIdentifier: String
    let target: String
    let timeline: UInt32
    /// `recovery_target_lsn`; absent for consistency.
    var stopLsn: String?
    var stopInclusive: Bool?
    let reason: String
    var lastTransaction: Transaction?
    var nextTransaction: Transaction?
    /// Everything up to then is known to be part of what is recovered, where that rests on the end of the log.
    var completeUntil: String?
    let segments: Int
    var firstSegment: String?
    var lastSegment: String?
    let logBytes: UInt64
    let bytes: UInt64
    let notes: [String]
    let otherTimelines: [UInt32]
    var dryRun: Bool?
    var estimatedSeconds: Double?
    var estimateRestsOn: String?
    var files: UInt64?
    var filesUnchanged: UInt64?
    var deleted: UInt64?
    var bytesWritten: UInt64?
    var tablespaces: [String: String]?
    var safetyCopies: [String: String]?
    var problems: Int?
    var checkSeconds: Double?
    var restoreSeconds: Double?
    var startSeconds: Double?
    var replaySeconds: Double?
    var reachedLsn: String?
    var newTimeline: UInt32?
    var isRunning: Bool?
    var isPaused: Bool?
    var serverLog: String?
    var startCommand: String?
    var environment: [String]?

    struct Transaction: Encodable {
        let xid: UInt32?
        let time: String
        let lsn: String
        let ended: String

        init(_ end: WALTransactionEnd) {
            xid = end.transaction
            time = TimeDisplay.utc(end.time.fileTime)
            lsn = "\(end.position)"
            ended = RecoveryPlanText.kind(end.kind)
        }
    }

    init(_ plan: RecoveryPlan, target: String) {
        let size = plan.backup.facts.segmentSize
        snapshotId = "\(plan.backup.id)"
        snapshotTime = TimeDisplay.utc(plan.backup.time)
        systemIdentifier = "\(plan.backup.facts.systemIdentifier)"
        self.target = target
        timeline = plan.timeline
        switch plan.stop {
        case .before(let position): (stopLsn, stopInclusive) = ("\(position)", false)
        case .after(let position): (stopLsn, stopInclusive) = ("\(position)", true)
        case .consistency: break
        }
        switch plan.reason {
        case .transactionIsLater(let end): (reason, nextTransaction) = ("transaction is later", Transaction(end))
        case .endOfLog(let time): (reason, completeUntil) = ("end of log", time.map { TimeDisplay.utc($0.fileTime) })
        case .transaction: reason = "transaction"
        case .restorePoint: reason = "restore point"
        case .position: reason = "position"
        case .consistency: reason = "consistency"
        }
        lastTransaction = plan.lastTransaction.map(Transaction.init)
        segments = plan.segments.count
        firstSegment = plan.segments.first?.name(size)
        lastSegment = plan.segments.last?.name(size)
        logBytes = UInt64(plan.segments.count) * UInt64(size.bytes)
        bytes = plan.backup.bytes
        notes = plan.notes
        otherTimelines = plan.otherTimelines
    }

    mutating func add(_ estimate: RecoveryEstimate) {
        estimatedSeconds = estimate.seconds.map(Self.rounded)
        estimateRestsOn = estimate.text
    }

    mutating func add(_ result: ClusterRestoreResult) {
        files = result.files
        filesUnchanged = result.filesUnchanged
        deleted = result.deleted
        bytesWritten = result.bytesWritten
        tablespaces = Dictionary(uniqueKeysWithValues: result.tablespaces.map { ("\($0)", $1) })
        safetyCopies = Dictionary(uniqueKeysWithValues: result.safetyCopies.map { ($0.from, $0.to) })
        problems = result.problems.count
        checkSeconds = Self.rounded(result.checkSeconds)
        restoreSeconds = Self.rounded(result.restoreSeconds)
    }

    mutating func add(_ start: ServerStart.Report) {
        startSeconds = Self.rounded(start.startSeconds)
        replaySeconds = Self.rounded(start.replaySeconds)
        reachedLsn = start.position.map { "\($0)" }
        newTimeline = start.timeline
        isRunning = start.isRunning
        isPaused = start.isPaused
        serverLog = start.log
    }

    private static func rounded(_ seconds: Double) -> Double { (seconds * 1000).rounded() / 1000 }

    /// - Parameter user: whom the files were given to, when that is not whoever runs this.
    func lines(_ action: RecoveryAction, user: String?, keepsArchiving: Bool) -> [String] {
        var lines: [String] = []
        for (from, to) in (safetyCopies ?? [:]).sorted(by: { $0.key < $1.key }) { lines.append("\(from) is kept as \(to)") }
        lines.append(
            "restored base backup \(snapshotId.prefix(8)) into \(TextDisplay.oneLine(target)): \(NumberText.counted(files ?? 0, "file")), "
                + "\(ByteCount.describe(bytesWritten ?? 0)) written in \(NumberText.seconds(restoreSeconds ?? 0)); \(NumberText.counted(segments, "segment")) of log checked in \(NumberText.seconds(checkSeconds ?? 0))")
        if let startSeconds, let replaySeconds {
            var line = "the server is consistent after \(NumberText.seconds(startSeconds)), recovery ended"
            if let reachedLsn { line += " at \(reachedLsn)" }
            line += " \(NumberText.seconds(replaySeconds)) later"
            if let newTimeline { line += ", on timeline \(newTimeline)" }
            lines.append(line)
            if let lastTransaction { lines.append("the last transaction in it ended at \(lastTransaction.time)") }
            if isPaused == true { lines.append("it waits for you: SELECT pg_wal_replay_resume() ends recovery, as does promotion") }
            if isRunning == false { lines.append("it has stopped there; started again, it goes on from there") }
        } else if let startCommand {
            lines.append("start it\(user.map { " as user \($0)" } ?? ""): \(startCommand)")
            for variable in environment ?? [] { lines.append("with \(variable) in its environment, which fetching the log needs and no file holds") }
        }
        if !keepsArchiving {
            lines.append("archive_mode is off, so that it cannot archive over the old server's log; to archive again: ALTER SYSTEM RESET archive_mode, and restart")
        }
        return lines
    }
}
