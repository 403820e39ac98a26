import ArgumentParser
import Ingest
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
            the repository is named, and everything else is restored.

            Examples:
              repo restore latest:uploads --target /tmp/uploads
              repo restore --source uploads --at '2026-11-03 02:30:00' --target /tmp/uploads
              repo restore latest --target / --include /etc/nginx --overwrite if-changed
              repo restore latest:dumps --to 'host=/run/postgresql user=postgres' --database shop
            """)

    @Argument(help: SnapshotName.help) var snapshot: String?
    @Option(help: ArgumentHelp("The newest snapshot of this source.", valueName: "name")) var source: String?
    @Option(help: ArgumentHelp("The newest snapshot at or before this time.", valueName: "time")) var at:
        String?
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
    @OptionGroup(title: "Dumps of PostgreSQL") var dumps: DumpRestoreArguments
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func validate() throws {
        if target.isEmpty == (dumps.to == nil) { throw ValidationError("Give either --target or --to.") }
    }

    func run(_ context: CommandContext) throws -> Int32 {
        let repository = try context.openRepositoryForReading()
        let entry = try SnapshotChoice.find(
            snapshot, source: source, at: at, SnapshotCatalog(repository), context)
        if let status = try dumps.run(entry, repository, context) { return status }
        var options = RestoreOptions()
        options.overwrite = overwrite?.option ?? (delete ? .ifChanged : nil)
        options.deletes = delete
        options.isDryRun = isDryRun
        options.verifies = verify
        options.usesNumericOwners = numericOwners
        if !includes.isEmpty || !excludes.isEmpty {
            let selection = RestoreSelection(includes: includes, excludes: excludes)
            options.selection = { selection.decide($0, isDirectory: $1) }
        }
        let restorer = Restorer(
            repository, root: entry.snapshot.root, target: Array(target.utf8), options: options)
        let started = ContinuousClock.now
        let result = try ProgressDisplay.during(context, "restore", { .init(restorer.progress) }) {
            try restorer.run { path, action in try show(action, path, context) }
        }
        for problem in result.problems {
            context.warn("\(RawPath.describe(problem.path)): \(problem.message)")
        }
        if result.ownersLeft > 0 {
            context.warn(
                "\(NumberText.grouped(result.ownersLeft)) entries belong to you and not to their recorded owners: only root can give files away")
        }
        let seconds = (ContinuousClock.now - started) / .seconds(1)
        let summary = RestoreSummary(entry, target, result, seconds: seconds, isDryRun: isDryRun)
        if context.options.json {
            try context.console.print(JSONOutput.line(summary))
        } else if !context.options.quiet {
            try context.console.print(summary.line)
        }
        return result.exitStatus
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

    init(includes: [String], excludes: [String]) {
        let root = [UInt8(ascii: "/")]
        self.includes = ExcludeMatcher(includes.map { ExcludePattern($0) }, root: root)
        self.excludes = ExcludeMatcher(excludes.map { ExcludePattern($0) }, root: root)
    }

    func decide(_ path: [UInt8], isDirectory: Bool) -> RestoreDecision {
        let relative = Array(path.drop { $0 == UInt8(ascii: "/") })
        if excludes.excludes(relative, isDirectory: isDirectory) { return .skip }
        if includes.isEmpty || includes.excludes(relative, isDirectory: isDirectory) { return .restore }
        return isDirectory ? .descend : .skip
    }
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
            "\(NumberText.grouped(files)) files, \(NumberText.grouped(filesUnchanged)) of them unchanged; "
        text += "\(ByteCount.describe(bytes)), \(ByteCount.describe(bytesWritten)) "
        text += dryRun == nil ? "written in \(NumberText.seconds(seconds))" : "to be written"
        if kept > 0 { text += "; \(NumberText.grouped(kept)) kept" }
        if deleted > 0 { text += "; \(NumberText.grouped(deleted)) deleted" }
        if problems > 0 { text += "; \(NumberText.grouped(problems)) problems" }
        return text
    }
}
