import Glibc
import Ingest
import PostgresFormats
import Recovery
import RepoBase
import Repository

/// `repo restore` of a PostgreSQL cluster to a moment.
struct RecoveryRun {
    let context: CommandContext
    let repository: OpenRepository
    let arguments: RecoveryArguments
    let archive: ThawArguments
    /// What any restore takes.
    var overwrite: RestoreOverwrite?
    var deletes = false
    var verifies = false
    var isDryRun = false

    /// - Parameter willWrite: called when everything was looked at and nothing touched.
    func run(
        _ candidates: [ClusterHistory.Candidate], target: RecoveryTarget, into folder: String, willWrite: () -> Void
    ) throws -> Int32 {
        let planned = try ClusterHistory(repository, candidates).plan(
            target, timeline: arguments.timelineChoice(), excludesTarget: arguments.exclusive)
        let plan = planned.plan
        let access = try LogAccess(context, systemIdentifier: plan.backup.facts.systemIdentifier)
        let action = arguments.action?.action ?? .promote
        var options = ClusterRestoreOptions(target: try LogAccess.absolute(folder), restoreCommand: access.command)
        options.overwrite = overwrite
        options.deletes = deletes
        options.verifies = verifies
        options.verifiesLog = !arguments.skipLogCheck
        options.makesSafetyCopy = arguments.safetyCopy
        options.tablespaces = try arguments.tablespacePlaces()
        options.action = action
        options.keepsArchiving = arguments.keepArchiving
        let root = planned.candidate.entry.snapshot.root
        let restore = ClusterRestore(repository, plan, root: root, options: options)
        var report = RecoveryReport(plan, target: options.target)

        if !context.options.json, !context.options.quiet {
            for line in RecoveryPlanText.lines(plan) {
                if isDryRun { try context.console.print(line) } else { context.note(line) }
            }
        }
        if isDryRun {
            try restore.checkTarget()
            report.dryRun = true
            let estimate = try RecoveryEstimate(repository, planned.log, plan, root: root)
            report.add(estimate)
            if context.options.json {
                try context.console.print(JSONOutput.line(report))
            } else if !context.options.quiet {
                try context.console.print(RecoveryPlanText.line("estimate", estimate.text))
            }
            return ExitStatus.done
        }
        try archive.require(root, repository, context)

        let major = Int(plan.backup.facts.serverVersion / 10_000)
        let programs =
            try arguments.start
            ? ServerPrograms(major: major, folder: arguments.postgresBin) : .expected(major: major, folder: arguments.postgresBin)
        let serverOptions = arguments.start ? try serverOptions(plan, root: root, target: options.target) : ""
        let trial = try RestoreCommandTrial(access.command, root: root, repository)
        if let segment = plan.segments.first { try tryRestoreCommand(trial, access, segment.name(planned.log.segmentSize)) }
        try ProgressDisplay.during(
            context, "check the log", { ProgressSample(done: UInt64(restore.logChecked.done), total: UInt64(restore.logChecked.total), unit: "segments") }
        ) { try restore.check(planned.log) }
        willWrite()
        let result = try ProgressDisplay.during(
            context, "restore",
            {
                let progress = restore.progress
                var sample = ProgressSample(done: progress.bytesDone, total: progress.isWriting ? progress.bytesTotal : nil)
                sample.files = progress.filesDone
                sample.errors = progress.problems
                return sample
            }
        ) { try restore.run(planned.log, isChecked: true, now: .now()) }
        report.add(result)
        for problem in result.problems { context.warn("\(RawPath.describe(problem.path)): \(problem.message)") }
        if result.ownersLeft > 0 {
            context.note("the files belong to you and not to their recorded owners: start the server as yourself")
        }
        let start = ServerStart(
            programs, data: options.target, plan: plan, action: action, serverOptions: serverOptions)
        if arguments.start {
            report.add(try start.run())
        } else {
            report.startCommand = start.startCommand
            report.environment = access.variables.isEmpty ? nil : access.variables
        }
        if context.options.json {
            try context.console.print(JSONOutput.line(report))
        } else if !context.options.quiet {
            for line in report.lines(action, user: trial.user, keepsArchiving: arguments.keepArchiving) { try context.console.print(line) }
        }
        return result.problems.isEmpty ? ExitStatus.done : ExitStatus.incomplete
    }

    /// Whether the server's user can run the restore command: a warning, or an error where we are to start the server.
    private func tryRestoreCommand(_ trial: RestoreCommandTrial, _ access: LogAccess, _ segment: String) throws {
        guard let failure = try trial.run(segment) else { return }
        let message = "\(trial.user.map { "user \($0)" } ?? "this user") cannot fetch the log: \(failure)"
        guard !arguments.start else {
            throw RepoError(
                .failed, message,
                advice: "Nothing was touched. The server's user must be able to run \(access.command.split(separator: " ")[0]), and to read the key and the repository.")
        }
        context.warn("\(message); the server will need that")
    }

    /// What the server is started with: a cluster whose configuration is elsewhere, as on Debian, must be told where.
    private func serverOptions(_ plan: RecoveryPlan, root: BlobID, target: String) throws -> String {
        var options = arguments.serverOptions ?? ""
        if options.contains("config_file") { return options }
        if (try? SnapshotPath.file(root, Array("postgresql.conf".utf8), BlobReader(repository))) != nil { return options }
        guard let file = plan.backup.facts.settings["config_file"], access(file, R_OK) == 0 else {
            throw RepoError(
                .usage, "the base backup holds no postgresql.conf: the server had its configuration elsewhere"
                    + (plan.backup.facts.settings["config_file"].map { " (\($0))" } ?? ""),
                advice: "Nothing was touched. Name it with --server-options '-c config_file=…', or restore without --start.")
        }
        options += (options.isEmpty ? "" : " ") + "-c config_file=\(ShellWord.quoted(file)) -c data_directory=\(ShellWord.quoted(target))"
        return options
    }
}
