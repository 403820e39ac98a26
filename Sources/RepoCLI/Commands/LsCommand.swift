import ArgumentParser
import Ingest
import RepoBase
import Repository

struct LsCommand: RepoSubcommand {
    static let configuration = CommandConfiguration(
        commandName: "ls",
        abstract: "List a snapshot's files.",
        discussion: """
            With --json, one object a line.

            Examples:
              repo ls latest
              repo ls -l latest:uploads /srv/uploads
            """)

    @Argument(help: SnapshotName.help) var snapshot: String
    @Argument(help: ArgumentHelp("Only this file, or what is below this directory.", valueName: "path"))
    var path = "/"
    @Flag(name: [.customShort("l"), .customLong("long")], help: "Show modes, owners, sizes and times.")
    var isLong = false
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run(_ context: CommandContext) throws -> Int32 {
        let repository = try context.openRepositoryForReading()
        let root = try SnapshotCatalog(repository).find(snapshot).snapshot.root
        let reader = BlobReader(repository)
        let listing = EntryListing(context, isLong: isLong)
        let path = Array(path.utf8)
        let found = try SnapshotPath.find(root, path, reader)
        var base = RawPath.absolute(path, relativeTo: [])
        if case .entry(let entry) = found { try listing.show(entry, at: base) } else { base = [] }
        var damaged = false
        if let tree = found.tree {
            try TreeListing(reader).walk(
                tree, base: base,
                onProblem: { _, error in
                    damaged = true
                    context.warn(error.message)
                },
                visit: { path, entry in
                    try listing.show(entry, at: path)
                    return .descend
                })
        }
        return damaged ? RepoError.Code.damaged.exitStatus : ExitStatus.done
    }
}
