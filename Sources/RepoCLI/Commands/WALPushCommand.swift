import ArgumentParser
import RepoBase
import WALArchive

struct WALPushCommand: RepoSubcommand {
    static let configuration = CommandConfiguration(
        commandName: "push",
        abstract: "Archive a file of the log; returns when it is durable.",
        discussion: """
            For archive_command. A file that is in the archive with the same content is acknowledged again; with other \
            content it is refused with exit status 14, and nothing is overwritten. When PostgreSQL has more segments \
            ready, one call takes them all, and the calls for those return at once.

            Examples:
              archive_command = 'repo wal push %p'
              archive_command = 'repo --config /etc/repo/main.toml wal push %p'
            """)

    @Argument(help: ArgumentHelp("The file, as %p gives it.", valueName: "path")) var path: String
    @OptionGroup(title: "The cluster") var cluster: ClusterArguments
    @Flag(help: "Archive this file alone, whatever else PostgreSQL has ready.") var single = false
    @Flag(help: "Archive it although its check found damage, so that PostgreSQL can go on; recovery may not get past it.")
    var acceptDamage = false
    @OptionGroup(title: "Global options") var global: GlobalOptions

    private struct Result: Encodable {
        let file: String
        let systemIdentifier: String
        let wasThere: Bool
        let queued: [String]
        let bytesStored: Int
    }

    func run(_ context: CommandContext) throws -> Int32 {
        var options = WALPush.Options()
        let archive = WALArchive(try context.openRepository())
        options.systemIdentifier = try cluster.identifier { archive }
        options.dataDirectory = cluster.dataDirectory
        options.takesQueue = !single
        options.acceptsDamage = acceptDamage
        let outcome = try WALPush(archive, options: options).push(path)
        for warning in outcome.warnings { context.warn(warning) }
        if context.options.json {
            try context.console.print(
                JSONOutput.line(
                    Result(
                        file: outcome.file, systemIdentifier: "\(outcome.systemIdentifier)", wasThere: outcome.wasThere,
                        queued: outcome.queued, bytesStored: outcome.bytesStored)))
        } else if context.options.verbose {
            context.note(
                outcome.wasThere
                    ? "\(outcome.file) was archived already"
                    : "\(outcome.file) archived, \(ByteCount.describe(UInt64(outcome.bytesStored)))"
                        + (outcome.queued.isEmpty ? "" : ", with \(NumberText.counted(outcome.queued.count, "segment")) behind it"))
        }
        return ExitStatus.done
    }
}
