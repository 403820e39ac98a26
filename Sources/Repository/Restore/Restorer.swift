public import RepoBase

/// Restores a snapshot into a directory.
///
/// Nothing is written outside that directory, whatever the snapshot says and whatever links stand in the target: every name is reached from its
/// directory's descriptor, and no symbolic link below the target is followed. What is damaged is named, and everything else is restored.
///
/// Memory: at most about 150 MB, whatever the snapshot's size, and 48 bytes for each hard-linked file whose other names were not met yet.
public final class Restorer: Sendable {
    private let repository: OpenRepository
    private let root: BlobID
    private let target: [UInt8]
    private let options: RestoreOptions
    private let counts = Monitor(RestoreProgress())

    /// - Parameters:
    ///   - root: the snapshot's tree.
    ///   - target: made where it is missing. A link in its path is followed: it is the user's.
    public init(
        _ repository: OpenRepository, root: BlobID, target: [UInt8], options: RestoreOptions = RestoreOptions()
    ) {
        self.repository = repository
        self.root = root
        self.target = target
        self.options = options
    }

    /// May be asked by any thread while it runs.
    public var progress: RestoreProgress { counts.withLock { $0 } }

    /// Runs the restore on this thread and `options.threads` more.
    ///
    /// Throws, before anything is touched, when the target is not empty and `overwrite` is nil, when it cannot be written to or has no room, or when
    /// the snapshot's root does not read; later, when the target or the store fail altogether.
    /// - Parameter onAction: told of each entry when it is decided what becomes of it, on this thread.
    public func run(
        onAction: (_ path: [UInt8], RestoreAction) throws -> Void = { _, _ in }
    ) throws -> RestoreResult {
        let reader = BlobReader(repository)
        _ = try TreeCursor(root, reader)
        let target = try RestoreTarget(
            target, mayHoldFiles: options.overwrite != nil, isDryRun: options.isDryRun)
        let directories = target.root.map { TargetDirectories(root: $0) }
        do {
            try RestoreSurvey(
                reader: reader, options: options, target: target, directories: directories, progress: counts
            ).check(root)
        } catch {
            target.remove()
            throw error
        }
        counts.withLock { $0.isWriting = !options.isDryRun }
        // A dry run makes no target, and touches no descriptor below it.
        let work = RestoreWork(
            repository, options, directories: directories ?? TargetDirectories(root: TargetHandle(-1)),
            inheritsAttributes: target.hasDefaultACL, progress: counts)
        return try withoutActuallyEscaping(onAction) { onAction in
            let pass = RestorePass(
                reader, options, work: work, targetExists: target.root != nil, onAction: onAction)
            do {
                try pass.run(root)
                work.stop()
                try work.check()
                if options.synchronises, !options.isDryRun { try work.synchronise(target) }
            } catch {
                work.abandon(error)
                throw error
            }
            let problems = work.problems
            return RestoreResult(
                counts: progress, problems: problems.list, metadataProblemCount: problems.metadataCount,
                ownersLeft: work.metadata.ownersLeft.withLock { $0 })
        }
    }
}
