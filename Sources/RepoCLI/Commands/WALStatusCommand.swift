import ArgumentParser
import Policy
import PostgresClient
import PostgresFormats
import RepoBase
import WALArchive

struct WALStatusCommand: RepoSubcommand {
    static let configuration = CommandConfiguration(
        commandName: "status",
        abstract: "Show what there is of each cluster's log, and which moments can be brought back.",
        discussion: """
            For each cluster and timeline: the segments, every gap with its cause where that is known, and the stretches \
            of time that a base backup and the log behind it make recoverable.

            Examples:
              repo wal status
              repo wal status --json
              repo wal status --dsn service=main
            """)

    @Option(
        help: ArgumentHelp(
            "Also ask this server how far ahead of the archive it is; as libpq takes it.",
            valueName: "dsn"))
    var dsn: String?
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run(_ context: CommandContext) throws -> Int32 {
        let repository = try context.openRepository()
        var status = try WALArchive(repository).status(promises: context.promises())
        var servers: [(state: ServerState, behind: UInt64)] = []
        if let dsn {
            let state = try ServerState(PostgresConnection(ConnectionTarget(dsn), applicationName: "repo wal status"))
            servers.append((state, status.add(state)))
        }
        if context.options.json {
            try context.console.print(JSONOutput.pretty(WALStatusReport(status, servers)))
        } else {
            var text = WALStatusText(status, zone: context.zone)
            for (state, behind) in servers { text.show(state, behind: behind, context.zone) }
            try context.console.write(text.text)
            if let limitation = status.limitation { context.note(limitation) }
            if status.clusters.isEmpty { context.note("There is no log of any cluster yet.") }
        }
        return context.exitStatus(ExitStatus.done, repository)
    }
}

extension CommandContext {
    /// The recovery windows of the configuration, by source: as written, and since when.
    func promises() throws -> [String: (span: String, since: FileTime)] {
        var promises: [String: (span: String, since: FileTime)] = [:]
        for source in try configuration().sources {
            guard let window = source.recoveryWindow else { continue }
            promises[source.name] = (window.description, try since(window))
        }
        return promises
    }

    /// When a span began that ends now.
    func since(_ span: CalendarSpan) throws -> FileTime {
        let moment = span.before(try now(), in: zone)
        return FileTime(seconds: moment.seconds, nanoseconds: UInt32(moment.nanoseconds))
    }
}
