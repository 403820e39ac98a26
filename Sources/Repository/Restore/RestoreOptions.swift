import RepoBase

/// What becomes of an entry of a snapshot in a restore.
public enum RestoreDecision: Hashable, Sendable {
    /// It is restored; a directory's entries are asked about one by one.
    case restore
    /// A directory that is not wanted itself: its entries are asked about, and it is made only when one of them is restored.
    case descend
    /// Neither it nor anything below it.
    case skip
}

/// What becomes of files that stand in the target already.
public enum RestoreOverwrite: Hashable, Sendable {
    /// Their content is compared with the snapshot's and rewritten where it differs.
    case always
    /// As `always`, but a file of equal size and modification time is taken as restored: for resuming.
    case ifChanged
    /// They stay as they are; only what is missing is restored.
    case never
}

/// How a snapshot is to be restored.
public struct RestoreOptions: Sendable {
    /// Nil: a target that is not empty is refused.
    public var overwrite: RestoreOverwrite?
    /// Removes what is in restored directories and not in the snapshot, as far as `selection` would restore it.
    public var deletes = false
    /// Changes nothing, and tells what would be done.
    public var isDryRun = false
    /// Reads every written file again and compares it with the snapshot.
    public var verifies = false
    /// Brings everything to the disk before it is reported as restored (syncfs(2)); false for who does that later.
    public var synchronises = true
    /// Restores owners by number even where the machine knows their names.
    public var usesNumericOwners = false
    /// Threads that decode and write. More than processors: some wait for the device.
    public var threads = 2 * availableProcessors()
    /// Bytes of large new files that are written through the page cache; what comes after goes past it where the file system can do that.
    public var cachedLimit = 128 << 20
    /// Asked once for each entry on the way, with its path from the snapshot's root.
    public var selection: @Sendable (_ path: [UInt8], _ isDirectory: Bool) -> RestoreDecision = { _, _ in
        .restore
    }
    /// What was asked for by name and met nowhere, as people wrote it: asked once when everything was looked through and nothing was touched. Where
    /// there is any, the restore is refused.
    public var unmet: @Sendable () -> [String] = { [] }

    public init() {}
}

/// What was done with an entry, or would be in a dry run.
public enum RestoreAction: Hashable, Sendable {
    case created
    /// Something in its place was changed or replaced.
    case updated
    case unchanged
    /// It stood in the target, which was to be kept.
    case kept
    /// It was not in the snapshot.
    case deleted
}

/// Something that was not restored as it should be.
public struct RestoreProblem: Hashable, Sendable {
    public enum Kind: Hashable, Sendable {
        /// The repository lacks it, or holds it damaged; or it reads back otherwise than it was written.
        case damage
        /// The target refused it.
        case target
        /// It is there, without some of its ownership, permissions, times or attributes.
        case metadata
    }

    public let kind: Kind
    /// From the snapshot's root.
    public let path: [UInt8]
    public let message: String

    public init(_ kind: Kind, path: [UInt8], message: String) {
        self.kind = kind
        self.path = path
        self.message = message
    }
}

/// What a running restore has done so far.
public struct RestoreProgress: Hashable, Sendable {
    /// False while the snapshot is still looked through and nothing has been touched.
    public var isWriting = false
    /// Known when writing begins. Hard links count once.
    public var filesTotal: UInt64 = 0
    public var bytesTotal: UInt64 = 0
    /// Files that are as they should be.
    public var filesDone: UInt64 = 0
    /// Of those, files whose content was there already.
    public var filesUnchanged: UInt64 = 0
    /// Bytes of content settled: written, or found to be there.
    public var bytesDone: UInt64 = 0
    /// Bytes of content written.
    public var bytesWritten: UInt64 = 0
    public var directories: UInt64 = 0
    public var hardLinks: UInt64 = 0
    public var otherEntries: UInt64 = 0
    /// Entries of the target that were kept instead of the snapshot's.
    public var kept: UInt64 = 0
    public var deleted: UInt64 = 0
    public var problems: UInt64 = 0

    public init() {}
}

/// What a restore did.
public struct RestoreResult: Hashable, Sendable {
    public var counts: RestoreProgress
    /// Every problem of damage and of the target; of those of metadata, the first 1,000.
    public var problems: [RestoreProblem]
    /// All of them.
    public var metadataProblemCount: UInt64
    /// Entries that belong to whoever restored them instead of their recorded owners, since only root may give files away.
    public var ownersLeft: UInt64 = 0

    public static let metadataProblemLimit = 1000

    public var hasDamage: Bool { problems.contains { $0.kind == .damage } }

    /// The command's: 12 for damage, 1 when the target refused something, 3 when only metadata is missing, else 0.
    public var exitStatus: Int32 {
        if hasDamage { return RepoError.Code.damaged.exitStatus }
        if problems.contains(where: { $0.kind == .target }) { return RepoError.Code.failed.exitStatus }
        return metadataProblemCount > 0 ? RepoError.Code.incompleteSource.exitStatus : 0
    }
}
