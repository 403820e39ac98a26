import BlobEngine
import Ingest
import RepoBase
import Repository
import Storage

/// Runs one source into the repository and prints what came of it.
struct SnapshotRun {
    private let context: CommandContext
    private let arguments: SnapshotArguments
    private let repository: OpenRepository

    /// Unlocks the repository. A dry run stores what it makes nowhere.
    init(_ context: CommandContext, _ arguments: SnapshotArguments) throws {
        self.context = context
        self.arguments = arguments
        let opened = try context.openRepository()
        repository =
            arguments.isDryRun
            ? try OpenRepository(
                store: DiscardingStore(opened.store), keys: opened.keys, cacheDirectory: opened.cacheDirectory)
            : opened
    }

    typealias Source = (OpenRepository, (SnapshotWriter) -> Void) throws -> SourceOutcome

    /// The exit status: 3 when something could not be read.
    func run(_ name: String, _ source: Source) throws -> Int32 {
        let outcome = try source(repository) { _ in }
        for problem in outcome.problems { context.warn(problem.message) }
        if arguments.verify { try SnapshotVerification.run(outcome.snapshot.root, repository) }
        let size = try repository.store.stat(SnapshotObject.key(outcome.id))?.size ?? 0
        let result = SnapshotResult(outcome, objectSize: size, isDryRun: arguments.isDryRun)
        if context.options.json {
            try context.console.print(JSONOutput.line(result))
        } else {
            if !context.options.quiet { try context.console.print(result.summary) }
            // A dry run's id names nothing.
            if !arguments.isDryRun { try context.console.print("\(outcome.id)") }
        }
        return outcome.problems.isEmpty ? ExitStatus.done : ExitStatus.incomplete
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
