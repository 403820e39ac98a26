import ArgumentParser
import BlobEngine
import RepoBase
import Repository

struct SnapshotsCommand: RepoSubcommand {
    static let configuration = CommandConfiguration(
        commandName: "snapshots",
        abstract: "List the snapshots, oldest first.",
        discussion: """
            Examples:
              repo snapshots --source uploads
              repo snapshots --tag env=prod --json
            """)

    @OptionGroup var filter: SnapshotFilter
    @Flag(help: "Take snapshots and a config that this machine has seen and the store does not show for gone: after it was brought back from an older copy.")
    var acceptMissing = false
    @OptionGroup(title: "Global options") var global: GlobalOptions

    private struct Row: Encodable {
        let id: String
        let shortId: String
        let time: String
        let source: String
        let kind: String
        let host: String
        let tags: [String]
        let bytes: UInt64
        let root: String
        let held: Bool
    }

    func run(_ context: CommandContext) throws -> Int32 {
        if acceptMissing { try accept(context) }
        let (all, held, problems, repository) = try context.withRememberedKeys { repository, isSure in
            var problems: [RepoError] = []
            let (entries, held) = try SnapshotCatalog(repository).allAndHeld { problems.append($1) }
            // That there is none, or one is damaged or missing, is for the repository as it is to say.
            let isGood = problems.isEmpty && !entries.isEmpty && repository.freshness?.findings.isEmpty != false
            return isSure || isGood ? (entries, held, problems, repository) : nil
        }
        for problem in problems { context.warn(problem.message) }
        let damaged = problems.count
        let entries = all.filter { filter.matches($0.snapshot) }
        if context.options.json {
            let rows = entries.map { entry in
                let snapshot = entry.snapshot
                return Row(
                    id: "\(entry.id)", shortId: entry.id.short, time: TimeDisplay.utc(snapshot.time),
                    source: snapshot.source, kind: snapshot.kind, host: snapshot.host, tags: snapshot.tags,
                    bytes: snapshot.statistics.logicalBytes, root: "\(snapshot.root)",
                    held: held.contains(entry.id))
            }
            try context.console.print(JSONOutput.pretty(rows))
        } else if !entries.isEmpty {
            let zone = context.zone
            var table = TextTable(
                ["ID", "Time", "Source", "Kind", "Host", "Size", "Tags"], rightAligned: [5])
            for entry in entries {
                let snapshot = entry.snapshot
                let marks =
                    (held.contains(entry.id) ? ["(held)"] : [])
                    + (snapshot.repairs == nil ? [] : ["(repaired)"])
                table.add([
                    entry.id.short, TimeDisplay.local(snapshot.time, in: zone),
                    TextDisplay.oneLine(snapshot.source),
                    TextDisplay.oneLine(snapshot.kind), TextDisplay.oneLine(snapshot.host),
                    ByteCount.describe(snapshot.statistics.logicalBytes),
                    (snapshot.tags.map(TextDisplay.oneLine) + marks).joined(separator: " "),
                ])
            }
            try context.console.write(table.text)
        } else if damaged == 0 {
            context.note("There are no snapshots" + (filter.isEmpty ? " yet." : " that match."))
        }
        return context.exitStatus(damaged == 0 ? ExitStatus.done : RepoError.Code.damaged.exitStatus, repository)
    }

    private func accept(_ context: CommandContext) throws {
        let repository = try context.openRepository()
        let accepted = try repository.freshness?.accept(repository) ?? []
        for finding in accepted { context.note("accepted: \(finding.object): \(finding.problem)") }
        if accepted.isEmpty { context.note("Nothing is missing of what this machine has seen.") }
    }
}

/// Which snapshots a command is about.
struct SnapshotFilter: ParsableArguments {
    @Option(help: ArgumentHelp("Only those of this source.", valueName: "name"))
    var source: String?
    @Option(help: ArgumentHelp("Only those of this host.", valueName: "name"))
    var host: String?
    @Option(
        name: .customLong("tag"),
        help: ArgumentHelp("Only those with this tag; may be repeated.", valueName: "key=value"))
    var tags: [String] = []

    var isEmpty: Bool { source == nil && host == nil && tags.isEmpty }

    func matches(_ snapshot: Snapshot) -> Bool {
        (source == nil || snapshot.source == source) && (host == nil || snapshot.host == host)
            && tags.allSatisfy(snapshot.tags.contains)
    }
}
