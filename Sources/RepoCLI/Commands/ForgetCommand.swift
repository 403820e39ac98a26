import ArgumentParser
import BlobEngine
import Policy
import RepoBase
import Repository
import Storage

struct ForgetCommand: RepoSubcommand {
    static let configuration = CommandConfiguration(
        commandName: "forget",
        abstract: "Let snapshots go: by rules, or by name.",
        discussion: """
            A snapshot stays when at least one rule keeps it; each source on each host is judged by itself. Without \
            rules, those of the configuration. Space is freed by 'repo prune', or with --prune.

            What a writer key stored takes no place of what other keys stored. Where a source has shrunk to less \
            than half, is all new, or is backed up far more often than before, nothing of it goes, and the exit \
            status is 15: look at these snapshots, then use --accept-unusual.

            Examples:
              repo forget --keep-daily 30 --keep-weekly 12 --dry-run
              repo forget --preset standard --source uploads --prune
              repo forget 1a2b3c4d
              repo forget --prune
            """)

    @Argument(help: SnapshotName.help) var snapshots: [String] = []
    @OptionGroup var filter: SnapshotFilter
    @OptionGroup(title: "Rules") var retention: RetentionArguments
    @Option(
        help: ArgumentHelp("What competes for places: 'source,host', 'source' or 'none'.", valueName: "what"))
    var groupBy = Forgetting.Grouping.sourceAndHost.rawValue
    @Flag(name: .customLong("dry-run"), help: "Print what every rule says, and let nothing go.")
    var isDryRun = false
    @Flag(help: "Let snapshots go although some look unusual: you have looked at them.") var acceptUnusual = false
    @Flag(name: .customLong("prune"), help: "Free the space afterwards.") var prunes = false
    @OptionGroup(title: "Pruning") var prune: PruneArguments
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run(_ context: CommandContext) throws -> Int32 {
        var rules = try retention.rules()
        if rules == nil, snapshots.isEmpty, let window = prune.recoveryWindow {
            rules = RetentionRules(keepWithin: [.last: try CalendarSpan(window)])
        }
        guard snapshots.isEmpty || rules == nil && filter.isEmpty else {
            throw RepoError(
                .usage, "snapshots were named, and rules as well", advice: "Give the one or the other.")
        }
        guard let grouping = Forgetting.Grouping(rawValue: groupBy) else {
            let names = Forgetting.Grouping.allCases.map(\.rawValue).joined(separator: ", ")
            throw RepoError(.usage, "'\(groupBy)' is nothing to group by", advice: "Write one of \(names).")
        }
        let repository = try context.openRepository(to: "let snapshots go")
        var isOnHold = false
        let gone =
            snapshots.isEmpty
            ? try byRules(rules, grouping, repository, context, &isOnHold) : try byName(repository, context)
        if !isDryRun, !gone.isEmpty, let lock = repository.store.lock {
            let end = FileTime(seconds: try context.now().seconds + lock.seconds, nanoseconds: 0)
            context.note(
                "the bucket keeps what was let go while it is locked, until \(TimeDisplay.local(end, in: context.zone)) at the latest; "
                    + (repository.store.readsPast ? "'as-of=' in the location reads it until then" : "the provider's tools bring it back until then"))
        }
        let status = prunes ? try prune.run(repository, context, isDryRun: isDryRun, without: gone) : ExitStatus.done
        return status == ExitStatus.done && isOnHold ? RepoError.Code.refused.exitStatus : status
    }

    /// Returns what is gone, or would be.
    private func byName(_ repository: OpenRepository, _ context: CommandContext) throws -> Set<ObjectID> {
        let catalog = SnapshotCatalog(repository)
        let entries = try snapshots.map { try catalog.find($0) }
        if !isDryRun { try Forgetting(repository).remove(entries.map(\.id)) }
        let result = ForgetResult(
            kept: [], removed: entries.map { .init($0, ["named"]) }, isDryRun: isDryRun)
        try result.show(context, showsKept: false)
        return Set(entries.map(\.id))
    }

    private func byRules(
        _ given: RetentionRules?, _ grouping: Forgetting.Grouping, _ repository: OpenRepository,
        _ context: CommandContext, _ isOnHold: inout Bool
    ) throws -> Set<ObjectID> {
        let forgetting = Forgetting(repository)
        var removed: Set<ObjectID> = []
        var result = ForgetResult(kept: [], removed: [], isDryRun: isDryRun)
        let log = try LogPruning(repository, context, window: prune.recoveryWindow)
        var suspicions: [Forgetting.Suspicion] = []
        for (rules, selection, window) in try work(given, repository, context) {
            let decisions = try log.protecting(
                forgetting.decide(
                    rules, selection, grouping: grouping, now: context.now(), zone: context.zone, acceptsUnusual: acceptUnusual
                ) { suspicions.append($0) }, window)
            let gone = isDryRun ? nil : Set(try forgetting.apply(decisions, rules: rules))
            for decision in decisions {
                let row = ForgetResult.Row(decision.entry, decision.reasons)
                // A hold that was put on meanwhile has kept it.
                if gone?.contains(decision.entry.id) ?? !decision.isKept {
                    result.removed.append(row)
                    removed.insert(decision.entry.id)
                } else {
                    result.kept.append(row)
                }
            }
        }
        try result.show(context, showsKept: isDryRun || context.options.verbose)
        for suspicion in suspicions {
            context.warn("\(suspicion.group) is on hold, and nothing of it was let go: \(suspicion.findings.joined(separator: "; "))")
        }
        if !suspicions.isEmpty {
            context.warn("look at these snapshots ('repo diff'); if they are as they should be, run this with --accept-unusual")
        }
        isOnHold = !suspicions.isEmpty
        return removed
    }

    /// The rules of the command line for all that is selected, or those of the configuration, each for its source.
    private func work(
        _ given: RetentionRules?, _ repository: OpenRepository, _ context: CommandContext
    ) throws -> [(RetentionRules, Forgetting.Selection, CalendarSpan?)] {
        var selection = Forgetting.Selection()
        selection.source = filter.source
        selection.host = filter.host
        selection.tags = filter.tags
        let configuration = try context.configuration()
        if let given {
            // Rules of the command line do not undo what the configuration promises.
            let promised = configuration.sources.filter { filter.source == nil || filter.source == $0.name }.compactMap(\.recoveryWindow)
            let now = try context.now()
            return [(given, selection, promised.min { $0.before(now, in: context.zone) < $1.before(now, in: context.zone) })]
        }
        var work: [(RetentionRules, Forgetting.Selection, CalendarSpan?)] = []
        for source in configuration.sources where filter.source == nil || filter.source == source.name {
            guard let rules = source.retention ?? configuration.retention else { continue }
            selection.source = source.name
            work.append((rules, selection, source.recoveryWindow))
        }
        guard !work.isEmpty else {
            throw RepoError(
                .usage, "no rule was given, and the configuration has none",
                advice: "Give --preset standard, --keep-… options, or snapshots by name.")
        }
        return work
    }
}

/// What `repo forget` decided.
private struct ForgetResult: Encodable {
    struct Row: Encodable {
        let id: String
        let time: String
        let source: String
        let host: String
        let reasons: [String]
        private let moment: FileTime

        init(_ entry: SnapshotCatalog.Entry, _ reasons: [String]) {
            id = "\(entry.id)"
            moment = entry.snapshot.time
            time = TimeDisplay.utc(moment)
            source = entry.snapshot.source
            host = entry.snapshot.host
            self.reasons = reasons
        }

        private enum CodingKeys: String, CodingKey {
            case id, time, source, host, reasons
        }

        func cells(_ verdict: String, _ zone: any ZoneOffsets) -> [String] {
            [
                verdict, String(id.prefix(8)), TimeDisplay.local(moment, in: zone),
                TextDisplay.oneLine(source),
                TextDisplay.oneLine(host), reasons.map(TextDisplay.oneLine).joined(separator: "; "),
            ]
        }
    }

    var kept: [Row]
    var removed: [Row]
    let dryRun: Bool?

    init(kept: [Row], removed: [Row], isDryRun: Bool) {
        self.kept = kept
        self.removed = removed
        dryRun = isDryRun ? true : nil
    }

    func show(_ context: CommandContext, showsKept: Bool) throws {
        guard !context.options.json else { return try context.console.print(JSONOutput.line(self)) }
        guard !context.options.quiet else { return }
        let zone = context.zone
        var table = TextTable(["", "ID", "Time", "Source", "Host", "Rule"])
        let shown = (showsKept ? kept.map { ("keep", $0) } : []) + removed.map { ("let go", $0) }
        for (verdict, row) in shown { table.add(row.cells(verdict, zone)) }
        if !shown.isEmpty { try context.console.write(table.text) }
        let what = dryRun == nil ? "let go" : "would be let go"
        try context.console.print("\(NumberText.counted(removed.count, "snapshot")) \(what), \(kept.count) kept")
    }
}
