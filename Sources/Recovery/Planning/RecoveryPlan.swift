public import PostgresFormats
import RepoBase

/// Where replay stops: a position that was looked up in the log, so that nothing depends on what PostgreSQL meets on its way.
public enum RecoveryStop: Hashable, Sendable {
    /// Before the record that begins here, which is in the archive whole: `recovery_target_inclusive = off`.
    case before(LogSequenceNumber)
    /// Behind the record that begins here, which is in the archive whole.
    case after(LogSequenceNumber)
    /// As soon as the backup is consistent (`recovery_target = 'immediate'`).
    case consistency
}

/// How a moment is recovered: all of it was looked up and proven before anything is touched.
public struct RecoveryPlan: Hashable, Sendable {
    public var target: RecoveryTarget
    public var backup: BaseBackup
    /// `recovery_target_timeline`.
    public var timeline: UInt32
    /// The archive lacks that timeline's history, and PostgreSQL refuses its number then: it is to follow the base backup's (`current`), which it is.
    public var lacksHistory = false
    public var stop: RecoveryStop
    public var reason: Reason
    /// The files of the log that replay reads, in order.
    public var segments: [WALSegment]
    /// The last transaction that is part of the result, as far as it was looked for; its time is the moment that the data shows.
    public var lastTransaction: WALTransactionEnd?
    /// What the reader should know besides.
    public var notes: [String] = []
    /// Other timelines on which the same moment lies, and which this plan does not follow.
    public var otherTimelines: [UInt32] = []

    public enum Reason: Hashable, Sendable {
        /// The first that is later than the target (or has its time, where that is excluded).
        case transactionIsLater(WALTransactionEnd)
        /// No transaction later than the target is in the archive, and none that ended by then can be missing: this is the latest time in the log.
        case endOfLog(provenUntil: PostgresTime?)
        /// The transaction that was asked for.
        case transaction(WALTransactionEnd)
        case restorePoint(WALFacts.RestorePoint)
        case position
        case consistency
    }

    public init(target: RecoveryTarget, backup: BaseBackup, timeline: UInt32, stop: RecoveryStop, reason: Reason, segments: [WALSegment]) {
        self.target = target
        self.backup = backup
        self.timeline = timeline
        self.stop = stop
        self.reason = reason
        self.segments = segments
    }
}
