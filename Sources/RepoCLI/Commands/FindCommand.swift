import ArgumentParser
import Ingest
import RepoBase
import Repository

struct FindCommand: RepoSubcommand {
    static let configuration = CommandConfiguration(
        commandName: "find",
        abstract: "Find files by name in all snapshots.",
        discussion: """
            Patterns are those of gitignore: 'shop.conf' at any depth, '*.conf', '/etc/**/*.conf'. Newest snapshots \
            come first. With --json, one object a line.

            Examples:
              repo find 'shop.conf'
              repo find '/etc/**/*.conf' --source system -l
            """)

    @Argument(help: ArgumentHelp("What to look for.", valueName: "pattern")) var patterns: [String]
    @Option(help: ArgumentHelp("Only in this snapshot.", valueName: "snapshot")) var snapshot: String?
    @OptionGroup var filter: SnapshotFilter
    @Flag(name: [.customShort("l"), .customLong("long")], help: "Show modes, owners, sizes and times.")
    var isLong = false
    @OptionGroup(title: "Global options") var global: GlobalOptions

    private struct Row: Encodable {
        let snapshot: String
        let time: String
        let source: String
        let entry: EntryRow
    }

    func run(_ context: CommandContext) throws -> Int32 {
        let repository = try context.openRepositoryForReading()
        let catalog = SnapshotCatalog(repository)
        var damaged = false
        let problem: (RepoError) -> Void = { error in
            damaged = true
            context.warn(error.message)
        }
        let entries =
            try snapshot.map { [try catalog.find($0)] } ?? catalog.all { problem($1) }.reversed()
        let matcher = ExcludeMatcher(patterns.map { ExcludePattern($0) }, root: [UInt8(ascii: "/")])
        var search = FindFiles(BlobReader(repository))
        let listing = EntryListing(context, isLong: isLong)
        for snapshot in entries where filter.matches(snapshot.snapshot) {
            var hasHeading = false
            try search.search(
                snapshot.snapshot.root,
                matching: { path, entry in
                    // Below a directory that matches, only what matches itself.
                    matcher.matchesItself(Array(path.dropFirst()), isDirectory: entry.subtree != nil)
                },
                onProblem: { _, error in problem(error) },
                found: { path, entry in
                    if context.options.json {
                        let row = Row(
                            snapshot: "\(snapshot.id)", time: TimeDisplay.utc(snapshot.snapshot.time),
                            source: snapshot.snapshot.source, entry: EntryRow(entry, at: path))
                        return try context.console.print(JSONOutput.line(row))
                    }
                    if !hasHeading {
                        let time = TimeDisplay.local(snapshot.snapshot.time, in: context.zone)
                        let source = TextDisplay.oneLine(snapshot.snapshot.source)
                        try context.console.print("\(snapshot.id.short)  \(time)  \(source)")
                        hasHeading = true
                    }
                    try listing.show(entry, at: path, indent: "  ")
                })
        }
        return damaged ? RepoError.Code.damaged.exitStatus : ExitStatus.done
    }
}

extension ExcludeMatcher {
    /// Whether a pattern matches this path and not only a directory above it.
    fileprivate func matchesItself(_ path: [UInt8], isDirectory: Bool) -> Bool {
        guard let deciding = decidingPattern(path, isDirectory: isDirectory), !deciding.isNegated else {
            return false
        }
        guard let slash = path.lastIndex(of: UInt8(ascii: "/")) else { return true }
        let parent = Array(path[..<slash])
        guard excludes(parent, isDirectory: true) else { return true }
        // A directory above matches too: look at the name alone.
        return excludes(Array(path[(slash + 1)...]), isDirectory: isDirectory)
    }
}
