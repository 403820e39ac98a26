import PostgresFormats
import RepoBase
import Repository
import Storage
import WALArchive

/// What a restore needs, as far as it got: so much is looked at when it met damage.
struct RestoreConcern {
    /// Nil while none was chosen.
    var snapshot: ObjectID?
    /// Of a cluster that is to be recovered, for which the log counts as well.
    var clusterSource: String?
    /// The target was found to be empty, or may be written over, and writing began: what is there since is the restore's own.
    var isTargetTaken = false
}

/// Brings back from copies what stood in a restore's way, so that it can be run again.
struct RestoreHealing {
    let repository: OpenRepository
    let copies: [OtherRepository]
    let arguments: HealingArguments
    let context: CommandContext

    /// - Parameter error: what ended the restore; nil where it went on around the damage.
    ///
    /// Reads what was concerned in whole: the snapshot, or of a cluster every base backup of its source and its log.
    func run(_ concern: RestoreConcern, after error: RepoError?) throws {
        let isCluster = concern.clusterSource != nil
        for copy in copies {
            try arguments.attempt(context) {
                // What the archive lacks may be no damage that a check can see.
                if let source = concern.clusterSource { try fetchLog(of: source, from: copy) }
            }
            let report = try check(concern, logData: isCluster && error?.code == .damaged)
            guard !report.isClean else { return }
            try arguments.attempt(context) { try arguments.heal(repository, from: copy, report, context) }
        }
    }

    private func check(_ concern: RestoreConcern, logData: Bool) throws -> CheckReport {
        var options = RepositoryCheck.Options()
        options.endorsesPacks = false
        options.snapshots = concern.clusterSource == nil ? concern.snapshot.map { [$0] } : nil
        options.source = concern.clusterSource
        options.data = concern.snapshot == nil && concern.clusterSource == nil ? nil : .all
        let progress = CheckProgress()
        return try ProgressDisplay.during(context, "look for damage", { .init(progress.values) }) {
            var report: CheckReport
            do {
                report = try RepositoryCheck(repository, options: options, progress: progress).run()
            } catch let error as RepoError where error.code == .usage && options.source != nil {
                // Of this source no snapshot is readable.
                options.source = nil
                options.data = nil
                report = try RepositoryCheck(repository, options: options, progress: progress).run()
            }
            if let source = concern.clusterSource {
                report.add(try LogCheck(WALArchive(repository), data: logData ? .all : nil, source: source, progress: progress).run())
            }
            return report
        }
    }

    /// The log of the clusters that this source has base backups of, here or there.
    private func fetchLog(of source: String, from copy: OtherRepository) throws {
        let other = try copy.open(context)
        var systems: Set<UInt64> = []
        for place in [repository, other] {
            let entries = try SnapshotCatalog(place).all(onProblem: { _, _ in }).filter { $0.snapshot.source == source }
            for entry in entries { if let backup = try? BaseBackup(entry) { systems.insert(backup.facts.systemIdentifier) } }
        }
        let sent = try LogCopy(from: other, to: repository).run(systems: systems)
        for failure in sent.failures { context.warn("\(failure.object): \(failure.error.message)") }
        if sent.sent > 0 { context.note("\(NumberText.counted(sent.sent, "object")) of the log came from \(other.store.location)") }
    }
}
