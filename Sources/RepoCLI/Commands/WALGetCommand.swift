import ArgumentParser
import PostgresFormats
import RepoBase
import WALArchive

struct WALGetCommand: RepoSubcommand {
    static let configuration = CommandConfiguration(
        commandName: "get",
        abstract: "Bring a file of the log back.",
        discussion: """
            For restore_command. Exit statuses are those that PostgreSQL acts upon: 0 the file is there; 1 the archive \
            does not have it, which ends recovery or lets a standby look elsewhere; 126 anything else, such as a \
            repository that cannot be reached, which stops recovery before it could end too early.

            With a machine key, the segments that follow are fetched in the background into the cache folder, at most \
            16 of them; a history is always asked of the repository.

            Examples:
              restore_command = 'repo wal get %f %p'
            """)

    @Argument(help: ArgumentHelp("The file's name, as %f gives it.", valueName: "name")) var name: String
    @Argument(help: ArgumentHelp("Where to put it, as %p gives it.", valueName: "path")) var destination: String
    @OptionGroup(title: "The cluster") var cluster: ClusterArguments
    @Flag(help: "Do not fetch the segments that follow in the background.") var noPrefetch = false
    @OptionGroup(title: "Global options") var global: GlobalOptions

    static let arguments = ["wal", "get"]

    func run(_ context: CommandContext) throws -> Int32 {
        // Timeline 1 has no history, and the server asks for it when it has already put recovery.signal away: it must not depend on the store.
        if case .history(timeline: 1) = ArchivedFile(name: name) { return ExitStatus.absent }
        do {
            return try deliver(context)
        } catch {
            guard WALGet.deliverRestoredHistory(name, to: destination) else { throw error }
            context.warn("\(name): as it was restored before, since the repository cannot be asked: \(error)")
            return ExitStatus.done
        }
    }

    private func deliver(_ context: CommandContext) throws -> Int32 {
        var options = WALGet.Options()
        options.systemIdentifier = try cluster.identifier { WALArchive(try context.openRepository()) }
        if let source = cluster.source, options.systemIdentifier == nil {
            throw RepoError(
                .usage, "source '\(source)' has no base backup in this repository, so it tells no cluster",
                advice: "'repo snapshots' lists sources; --system-identifier names a cluster without any.")
        }
        options.dataDirectory = cluster.dataDirectory
        let prefetching = try noPrefetch ? nil : WALPrefetching(name, destination, options, context)
        if let prefetching, prefetching.deliver() { return ExitStatus.done }
        let outcome: WALGet.Outcome = try context.withRememberedKeys { repository, isSure in
            let outcome = try WALGet(WALArchive(repository), options: options).get(name, to: destination)
            // That the archive does not have it is for the repository as it is to say.
            if case .absent = outcome, !isSure { return nil }
            return outcome
        }
        switch outcome {
        case .delivered:
            prefetching?.start()
            return ExitStatus.done
        case .deliveredPart:
            context.note("\(name): what had been received of it, and zeros")
            return ExitStatus.done
        case .absent(let isGap):
            if isGap { context.warn("\(name) is missing from the archive, which has segments before and behind it: this is a gap") }
            return ExitStatus.absent
        }
    }

    /// PostgreSQL takes any status from 1 to 125 for the end of the log (RestoreArchivedFile, access/transam/xlogarchive.c).
    func exitStatus(of error: RepoError) -> Int32 { ExitStatus.notTheEndOfTheLog }
}
