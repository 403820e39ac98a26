import ArgumentParser
import Policy
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
            """)

    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run(_ context: CommandContext) throws -> Int32 {
        let status = try WALArchive(try context.openRepository()).status(promises: context.promises())
        if context.options.json {
            try context.console.print(JSONOutput.pretty(WALStatusReport(status)))
        } else {
            try context.console.write(WALStatusText(status, zone: context.zone).text)
            if let limitation = status.limitation { context.note(limitation) }
            if status.clusters.isEmpty { context.note("There is no log of any cluster yet.") }
        }
        return ExitStatus.done
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
