import ArgumentParser
import Ingest
import Recovery
import RepoBase
import Repository

/// --overwrite.
enum OverwriteChoice: String, CaseIterable, ExpressibleByArgument {
    case always
    case ifChanged = "if-changed"
    case never

    var option: RestoreOverwrite {
        switch self {
        case .always: .always
        case .ifChanged: .ifChanged
        case .never: .never
        }
    }
}

struct RestoreCommand: RepoSubcommand {
    static let configuration = CommandConfiguration(
        commandName: "restore",
        abstract: "Restore a snapshot into a directory.",
        discussion: """
            Files stand below the target under their absolute paths. A target that is not empty is refused without \
            --overwrite or --delete. Repeated into the same target, only what differs is written. What is damaged in \
            the repository is named, and everything else is restored; with --heal or --heal-from, it is brought back from a copy of the \
            repository first, and put in its place.

            Of a PostgreSQL source, the moment that was asked for is brought back into a data directory, from the base \
            backup before it and the archived log: the position at which recovery has to stop is looked up beforehand, and \
            whether all of the log up to there is in the archive and whole. What cannot be recovered is refused with exit \
            status 13 before anything is touched. Without a target, all that there is comes back.

            Single tables come back into a running server or a file of SQL, in one transaction: out of dumps directly, or as they were at \
            a moment, by way of a server that is recovered to it in a folder of its own and removed. A table that is there is refused \
            (exit status 14) unless --rename-to, --append or --clean says otherwise.

            Examples:
              repo restore latest:uploads --target /tmp/uploads
              repo restore --source uploads --at '2026-11-03 02:30:00' --target /tmp/uploads
              repo restore latest --target / --include /etc/nginx --overwrite if-changed
              repo restore latest:uploads --target /tmp/uploads --heal-from s3://offsite/backup
              repo restore latest:dumps --to 'host=/run/postgresql user=postgres' --database shop
              repo restore --source main-db --at '2026-11-03 02:30:00' --target /var/lib/postgresql/restored --dry-run
              repo restore --source main-db --at '2026-11-03 02:30:00' --target /var/lib/postgresql/restored --start
              repo restore --source main-db --at '2026-11-03 02:30:00' --table public.orders --to 'host=/run/postgresql dbname=shop'
              repo restore --source main-db --at '2026-11-03 02:30:00' --table orders --where 'customer = 4711' --target orders.sql
              repo restore latest:dumps --table 'sales.*' --database shop --to 'host=/run/postgresql dbname=shop'
            """)

    @Argument(help: SnapshotName.help) var snapshot: String?
    @Option(help: ArgumentHelp("The newest snapshot of this source.", valueName: "name")) var source: String?
    @Option(
        help: ArgumentHelp(
            "The newest snapshot at or before this time; of a PostgreSQL source, exactly this moment.", valueName: "time"))
    var at: String?
    @Option(help: ArgumentHelp("Where to; made where it is missing.", valueName: "folder")) var target = ""
    @Option(
        name: .customLong("include"),
        help: ArgumentHelp("Only what matches; may be repeated.", valueName: "pattern"))
    var includes: [String] = []
    @Option(
        name: .customLong("exclude"),
        help: ArgumentHelp("Not what matches; may be repeated.", valueName: "pattern"))
    var excludes: [String] = []
    @Flag(name: .customLong("dry-run"), help: "Say what would be done, and change nothing.") var isDryRun =
        false
    @Option(help: ArgumentHelp("What becomes of files that are there.", valueName: "when")) var overwrite:
        OverwriteChoice?
    @Flag(help: "Remove what is in restored directories and not in the snapshot.") var delete = false
    @Flag(help: "Read every written file again and compare.") var verify = false
    @Flag(help: "Restore owners by number even where their names are known.") var numericOwners = false
    @OptionGroup(title: "Archival tiers") var archive: ThawArguments
    @OptionGroup(title: "Dumps of PostgreSQL") var dumps: DumpRestoreArguments
    @OptionGroup(title: "Single tables of PostgreSQL") var extract: ExtractArguments
    @OptionGroup(title: "Recovering PostgreSQL") var recovery: RecoveryArguments
    @OptionGroup(title: "Healing") var healing: HealingArguments
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func validate() throws {
        if target.isEmpty == (dumps.to == nil) { throw ValidationError("Give either --target or --to.") }
        guard extract.isAsked else {
            if let detail = extract.details.first { throw ValidationError("\(detail) goes with --table.") }
            try dumps.requireTarget()
            guard dumps.to != nil else { return }
            if let option = recovery.misplacedForTables.first(where: \.1) {
                throw ValidationError("\(option.0) does not go with --to: a cluster is recovered into a directory, --target.")
            }
            return
        }
        let misplaced =
            [
                ("--include", !includes.isEmpty), ("--exclude", !excludes.isEmpty), ("--delete", delete), ("--numeric-owners", numericOwners),
            ] + dumps.misplacedForTables + recovery.misplacedForTables
        if let option = misplaced.first(where: \.1) { throw ValidationError("\(option.0) does not go with --table and --schema.") }
        if let overwrite {
            guard dumps.to == nil else { throw ValidationError("--overwrite is for files; tables that are there are dropped with --clean.") }
            guard overwrite != .ifChanged else { throw ValidationError("A file of SQL is replaced with --overwrite always.") }
        }
        guard dumps.databases.count <= 1 else { throw ValidationError("Tables come from one --database at a time.") }
    }

    func run(_ context: CommandContext) throws -> Int32 {
        // What is wrong with them shows before the repository is opened.
        let tables = try extract.isAsked
            ? extract.options(to: dumps.to, file: target, replaces: overwrite == .always, database: dumps.databases.first) : nil
        let copies = isDryRun ? [] : try healing.copies(context)
        var concern = RestoreConcern()
        var failure: RepoError?
        do {
            if let status = try attempt(context, tables, &concern, isLast: copies.isEmpty) { return status }
        } catch let error as RepoError where !copies.isEmpty && [.damaged, .timeNotRecoverable].contains(error.code) {
            context.warn(error.message)
            failure = error
        }
        try RestoreHealing(repository: try context.openRepositoryPastCopies(), copies: copies, arguments: healing, context: context)
            .run(concern, after: failure)
        guard let status = try attempt(context, tables, &concern, isLast: true) else { preconditionFailure("the last attempt has no status") }
        return status
    }

    /// - Parameters:
    ///   - concern: of this attempt and the one before.
    ///   - isLast: damage is what comes out; otherwise it is named, and nil returned.
    private func attempt(_ context: CommandContext, _ tables: ExtractOptions?, _ concern: inout RestoreConcern, isLast: Bool) throws -> Int32? {
        let repository = try context.openRepositoryForReading()
        let overwrite = overwrite?.option ?? (delete || concern.isTargetTaken ? .ifChanged : nil)
        if extract.isAsked || dumps.to != nil {
            concern.clusterSource = try source ?? snapshot.map { try SnapshotCatalog(repository).find($0).snapshot.source }
            let run = ExtractRun(
                context: context, repository: repository, arguments: extract, recovery: recovery, dumps: dumps, archive: archive, options: tables,
                isDryRun: isDryRun, verifies: verify)
            if let status = try run.run(snapshot: snapshot, source: source, at: at) { return status }
        } else if let status = try recover(context, repository, overwrite, &concern) {
            return status
        }
        concern.clusterSource = nil
        let entry = try SnapshotChoice.find(
            snapshot, source: source, at: at, SnapshotCatalog(repository), context)
        concern.snapshot = entry.id
        if dumps.to != nil { try archive.require(entry.snapshot.root, repository, context) }
        if let status = try dumps.run(entry, repository, context) { return status }
        var options = RestoreOptions()
        options.overwrite = overwrite
        options.deletes = delete
        options.isDryRun = isDryRun
        options.verifies = verify
        options.usesNumericOwners = numericOwners
        if !includes.isEmpty || !excludes.isEmpty {
            let selection = RestoreSelection(includes: includes, excludes: excludes)
            options.selection = { selection.decide($0, isDirectory: $1) }
            options.unmet = { selection.unmet.map { "'--include \(TextDisplay.oneLine($0))'" } }
        }
        try archive.require(entry.snapshot.root, repository, context, isDryRun: isDryRun, selection: options.selection)
        let restorer = Restorer(
            repository, root: entry.snapshot.root, target: Array(target.utf8), options: options)
        let started = ContinuousClock.now
        defer { concern.isTargetTaken = concern.isTargetTaken || restorer.progress.isWriting }
        let result = try ProgressDisplay.during(context, "restore", { .init(restorer.progress) }) {
            try restorer.run { path, action in try show(action, path, context) }
        }
        for problem in result.problems {
            context.warn("\(RawPath.describe(problem.path)): \(problem.message)")
        }
        if !isLast, result.problems.contains(where: { $0.kind == .damage }) { return nil }
        if result.ownersLeft > 0 {
            context.warn(
                "\(NumberText.counted(result.ownersLeft, "entry belongs to you and not to its recorded owner", "entries belong to you and not to their recorded owners")): only root can give files away")
        }
        let seconds = (ContinuousClock.now - started) / .seconds(1)
        let summary = RestoreSummary(entry, target, result, seconds: seconds, isDryRun: isDryRun)
        if context.options.json {
            try context.console.print(JSONOutput.line(summary))
        } else if !context.options.quiet {
            try context.console.print(summary.line)
        }
        // Of a snapshot that was named all is as it was asked for; what was chosen may not be the one that it should be.
        return snapshot == nil || snapshot?.hasPrefix("latest") == true ? context.exitStatus(result.exitStatus, repository) : result.exitStatus
    }

    /// Recovers a cluster when that is what was asked for; nil when files are to be restored as they were.
    private func recover(
        _ context: CommandContext, _ repository: OpenRepository, _ overwrite: RestoreOverwrite?, _ concern: inout RestoreConcern
    ) throws -> Int32? {
        let catalog = SnapshotCatalog(repository)
        let candidates: [ClusterHistory.Candidate]
        var unreadable = UnreadableSnapshots()
        if let snapshot {
            let entry = try catalog.find(snapshot)
            let candidate = try ClusterHistory.Candidate(entry)
            guard recovery.isAsked || at != nil && candidate != nil else {
                if candidate != nil {
                    context.note("these are the files as they were backed up; for a database that starts, add --target-immediate, --latest or --at")
                }
                return nil
            }
            guard let candidate else {
                throw RepoError(
                    .usage, "snapshot \(entry.id.short) is no base backup of PostgreSQL, and an option for recovering one was given",
                    advice: "'repo snapshots' tells the kind of each.")
            }
            guard source == nil else {
                throw RepoError(.usage, "a snapshot was named, and --source as well", advice: "Give the one or the other.")
            }
            candidates = [candidate]
        } else {
            func pass(_ id: ObjectID, _ error: RepoError) {
                context.warn(error.message)
                unreadable.add(id, error)
            }
            let own = try catalog.all(onProblem: pass).filter { source == nil || $0.snapshot.source == source }
            let entries = try ClusterHistory.readable(own, onProblem: pass)
            candidates = try entries.compactMap { try ClusterHistory.Candidate($0) }
            let sources = Set(entries.map(\.snapshot.source))
            if sources.count > 1, recovery.isAsked {
                let clusters = Set(candidates.map(\.entry.snapshot.source)).sorted().map(TextDisplay.oneLine).joined(separator: ", ")
                throw RepoError(
                    .usage, "there are snapshots of \(sources.count) sources, and none was chosen",
                    advice: clusters.isEmpty ? "None of them is a base backup of PostgreSQL." : "Name one with --source: \(clusters).")
            }
            guard sources.count == 1, !candidates.isEmpty else {
                guard recovery.isAsked else { return nil }
                throw RepoError(
                    .notFound, source.map { "there is no base backup of source '\($0)'" } ?? "there is no base backup of PostgreSQL",
                    advice: "'repo snapshot postgres' makes one.")
            }
            // A source may hold dumps as well: the newest snapshot tells what it is now, unless a recovery was asked for.
            guard try recovery.isAsked || entries.last.flatMap({ try ClusterHistory.Candidate($0) }) != nil else { return nil }
        }
        guard includes.isEmpty, excludes.isEmpty else {
            throw RepoError(
                .usage, "a cluster is recovered whole: --include and --exclude do not go with that",
                advice: "To get single files of a base backup, name its snapshot: repo restore SNAP --include …")
        }
        guard !numericOwners else { throw RepoError(.usage, "--numeric-owners does not go with recovering a cluster") }
        concern.clusterSource = candidates.first?.entry.snapshot.source
        let target = try recovery.target(at.map { try context.moment($0) })
        // Any other moment is reached from another base backup as well.
        if case .immediate = target { try unreadable.requireNone(besides: candidates.last?.entry) }
        var run = RecoveryRun(context: context, repository: repository, arguments: recovery, archive: archive)
        run.overwrite = overwrite
        run.deletes = delete
        run.verifies = verify
        run.isDryRun = isDryRun
        return try run.run(candidates, target: target, into: self.target) { concern.isTargetTaken = true }
    }

    /// A dry run and --verbose name every entry.
    private func show(_ action: RestoreAction, _ path: [UInt8], _ context: CommandContext) throws {
        guard isDryRun || context.options.verbose, !context.options.quiet, !context.options.json else {
            return
        }
        if action == .unchanged, !context.options.verbose { return }
        let word =
            switch action {
            case .created: "create"
            case .updated: "update"
            case .unchanged: "unchanged"
            case .kept: "keep"
            case .deleted: "delete"
            }
        try context.console.print("\(word)  \(RawPath.describe(path))")
    }
}

/// --include and --exclude: patterns in gitignore's syntax, from the snapshot's root.
struct RestoreSelection: Sendable {
    private let includes: ExcludeMatcher
    private let excludes: ExcludeMatcher
    /// The patterns of --include that have matched nothing so far.
    private let waiting: Monitor<[(pattern: String, matcher: ExcludeMatcher)]>

    init(includes: [String], excludes: [String]) {
        let root = [UInt8(ascii: "/")]
        self.includes = ExcludeMatcher(includes.map { ExcludePattern($0) }, root: root)
        self.excludes = ExcludeMatcher(excludes.map { ExcludePattern($0) }, root: root)
        let positive = includes.filter { !ExcludePattern($0).isNegated }
        waiting = Monitor(positive.map { ($0, ExcludeMatcher([ExcludePattern($0)], root: root)) })
    }

    func decide(_ path: [UInt8], isDirectory: Bool) -> RestoreDecision {
        let relative = Array(path.drop { $0 == UInt8(ascii: "/") })
        if excludes.excludes(relative, isDirectory: isDirectory) { return .skip }
        guard !includes.isEmpty else { return .restore }
        waiting.withLock { waiting in
            if !waiting.isEmpty { waiting.removeAll { $0.matcher.excludes(relative, isDirectory: isDirectory) } }
        }
        if includes.excludes(relative, isDirectory: isDirectory) { return .restore }
        return isDirectory ? .descend : .skip
    }

    /// Those patterns of --include that have matched nothing that was asked about.
    var unmet: [String] { waiting.withLock { $0.map(\.pattern) } }
}

extension ProgressSample {
    fileprivate init(_ progress: RestoreProgress) {
        self.init(done: progress.bytesDone, total: progress.isWriting ? progress.bytesTotal : nil)
        files = progress.filesDone
        errors = progress.problems
    }
}

/// What a restore did: `--json`, and the line for people.
private struct RestoreSummary: Encodable {
    let snapshotId: String
    let target: String
    let files: UInt64
    let filesUnchanged: UInt64
    let directories: UInt64
    let hardLinks: UInt64
    let otherEntries: UInt64
    let kept: UInt64
    let deleted: UInt64
    let bytes: UInt64
    let bytesWritten: UInt64
    let problems: UInt64
    let seconds: Double
    let dryRun: Bool?

    init(
        _ entry: SnapshotCatalog.Entry, _ target: String, _ result: RestoreResult, seconds: Double,
        isDryRun: Bool
    ) {
        let counts = result.counts
        snapshotId = "\(entry.id)"
        self.target = target
        files = counts.filesDone
        filesUnchanged = counts.filesUnchanged
        directories = counts.directories
        hardLinks = counts.hardLinks
        otherEntries = counts.otherEntries
        kept = counts.kept
        deleted = counts.deleted
        bytes = counts.bytesDone
        bytesWritten = counts.bytesWritten
        problems = counts.problems
        self.seconds = (seconds * 1000).rounded() / 1000
        dryRun = isDryRun ? true : nil
    }

    var line: String {
        var text = dryRun == nil ? "restored" : "dry run:"
        text += " snapshot \(snapshotId.prefix(8)) into \(TextDisplay.oneLine(target)): "
        text +=
            "\(NumberText.counted(files, "file")), \(NumberText.grouped(filesUnchanged)) unchanged; "
        text += "\(ByteCount.describe(bytes)), \(ByteCount.describe(bytesWritten)) "
        text += dryRun == nil ? "written in \(NumberText.seconds(seconds))" : "to be written"
        if kept > 0 { text += "; \(NumberText.grouped(kept)) kept" }
        if deleted > 0 { text += "; \(NumberText.grouped(deleted)) deleted" }
        if problems > 0 { text += "; \(NumberText.counted(problems, "problem"))" }
        return text
    }
}
