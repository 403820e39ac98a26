import ArgumentParser
import Ingest
import RepoBase
import Repository

struct DiffCommand: RepoSubcommand {
    static let configuration = CommandConfiguration(
        commandName: "diff",
        abstract: "Show what differs between two snapshots.",
        discussion: """
            + added, - removed, M content changed, T another type, U only owner, mode, times or attributes. With \
            --json, one object a line.

            Example:
              repo diff 1a2b3c4d latest:uploads
            """)

    @Argument(help: SnapshotName.help) var old: String
    @Argument(help: SnapshotName.help) var new: String
    @Flag(help: "Leave out entries of which only owner, mode, times or attributes differ.")
    var contentOnly = false
    @OptionGroup(title: "Global options") var global: GlobalOptions

    private struct Row: Encodable {
        let change: String
        let path: String
        let pathBytes: String?
        let sizeBefore: UInt64?
        let sizeAfter: UInt64?
    }

    func run(_ context: CommandContext) throws -> Int32 {
        let repository = try context.openRepositoryForReading()
        let catalog = SnapshotCatalog(repository)
        let from = try catalog.find(old).snapshot.root
        let to = try catalog.find(new).snapshot.root
        try SnapshotDiff(BlobReader(repository)).compare(from, to) { path, change in
            try show(change, path, context)
        }
        return ExitStatus.done
    }

    private func show(_ change: SnapshotDiff.Change, _ path: [UInt8], _ context: CommandContext) throws {
        let (mark, name, before, after): (String, String, TreeEntry?, TreeEntry?) =
            switch change {
            case .added(let entry): ("+", "added", nil, entry)
            case .removed(let entry): ("-", "removed", entry, nil)
            case .modified(let from, let to): ("M", "modified", from, to)
            case .typeChanged(let from, let to): ("T", "type_changed", from, to)
            case .metadataChanged(let from, let to): ("U", "metadata_changed", from, to)
            }
        if contentOnly, mark == "U" { return }
        guard context.options.json else {
            let slash = (after ?? before)?.subtree == nil ? "" : "/"
            try context.console.print("\(mark)  \(RawPath.describe(path))\(slash)")
            return
        }
        let text = String(decoding: path, as: UTF8.self)
        try context.console.print(
            JSONOutput.line(
                Row(
                    change: name, path: text,
                    pathBytes: Array(text.utf8) == path ? nil : Hexadecimal.encode(path),
                    sizeBefore: before.map(\.metadata.size), sizeAfter: after.map(\.metadata.size))))
    }
}
