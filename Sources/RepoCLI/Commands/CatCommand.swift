import ArgumentParser
import RepoBase
import Repository

struct CatCommand: RepoSubcommand {
    static let configuration = CommandConfiguration(
        commandName: "cat",
        abstract: "Write a file of a snapshot to standard output.",
        discussion: """
            The path may be left out where a snapshot holds one file, as those of streams and commands do.

            Examples:
              repo cat latest:shop.sql | psql shop
              repo cat 1a2b3c4d /etc/fstab
            """)

    @Argument(help: SnapshotName.help) var snapshot: String
    @Argument(help: ArgumentHelp("The file's path in the snapshot.", valueName: "path")) var path = ""
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run(_ context: CommandContext) throws -> Int32 {
        let repository = try context.openRepositoryForReading()
        let entry = try SnapshotCatalog(repository).find(snapshot)
        let file = try SnapshotPath.file(entry.snapshot.root, Array(path.utf8), BlobReader(repository))
        guard let content = file.content else { throw RepoError(.usage, "'\(path)' is not a regular file") }
        try ContentStream(repository).read(content, size: file.metadata.size) {
            try context.console.write($0)
        }
        if file.isIncomplete {
            context.warn("the file could not be read whole when it was backed up; this is what could")
            return ExitStatus.incomplete
        }
        return ExitStatus.done
    }
}

/// How commands name a snapshot.
enum SnapshotName {
    static let help = ArgumentHelp(
        "An id, the first digits of one, 'latest', or 'latest:SOURCE'.", valueName: "snapshot")
}
