public import Repository

/// How a cluster is restored.
public struct ClusterRestoreOptions: Sendable {
    /// The data directory, by its whole path.
    public var target: String
    /// What becomes of files that are there; nil: a target that is not empty is refused.
    public var overwrite: RestoreOverwrite?
    /// Removes what is in the target and not in the backup. A target that holds files is refused without it: a cluster of which some files are
    /// from another time is none.
    public var deletes = false
    /// Moves what stands in the target and in tablespaces aside first, by renaming.
    public var makesSafetyCopy = false
    /// New places of tablespaces, by their old place or their oid.
    public var tablespaces: [String: String] = [:]
    public var action: RecoveryAction = .promote
    public var keepsArchiving = false
    /// What PostgreSQL is to run for each file of the log, with `%f` and `%p`.
    public var restoreCommand: String
    /// Reads every written file again and compares it with the snapshot.
    public var verifies = false
    /// Reads every segment that replay will read before anything is touched, so that a damaged one is found now.
    public var verifiesLog = true
    /// Asked at each file and each segment: what it throws ends the restore there.
    public var check: @Sendable () throws -> Void = {}

    public init(target: String, restoreCommand: String) {
        self.target = target
        self.restoreCommand = restoreCommand
    }
}

/// What a restore of a cluster did.
public struct ClusterRestoreResult: Sendable {
    public var data: String
    public var files: UInt64 = 0
    public var filesUnchanged: UInt64 = 0
    public var deleted: UInt64 = 0
    public var bytes: UInt64 = 0
    public var bytesWritten: UInt64 = 0
    /// By oid.
    public var tablespaces: [UInt32: String] = [:]
    /// What was there before, moved aside: from where, to where.
    public var safetyCopies: [(from: String, to: String)] = []
    /// Owners that could not be given, and the like; the content is whole.
    public var problems: [RestoreProblem] = []
    public var ownersLeft: UInt64 = 0
    /// Seconds.
    public var checkSeconds: Double = 0
    public var restoreSeconds: Double = 0
}
