import ArgumentParser
import Ingest
import RepoBase

struct SnapshotSourcesCommand: RepoSubcommand {
    static let configuration = CommandConfiguration(
        commandName: "sources",
        abstract: "Back up sources of the configuration: all, or those that are named.",
        discussion: """
            One that fails does not stop the next; the exit status is that of the first that failed.

            Examples:
              repo snapshot
              repo snapshot uploads
            """)

    @Argument(help: ArgumentHelp("Sources of the configuration.", valueName: "name"))
    var names: [String] = []
    @OptionGroup var snapshot: SnapshotArguments
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run(_ context: CommandContext) throws -> Int32 {
        let sources = try chosen(from: context.configuration().sources)
        let run = try SnapshotRun(context, snapshot)
        var worst = ExitStatus.done
        for source in sources {
            var status: Int32
            do {
                status = try self.run(source, run, context)
            } catch let error as Console.ReaderGone {
                throw error
            } catch {
                let cause = RepoError(reporting: error)
                status = CommandRunner(console: context.console).report(
                    RepoError(cause.code, "source '\(source.name)': \(cause.message)", advice: cause.advice),
                    asJSON: context.options.json)
            }
            if worst == ExitStatus.done || worst == ExitStatus.incomplete, status != ExitStatus.done {
                worst = status
            }
        }
        return worst
    }

    private func chosen(from configured: [ConfiguredSource]) throws -> [ConfiguredSource] {
        guard !configured.isEmpty else {
            throw RepoError(
                .usage,
                names.isEmpty ? "the configuration has no sources" : "there is no source '\(names[0])'",
                advice: "Write them into /etc/repo/repo.toml, or see 'repo snapshot --help' for other forms.")
        }
        guard !names.isEmpty else { return configured }
        return try names.map { name in
            guard let source = configured.first(where: { $0.name == name }) else {
                let nearest = NearestName.find(name, in: configured.map(\.name))
                throw RepoError(
                    .usage, "there is no source '\(name)' in the configuration",
                    advice: nearest.map { "Did you mean '\($0)'?" }
                        ?? "There are \(configured.map(\.name).joined(separator: ", ")).")
            }
            return source
        }
    }

    private func run(_ source: ConfiguredSource, _ run: SnapshotRun, _ context: CommandContext) throws
        -> Int32
    {
        let description = try snapshot.description(source.name, context, configured: source)
        switch source.kind {
        case .files(let files):
            let walk = try WalkOptions(
                excludes: files.excludes, excludeFiles: files.excludeFiles,
                oneFileSystem: files.staysOnFileSystem,
                excludeCaches: files.skipsTaggedCaches)
            let source = try FilesSource(description, paths: files.paths.map { Array($0.utf8) }, walk: walk)
            return try run.run(description) { try source.run($0, onStart: $1) }
        case .command(let command):
            let source = try CommandSource(description, command: command)
            return try run.run(description) { try source.run($0, onStart: $1) }
        case .postgres(let postgres):
            return try run.runPostgres(postgres, name: source.name) { _ in description }
        }
    }
}
