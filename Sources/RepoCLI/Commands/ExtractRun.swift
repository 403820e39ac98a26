import Ingest
import PostgresClient
import PostgresFormats
import Recovery
import RepoBase
import Repository

/// `repo restore --table`: tables out of dumps, or as they were at a moment.
struct ExtractRun {
    let context: CommandContext
    let repository: OpenRepository
    let arguments: ExtractArguments
    let recovery: RecoveryArguments
    /// Nil for a whole database.
    let options: ExtractOptions?
    /// --to, --database and --into, for a whole database.
    let dumps: DumpRestoreArguments
    let archive: ThawArguments
    var isDryRun = false
    var verifies = false

    private let started = ContinuousClock.now

    init(
        context: CommandContext, repository: OpenRepository, arguments: ExtractArguments, recovery: RecoveryArguments, dumps: DumpRestoreArguments,
        archive: ThawArguments, options: ExtractOptions?, isDryRun: Bool, verifies: Bool
    ) {
        (self.dumps, self.archive) = (dumps, archive)
        (self.context, self.repository, self.arguments, self.recovery, self.options) = (context, repository, arguments, recovery, options)
        (self.isDryRun, self.verifies) = (isDryRun, verifies)
    }

    /// - Parameters:
    ///   - snapshot: an id or `latest`.
    ///   - time: --at.
    ///
    /// Returns nil where dumps are meant, and whole databases of them.
    func run(snapshot: String?, source: String?, at time: String?) throws -> Int32? {
        let catalog = SnapshotCatalog(repository)
        if let snapshot {
            guard source == nil else { throw RepoError(.usage, "a snapshot was named, and --source as well", advice: "Give the one or the other.") }
            let entry = try catalog.find(snapshot)
            guard let candidate = try ClusterHistory.Candidate(entry) else {
                guard time == nil, !recovery.isAsked else {
                    throw RepoError(
                        .usage, "snapshot \(entry.id.short) is no base backup, from which a moment could be recovered", advice: "Without a moment its dumps are used.")
                }
                return try dump(entry)
            }
            guard options != nil || time != nil || recovery.isAsked else { return nil }
            // A snapshot alone means what it holds.
            let target = time == nil && !recovery.isAsked ? .immediate : try recovery.target(time.map { try context.moment($0) })
            return try moment([candidate], target)
        }
        var unreadable = UnreadableSnapshots()
        func pass(_ id: ObjectID, _ error: RepoError) {
            context.warn(error.message)
            unreadable.add(id, error)
        }
        let own = try catalog.all(onProblem: pass).filter { source == nil || $0.snapshot.source == source }
        let entries = try ClusterHistory.readable(own, onProblem: pass)
        let candidates = try entries.compactMap { try ClusterHistory.Candidate($0) }
        let sources = Set(entries.map(\.snapshot.source))
        let newestIsBackup = try entries.last.map { try ClusterHistory.Candidate($0) != nil } ?? false
        if sources.count == 1, !candidates.isEmpty, recovery.isAsked || time != nil || newestIsBackup && options != nil {
            let target = try recovery.target(time.map { try context.moment($0) })
            if case .immediate = target { try unreadable.requireNone(besides: candidates.last?.entry) }
            return try moment(candidates, target)
        }
        guard !recovery.isAsked || sources.count != 1 else {
            throw RepoError(.notFound, "there is no base backup of source '\(sources.first ?? "")'", advice: "'repo snapshot postgres' makes one.")
        }
        guard options != nil else { return nil }
        return try dump(SnapshotChoice.find(nil, source: source, at: time, catalog, context))
    }

    // MARK: - Dumps

    private func dump(_ entry: SnapshotCatalog.Entry) throws -> Int32? {
        guard let options else { return nil }
        try archive.require(entry.snapshot.root, repository, context, isDryRun: isDryRun)
        let work = try ExtractWork()
        let extract = try DumpExtract(
            repository, entry, options: options, work: work, scratch: try LogAccess.absolute(arguments.scratch ?? ThrowawayOptions.defaultScratch))
        let result = try Interruption.during({
            work.cancel()
            return false
        }) {
            try ProgressDisplay.during(context, "load", { .init(work) }) { try extract.run(isDryRun: isDryRun) { context.note($0) } }
        }
        return try report(entry, result, nil)
    }

    // MARK: - Moments

    private func moment(_ candidates: [ClusterHistory.Candidate], _ target: RecoveryTarget) throws -> Int32 {
        let planned = try ClusterHistory(repository, candidates).plan(
            target, timeline: recovery.timelineChoice(), excludesTarget: recovery.exclusive)
        let plan = planned.plan
        if !context.options.json, !context.options.quiet {
            for line in RecoveryPlanText.lines(plan) {
                if isDryRun { try context.console.print(line) } else { context.note(line) }
            }
        }
        let work = try ExtractWork()
        var throwawayOptions = ThrowawayOptions(scratch: try LogAccess.absolute(arguments.scratch ?? ThrowawayOptions.defaultScratch))
        throwawayOptions.programs = recovery.postgresBin
        throwawayOptions.verifies = verifies
        throwawayOptions.verifiesLog = !recovery.skipLogCheck
        throwawayOptions.user = arguments.superuser
        let access = try LogAccess(context, systemIdentifier: plan.backup.facts.systemIdentifier)
        let server = try ThrowawayServer(repository, planned, restoreCommand: access.command, options: throwawayOptions)
        let extract = try Extract(server, self, work)
        try extract.checkTarget()
        var recoveryReport = RecoveryReport(plan, target: throwawayOptions.scratch)
        var result = ExtractResult()
        if isDryRun {
            let estimate = try RecoveryEstimate(repository, planned.log, plan, root: planned.candidate.entry.snapshot.root)
            recoveryReport.add(estimate)
            if !context.options.json, !context.options.quiet { try context.console.print(RecoveryPlanText.line("estimate", estimate.text)) }
            return try report(planned.candidate.entry, result, recoveryReport)
        }
        try archive.require(planned.candidate.entry.snapshot.root, repository, context)
        try Interruption.during({
            work.cancel()
            server.cancel()
            return false
        }) {
            try ProgressDisplay.during(
                context, "check the log",
                { ProgressSample(done: UInt64(server.progress.logChecked.done), total: UInt64(server.progress.logChecked.total), unit: "segments") }
            ) { try server.check() }
            try server.use { _ in
                try ProgressDisplay.during(context, "restore", { .init(server.progress.restore) }) {
                    try extract.run(&result, moment: Self.describe(target, plan)) { context.note($0) }
                }
            }
        }
        return try report(planned.candidate.entry, result, recoveryReport)
    }

    /// Tables or a database.
    private enum Extract {
        case tables(MomentExtract)
        case database(DatabaseExtract)

        init(_ server: ThrowawayServer, _ run: ExtractRun, _ work: ExtractWork) throws {
            if let options = run.options {
                self = .tables(MomentExtract(server, options: options, work: work))
            } else {
                let target = try ConnectionTarget(run.dumps.to ?? "")
                self = .database(DatabaseExtract(server, to: target, database: run.dumps.databases.first, into: run.dumps.into, work: work))
            }
        }

        func checkTarget() throws {
            switch self {
            case .tables(let extract): try extract.checkTarget()
            case .database(let extract): try extract.checkTarget()
            }
        }

        func run(_ result: inout ExtractResult, moment: String, note: (String) -> Void) throws {
            switch self {
            case .tables(let extract): try extract.run(&result, moment: moment, note: note)
            case .database(let extract): try extract.run(&result, moment: moment, note: note)
            }
        }
    }

    /// The moment, for people: "at …".
    private static func describe(_ target: RecoveryTarget, _ plan: RecoveryPlan) -> String {
        let moment =
            switch target {
            case .time(let time): "at \(TimeDisplay.utc(time))"
            case .position(let position): "at \(position)"
            case .transaction(let transaction): "at the end of transaction \(transaction)"
            case .name(let name): "at restore point '\(TextDisplay.oneLine(name))'"
            case .immediate: "when base backup \(plan.backup.id.short) was complete"
            case .latest: "at the end of the log"
            }
        let stop =
            switch plan.stop {
            case .before(let position): ", before \(position)"
            case .after(let position): ", behind \(position)"
            case .consistency: ""
            }
        return "\(moment) (base backup \(plan.backup.id.short) of \(TimeDisplay.utc(plan.backup.time)), timeline \(plan.timeline)\(stop))"
    }

    private func report(_ entry: SnapshotCatalog.Entry, _ result: ExtractResult, _ recovery: RecoveryReport?) throws -> Int32 {
        let seconds = (ContinuousClock.now - started) / .seconds(1)
        if context.options.json {
            try context.console.print(JSONOutput.line(ExtractReport(entry, result, seconds: seconds, isDryRun: isDryRun, recovery: recovery)))
        } else {
            for note in result.notes { context.note(note) }
            if !context.options.quiet {
                let lines = options == nil
                    ? ExtractReport.databaseLines(result, seconds: seconds, isDryRun: isDryRun)
                    : ExtractReport.lines(result, seconds: seconds, isDryRun: isDryRun, appends: options?.existing == .append)
                for line in lines { try context.console.print(line) }
            }
        }
        for warning in result.warnings { context.warn(warning) }
        return result.warnings.isEmpty ? ExitStatus.done : ExitStatus.incomplete
    }
}

extension ProgressSample {
    fileprivate init(_ work: ExtractWork) {
        let progress = work.progress
        self.init(done: progress.done, total: progress.total)
    }

    fileprivate init(_ progress: RestoreProgress) {
        self.init(done: progress.bytesDone, total: progress.isWriting ? progress.bytesTotal : nil)
        files = progress.filesDone
        errors = progress.problems
    }
}
