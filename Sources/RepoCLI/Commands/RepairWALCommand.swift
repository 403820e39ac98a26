import ArgumentParser
import RepoBase
import Repository
import WALArchive

struct RepairWALCommand: RepoSubcommand {
    static let configuration = CommandConfiguration(
        commandName: "wal",
        abstract: "Move damaged files of the log aside, so that they can be pushed again.",
        discussion: """
            A damaged file of the log blocks its name. It is moved to the repository's folder 'damaged' once two readings have \
            shown that it does not open; then 'repo wal push' archives it again from wherever it still is: the server's pg_wal, a \
            standby's, or another copy of the repository, whose file is copied to the same place. Without names all of the log is read.

            Examples:
              repo repair wal
              repo repair wal 00000001000000A200000042
            """)

    @Argument(help: ArgumentHelp("Files of the log, or objects as 'repo check' names them.", valueName: "name"))
    var names: [String] = []
    @OptionGroup(title: "Global options") var global: GlobalOptions

    private struct Row: Encodable {
        let object: String
        let problem: String?
        let movedTo: String?
        let leftBecause: String?
        let files: [String]
        let alsoIn: [String]
        let snapshots: [String]
    }

    func run(_ context: CommandContext) throws -> Int32 {
        let archive = WALArchive(try context.openRepositoryPastCopies())
        let progress = CheckProgress()
        let outcomes = try ProgressDisplay.during(
            context, "repair", { ProgressSample(done: progress.values.bytesRead, total: progress.values.bytesToRead) }
        ) {
            try LogRepair(archive, progress: progress).run(names.isEmpty ? nil : names)
        }
        if context.options.json {
            try context.console.print(
                JSONOutput.pretty(
                    outcomes.map { one in
                        Row(
                            object: "\(one.key)", problem: one.problem, movedTo: one.movedTo.map { "\($0)" }, leftBecause: one.leftBecause,
                            files: one.files, alsoIn: one.others.map { "\($0)" }, snapshots: one.backups.map { "\($0)" })
                    }))
        } else {
            for one in outcomes { try show(one, context) }
            if outcomes.isEmpty { try context.console.print("nothing of the log needs repair") }
        }
        return outcomes.contains { $0.leftBecause != nil } ? RepoError.Code.damaged.exitStatus : ExitStatus.done
    }

    private func show(_ one: LogRepair.Outcome, _ context: CommandContext) throws {
        guard let problem = one.problem else { return try context.console.print("sound: \(one.key)") }
        if let reason = one.leftBecause { return context.warn("\(one.key) does not read (\(problem)) and was left: \(reason)") }
        guard let target = one.movedTo else { return }
        try context.console.print("\(one.key) does not read (\(problem)): moved to \(target)")
        if !one.others.isEmpty {
            try context.console.print("  also in: \(one.others.map { "\($0)" }.joined(separator: " "))")
        } else if let file = one.files.first {
            let what = one.files.count == 1 ? file : "\(file) to \(one.files.last ?? file)"
            context.note("The archive lacks \(what) now. Push it from where it still is: repo wal push …/pg_wal/\(file). Else make a base backup.")
        }
        if !one.backups.isEmpty { try context.console.print("  snapshots that need it: \(one.backups.map(\.short).joined(separator: " "))") }
    }
}
