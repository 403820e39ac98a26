import ArgumentParser
import RepoBase
import Repository
import Storage

struct StorageExtendLockCommand: RepoSubcommand {
    static let configuration = CommandConfiguration(
        commandName: "extend-lock",
        abstract: "Extend the locks of everything that is still needed.",
        discussion: """
            For repositories whose location has lock=, as in s3://bucket/prefix?lock=compliance:30d. A lock is extended to its whole length when \
            less than half of it is left. 'repo prune' does this by itself; run this where prune runs more rarely than twice in the time of a \
            lock. What is condemned, and what of a database's log no base backup leads to, is left to its end.

            Example:
              repo storage extend-lock --repo 's3://bucket/prefix?lock=compliance:30d'
            """)

    @OptionGroup(title: "Global options") var global: GlobalOptions

    private struct Result: Encodable {
        let objects: Int
        let bytes: UInt64
        let extended: Int
        let unlocked: Int
        let ending: Int
        let endingBytes: UInt64
        let lastEnd: String?
    }

    func run(_ context: CommandContext) throws -> Int32 {
        let repository = try context.openRepository()
        // As 'prune' without options would have it; a window of the command line is given with --recovery-window there.
        let log = try LogPruning(repository, context, window: nil).run(isDryRun: true, without: [])
        guard let locks = try LockExtension(repository).run(leaving: log.leaving) else {
            throw RepoError(
                .usage, "\(repository.store.location) is opened without a lock",
                advice: "Add one to the location, as in s3://bucket/prefix?lock=compliance:30d; the bucket has to be made with object lock.")
        }
        if context.options.json {
            try context.console.print(
                JSONOutput.line(
                    Result(
                        objects: locks.objects, bytes: locks.bytes, extended: locks.extended, unlocked: locks.unlocked, ending: locks.ending,
                        endingBytes: locks.endingBytes, lastEnd: locks.lastEnd.map(TimeDisplay.utc(seconds:)))))
        } else if !context.options.quiet {
            try context.console.print(LockReport.line(locks))
            if let end = locks.lastEnd {
                let time = TimeDisplay.local(FileTime(seconds: end, nanoseconds: 0), in: context.zone)
                try context.console.print(
                    "\(NumberText.counted(locks.ending, "object")) that nobody needs, \(ByteCount.describe(locks.endingBytes)), \(locks.ending == 1 ? "is" : "are") locked until \(time)")
            }
        }
        return ExitStatus.done
    }
}
