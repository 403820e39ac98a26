public import PostgresFormats
public import RepoBase

/// The moment that somebody asks for (`recovery_target*`, PostgreSQL 15, 20.5.5).
public enum RecoveryTarget: Hashable, Sendable {
    /// Everything that had ended by this time: replay stops before the first commit or abort, in the order of the log, that is later.
    case time(FileTime)
    /// Up to and including the record that begins at or before this position.
    case position(LogSequenceNumber)
    /// Up to and including the end of this transaction.
    case transaction(UInt32)
    /// Up to a restore point that `pg_create_restore_point` made.
    case name(String)
    /// As soon as the backup is consistent.
    case immediate
    /// All that there is.
    case latest
}

/// `recovery_target_timeline`.
public enum TimelineChoice: Hashable, Sendable {
    /// The newest that the backup's timeline leads to.
    case latest
    /// That on which the backup was taken.
    case ofBackup
    case number(UInt32)
}
