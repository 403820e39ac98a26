import ArgumentParser
import Policy
import PostgresFormats
import RepoBase
import Repository
import Storage
import WALArchive

struct CopyCommand: RepoSubcommand {
    static let configuration = CommandConfiguration(
        commandName: "copy",
        abstract: "Send snapshots and the database's log to other repositories.",
        discussion: """
            Sends what the other repository lacks, beside running snapshots and prunes. One made by 'repo init --copy-of' shares the keys, and \
            objects go to it as they are; for any other everything is sealed anew with its own keys. A snapshot appears there once all that it \
            needs is durable. Interrupted, run it again: what has arrived is not sent again.

            With --status nothing is sent: each repository is looked at, and counted as a copy when it has the newest snapshot of every source and all its \
            data was verified by 'repo check --read-data' there, in one run or in parts, within the time of --within. Three copies with the data itself, \
            on two storages, one of them elsewhere, are what is wanted; the exit status is 1 where there is less.

            Without snapshots all of them are copied, and all of the log; with --source, --latest or snapshots only those, and the log of \
            their databases. Nothing is ever deleted there: run 'repo forget' and 'repo prune' with the rules of that place.

            Examples:
              repo init --repo s3://offsite/backup --copy-of /srv/backup
              repo copy --to s3://offsite/backup
              repo copy --to /mnt/usb/backup --to-password-file /etc/repo/usb-password --latest
              repo copy
              repo copy --status
            """)

    @Argument(help: SnapshotName.help) var snapshots: [String] = []
    @OptionGroup var to: CopyDestinationArguments
    @Option(help: ArgumentHelp("Snapshots of this source only.", valueName: "name")) var source: String?
    @Flag(help: "Of each host and source the newest snapshot only.") var latest = false
    @Flag(name: .customLong("dry-run"), help: "Say what would be sent, and change nothing.") var isDryRun = false
    @Flag(name: .customLong("status"), help: "Count the copies that are verified, and send nothing.") var isStatus = false
    @Option(help: ArgumentHelp("With --status: a copy counts for so long after its data was verified.", valueName: "duration")) var within = "35d"
    @Option(help: ArgumentHelp("With --status: the newest snapshots there may be so much older than here.", valueName: "duration")) var lag = "2d"
    @OptionGroup var thaw: ThawArguments
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func validate() throws {
        if isStatus, !snapshots.isEmpty || source != nil || latest || isDryRun { throw ValidationError("--status looks at everything, and sends nothing.") }
        if !snapshots.isEmpty, source != nil || latest { throw ValidationError("Name snapshots, or choose them by --source and --latest.") }
    }

    func run(_ context: CommandContext) throws -> Int32 {
        if isStatus { return try CopyStatusRun(to: to.destinations(context), within: within, lag: lag).run(context) }
        let destinations = try to.destinations(context).map { try OtherRepository($0, context) }
        let repository = try context.openRepository()
        let (entries, isWhole) = try chosen(SnapshotCatalog(repository), context)
        // What reads is copied in any case.
        var status = isWhole ? ExitStatus.done : RepoError.Code.damaged.exitStatus
        for destination in destinations {
            do {
                let ended = try copy(entries, from: repository, to: destination, context)
                if status == ExitStatus.done { status = ended }
            } catch where destinations.count > 1 && !(error is Console.ReaderGone) {
                // One place that cannot be reached keeps no other from its copy.
                let ended = CommandRunner(console: context.console).report(error, asJSON: context.options.json)
                if status == ExitStatus.done { status = ended }
            }
        }
        return status
    }

    /// Also whether all snapshots read among which was chosen.
    private func chosen(_ catalog: SnapshotCatalog, _ context: CommandContext) throws -> (entries: [SnapshotCatalog.Entry], isWhole: Bool) {
        guard snapshots.isEmpty else {
            var entries: [SnapshotCatalog.Entry] = []
            for name in snapshots {
                let entry = try catalog.find(name)
                if !entries.contains(where: { $0.id == entry.id }) { entries.append(entry) }
            }
            return (entries, true)
        }
        var isWhole = true
        var entries = try catalog.all(onProblem: { _, error in
            isWhole = false
            context.warn(error.message)
        })
        if let source {
            entries.removeAll { $0.snapshot.source != source }
            guard !entries.isEmpty else {
                throw RepoError(.notFound, "there is no snapshot of source '\(source)'", advice: "'repo snapshots' lists what there is.")
            }
        }
        guard latest else { return (entries, isWhole) }
        let bySource = Dictionary(grouping: entries) { "\($0.snapshot.host)\0\($0.snapshot.source)" }
        let newest = Set(bySource.values.compactMap { SnapshotCatalog.newest($0)?.id })
        return (entries.filter { newest.contains($0.id) }, isWhole)
    }

    private func copy(
        _ entries: [SnapshotCatalog.Entry], from repository: OpenRepository, to other: OtherRepository, _ context: CommandContext
    ) throws -> Int32 {
        let started = ContinuousClock.now
        let destination = try other.open(context, isDryRun: isDryRun)
        let progress = CopyProgress()
        let copy = RepositoryCopy(
            from: repository, to: destination, isDryRun: isDryRun, progress: progress,
            onStep: { step in if context.options.verbose { context.note(step) } },
            onUnregistered: { error in
                context.warn("\(error.message). Copying all the same: run no prune of \(repository.store.location) meanwhile, or copy again after it")
            })
        try copy.prepare()
        if repository.store.hasArchive {
            try thaw.require(
                copy.archivedPacks(entries), for: "this copy", in: repository.store, context, isDryRun: isDryRun, less: " With --latest or --source, fewer may do.")
        }
        let isAll = snapshots.isEmpty && source == nil && !latest
        let (log, outcome) = try ProgressDisplay.during(context, "copy", { ProgressSample(progress.values) }) {
            // First, so that no base backup is there without the log that makes it whole.
            let log = try LogCopy(from: repository, to: destination, isDryRun: isDryRun)
                .run(systems: isAll ? nil : Set(BaseBackup.all(entries).map(\.facts.systemIdentifier)))
            return (log, try copy.run(entries))
        }
        let result = CopyResult(
            outcome, log, url: destination.store.location, isTwin: copy.isTwin, isDryRun: isDryRun,
            seconds: (ContinuousClock.now - started) / .seconds(1))
        if context.options.json {
            try context.console.print(JSONOutput.line(result))
        } else {
            for failure in result.failures { context.warn(failure.problem) }
            if context.options.verbose {
                for id in result.copied { try context.console.print("\(id.source) is there as \(id.destination)") }
            }
            if !context.options.quiet { try context.console.print(result.line) }
        }
        return result.failures.isEmpty ? ExitStatus.done : RepoError.Code.damaged.exitStatus
    }
}

extension ProgressSample {
    fileprivate init(_ values: CopyProgress.Values) {
        self.init(done: values.bytes, total: values.bytesToSend)
    }
}

private struct CopyResult: Encodable {
    struct Copied: Encodable {
        let source: String
        let destination: String
    }

    struct Failure: Encodable {
        let object: String
        let problem: String
    }

    let url: String
    let sharesKeys: Bool
    let snapshots: Int
    let snapshotsPresent: Int
    let snapshotsCopied: Int
    let copied: [Copied]
    let bytesSent: UInt64
    let packsSent: UInt64
    let packsTakenUp: UInt64
    let blobsSealed: UInt64
    let blobsCompared: UInt64
    let logObjects: UInt64
    let logObjectsSent: UInt64
    let logBytesSent: UInt64
    let failures: [Failure]
    let seconds: Double
    let dryRun: Bool?

    init(_ outcome: CopyOutcome, _ log: LogCopy.Outcome, url: String, isTwin: Bool, isDryRun: Bool, seconds: Double) {
        (self.url, sharesKeys) = (url, isTwin)
        snapshots = outcome.snapshots
        snapshotsPresent = outcome.snapshotsPresent
        snapshotsCopied = outcome.copied.count
        copied = outcome.copied.map { Copied(source: "\($0.source)", destination: "\($0.destination)") }
        bytesSent = outcome.bytesSent
        packsSent = outcome.packsSent
        packsTakenUp = outcome.packsTakenUp
        blobsSealed = outcome.blobsSealed
        blobsCompared = outcome.blobsCompared
        logObjects = log.objects
        logObjectsSent = log.sent
        logBytesSent = log.bytesSent
        failures =
            outcome.failures.map { Failure(object: "\(SnapshotObject.key($0.snapshot))", problem: "snapshot \($0.snapshot.short) was not copied: \($0.error.message)") }
            + log.failures.map { Failure(object: $0.object, problem: "\($0.object) was not copied: \($0.error.message)") }
        self.seconds = (seconds * 1000).rounded() / 1000
        dryRun = isDryRun ? true : nil
    }

    var line: String {
        var text = dryRun == true ? "dry run: \(url) lacks" : "\(url):"
        text += " \(NumberText.counted(snapshotsCopied, "snapshot"))" + (dryRun == true ? "" : " copied")
        text += ", \(snapshotsPresent) \(snapshotsPresent == 1 ? "was" : "were") there"
        if logObjects > 0 { text += "; \(logObjectsSent) of \(NumberText.counted(logObjects, "object")) of the log" }
        // What is new to a repository with other keys is known once it was read.
        if dryRun != true || sharesKeys { text += "; \(ByteCount.describe(bytesSent + logBytesSent))" + (dryRun == true ? "" : " sent") }
        if !failures.isEmpty { text += "; \(failures.count) could not be copied" }
        return text
    }
}
