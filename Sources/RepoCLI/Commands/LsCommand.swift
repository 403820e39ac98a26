import ArgumentParser
import BlobEngine
import Ingest
import RepoBase
import Repository

struct LsCommand: RepoSubcommand {
    static let configuration = CommandConfiguration(
        commandName: "ls",
        abstract: "List a snapshot's files.",
        discussion: """
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
        let repository = try context.openRepository()
        let entry = try SnapshotCatalog(repository).find(snapshot)
        let reader = BlobReader(repository)
        let listing = EntryListing(context, isLong: isLong)
        let above = RawPath.absolute(Array(path.utf8), relativeTo: [])
        var stack: [(path: [UInt8], cursor: TreeCursor)] = []
        if let start = try SnapshotPath.entry(path, in: entry, reader) {
            try listing.show(start, at: above)
            guard let tree = start.subtree else { return ExitStatus.done }
            stack.append((above, try TreeCursor(tree, reader)))
        } else {
            stack.append(([], try TreeCursor(entry.snapshot.root, reader)))
        }
        while let last = stack.indices.last {
            guard let next = try stack[last].cursor.next() else {
                stack.removeLast()
                continue
            }
            let path = stack[last].path + [UInt8(ascii: "/")] + next.name
            try listing.show(next, at: path)
            if let tree = next.subtree { stack.append((path, try TreeCursor(tree, reader))) }
        }
        return ExitStatus.done
    }
}
