import BlobEngine
import Ingest
import RepoBase
import Repository
import Storage

/// Runs one source into the repository and prints what came of it.
struct SnapshotRun {
    let context: CommandContext
    private let arguments: SnapshotArguments
    let repository: OpenRepository

    /// Unlocks the repository. A dry run stores what it makes nowhere.
    init(_ context: CommandContext, _ arguments: SnapshotArguments) throws {
        self.context = context
        self.arguments = arguments
        let opened = try context.openRepository(to: "store a snapshot")
        repository =
            arguments.isDryRun
            ? try OpenRepository(
                store: DiscardingStore(opened.store), keys: opened.keys, cacheDirectory: opened.cacheDirectory,
                objects: opened.objects?.withoutKeeping, isRemote: opened.isRemote)
            : opened
    }

    typealias Source = (OpenRepository, (SnapshotWriter) -> Void) throws -> SourceOutcome

    /// The exit status: 3 when something could not be read.
    /// - Parameter size: bytes that the source will give, where that is known; else the snapshot before is the guide.
    func run(_ description: SourceDescription, size: UInt64? = nil, _ source: Source) throws -> Int32 {
        let verification = arguments.verify ? try SnapshotVerification(before: repository) : nil
        let outcome = try watched(description, size, source)
        for problem in outcome.problems { context.warn(problem.message) }
        try verification?.run()
        if !arguments.isDryRun { keepParity(outcome) }
        let size = try repository.store.stat(SnapshotObject.key(outcome.id))?.size ?? 0
        let result = SnapshotResult(outcome, objectSize: size, isDryRun: arguments.isDryRun)
        if context.options.json {
            try context.console.print(JSONOutput.line(result))
        } else {
            if !context.options.quiet { try context.console.print(result.summary) }
            // A dry run's id names nothing.
            if !arguments.isDryRun { try context.console.print("\(outcome.id)") }
        }
        return context.exitStatus(outcome.problems.isEmpty ? ExitStatus.done : ExitStatus.incomplete, repository)
    }
}

extension SnapshotRun {
    /// The snapshot is there whatever becomes of parity.
    private func keepParity(_ outcome: SourceOutcome) {
        guard repository.keys.config.parity != nil else { return }
        do {
            if outcome.snapshot.statistics.bytesStored == 0 {
                try ParityUpkeep(repository).cover(outcome.id)
            } else {
                ParityResult.warn(try ParityUpkeep(repository).run(), context)
            }
        } catch {
            let reason = (error as? RepoError)?.message ?? "\(error)"
            context.warn("the snapshot is stored, and parity does not cover it yet: \(reason). 'repo parity update' makes up for it.")
        }
    }

    /// Runs the source, showing how far it is, until a signal ends it.
    private func watched(
        _ description: SourceDescription, _ size: UInt64?, _ source: Source
    ) throws -> SourceOutcome {
        let expected = try size ?? expectedSize(description)
        var display: ProgressDisplay?
        defer {
            Interruption.set(nil)
            display?.stop()
        }
        return try source(repository) { writer in
            let running = writer.running
            Interruption.set { running.cancel() }
            display = ProgressDisplay(context, description.name) {
                let progress = running.progress
                var sample = ProgressSample(
                    done: max(progress.bytesRead, progress.logicalBytes), total: progress.expectedBytes ?? expected)
                sample.files = progress.filesNew + progress.filesChanged + progress.filesUnmodified
                sample.errors = progress.errors
                sample.current = progress.current
                return sample
            }
        }
    }

    /// What the source had the last time; looked up only where an estimate is shown.
    private func expectedSize(_ description: SourceDescription) throws -> UInt64? {
        guard context.console.errorsIsTerminal, !context.options.quiet, !context.options.json else {
            return nil
        }
        let latest = try SnapshotCatalog(repository).latest(source: description.name, host: description.host)
        return latest?.snapshot.statistics.logicalBytes
    }
}

/// The last object that `repo snapshot --json` prints.
struct SnapshotResult: Encodable {
    let snapshotId: String
    let source: String
    let bytesRead: UInt64
    let bytesAdded: UInt64
    /// What the repository grew by, all objects counted.
    let bytesStored: UInt64
    let filesNew: UInt64
    let filesChanged: UInt64
    let filesUnmodified: UInt64
    let errors: UInt64
    let seconds: Double
    /// Absent unless true.
    let dryRun: Bool?
    /// Of snapshots of PostgreSQL.
    let cluster: ClusterReport?

    init(_ outcome: SourceOutcome, objectSize: UInt64, isDryRun: Bool) {
        let statistics = outcome.snapshot.statistics
        snapshotId = "\(outcome.id)"
        source = outcome.snapshot.source
        bytesRead = statistics.bytesRead
        bytesAdded = statistics.bytesAdded
        bytesStored = statistics.bytesStored + objectSize
        filesNew = statistics.filesNew
        filesChanged = statistics.filesChanged
        filesUnmodified = statistics.filesUnmodified
        errors = statistics.errors
        seconds = Double(statistics.duration) / 1e6
        dryRun = isDryRun ? true : nil
        cluster = ClusterReport(outcome.snapshot)
    }

    /// One line for a log.
    var summary: String {
        let files = [(filesNew, "new"), (filesChanged, "changed"), (filesUnmodified, "unmodified")]
            .map { "\(NumberText.grouped($0.0)) \($0.1)" }.joined(separator: ", ")
        let what = dryRun == nil ? "snapshot \(snapshotId.prefix(8))" : "dry run"
        let unread = errors == 0 ? "" : "; \(NumberText.grouped(errors)) could not be read"
        return "\(what) of \(source): \(files) files; \(ByteCount.describe(bytesRead)) read, "
            + "\(ByteCount.describe(bytesStored)) \(dryRun == nil ? "added" : "would be added") in "
            + "\(NumberText.seconds(seconds))\(unread)"
    }
}
