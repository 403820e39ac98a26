import ArgumentParser
import RepoBase
import Repository

struct HoldCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "hold",
        abstract: "Keep snapshots whatever rules say, until the hold is removed.",
        subcommands: [HoldAddCommand.self, HoldRemoveCommand.self, HoldListCommand.self])
}

struct HoldAddCommand: RepoSubcommand {
    static let configuration = CommandConfiguration(
        commandName: "add",
        abstract: "Hold a snapshot: no rule and no command lets it go.",
        discussion: """
            Example:
              repo hold add 1a2b3c4d --reason 'case 2026-17'
            """)

    @Argument(help: SnapshotName.help) var snapshot: String
    @Option(help: ArgumentHelp("Why, for people.", valueName: "text")) var reason = ""
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run(_ context: CommandContext) throws -> Int32 {
        let repository = try context.openRepository()
        let id = try SnapshotCatalog(repository).find(snapshot).id
        try Holds(repository).add(id, reason: reason)
        try HoldChange(snapshotId: "\(id)", held: true).show(context)
        return ExitStatus.done
    }
}

struct HoldRemoveCommand: RepoSubcommand {
    static let configuration = CommandConfiguration(commandName: "remove", abstract: "End a hold.")

    @Argument(help: SnapshotName.help) var snapshot: String
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run(_ context: CommandContext) throws -> Int32 {
        let repository = try context.openRepository()
        let id = try SnapshotCatalog(repository).identify(snapshot)
        try Holds(repository).remove(id)
        try HoldChange(snapshotId: "\(id)", held: false).show(context)
        return ExitStatus.done
    }
}

private struct HoldChange: Encodable {
    let snapshotId: String
    let held: Bool

    func show(_ context: CommandContext) throws {
        let words = "snapshot \(snapshotId.prefix(8)) is \(held ? "held" : "no longer held")"
        try context.console.print(context.options.json ? JSONOutput.line(self) : words)
    }
}

struct HoldListCommand: RepoSubcommand {
    static let configuration = CommandConfiguration(commandName: "list", abstract: "List the holds.")

    @OptionGroup(title: "Global options") var global: GlobalOptions

    private struct Row: Encodable {
        let snapshotId: String
        let since: String
        let reason: String
        let key: String
    }

    func run(_ context: CommandContext) throws -> Int32 {
        let holds = try Holds(try context.openRepository()).list()
        let rows = holds.map {
            Row(
                snapshotId: "\($0.snapshot)", since: TimeDisplay.utc(seconds: $0.time), reason: $0.reason,
                key: $0.key)
        }
        if context.options.json {
            try context.console.print(JSONOutput.pretty(rows))
        } else if !rows.isEmpty {
            var table = TextTable(["Snapshot", "Since", "Key", "Reason"])
            for row in rows {
                table.add([
                    String(row.snapshotId.prefix(8)), row.since, String(row.key.prefix(8)),
                    TextDisplay.oneLine(row.reason),
                ])
            }
            try context.console.write(table.text)
        }
        return ExitStatus.done
    }
}
