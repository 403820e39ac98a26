import ArgumentParser
import Ingest
import RepoBase

struct SnapshotFilesCommand: RepoSubcommand {
    static let configuration = CommandConfiguration(
        commandName: "files",
        abstract: "Back up files and directories with all their metadata.",
        discussion: """
            What cannot be read is named and left out; the exit status is then 3. Patterns are those of gitignore.

            Examples:
              repo snapshot files /srv/www --exclude '*.tmp' --exclude '!keep.tmp'
              repo snapshot files / --one-file-system --exclude-caches --name system
            """)

    @Argument(help: ArgumentHelp("What to back up, with everything below it.", valueName: "path"))
    var paths: [String]
    @Option(help: ArgumentHelp("The source's name; otherwise that of the first path.", valueName: "name"))
    var name: String?
    @OptionGroup var walk: WalkArguments
    @OptionGroup var snapshot: SnapshotArguments
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run(_ context: CommandContext) throws -> Int32 {
        let bytes = paths.map { Array($0.utf8) }
        let lastComponent = RawPath.lastComponent(bytes[0])
        let name = name ?? (lastComponent.isEmpty ? "root" : String(decoding: lastComponent, as: UTF8.self))
        let description = try snapshot.description(name, context)
        let source = try FilesSource(description, paths: bytes, walk: walk.options())
        return try SnapshotRun(context, snapshot).run(description) { try source.run($0, onStart: $1) }
    }
}

/// What a walk takes and leaves out.
struct WalkArguments: ParsableArguments {
    @Option(
        name: .customLong("exclude"),
        help: ArgumentHelp(
            "Leave out what matches, in gitignore's syntax; may be repeated.", valueName: "pattern"))
    var excludes: [String] = []
    @Option(
        name: .customLong("exclude-file"),
        help: ArgumentHelp("Take patterns from this file, one a line; may be repeated.", valueName: "file"))
    var excludeFiles: [String] = []
    @Flag(help: "Stay on the file system of each path.")
    var oneFileSystem = false
    @Flag(help: "Leave out directories that are marked by a CACHEDIR.TAG, except that file.")
    var excludeCaches = false

    /// The last pattern that matches decides, so those of files come first and those of the command line last.
    func options() throws -> WalkOptions {
        try WalkOptions(
            excludes: excludes, excludeFiles: excludeFiles, oneFileSystem: oneFileSystem,
            excludeCaches: excludeCaches)
    }
}

extension WalkOptions {
    init(excludes: [String], excludeFiles: [String], oneFileSystem: Bool, excludeCaches: Bool) throws {
        self.init()
        for file in excludeFiles {
            self.excludes += ExcludePattern.parse(file: try LocalFile.read(file, "the exclude file"))
        }
        self.excludes += excludes.map { ExcludePattern($0) }
        staysOnFileSystem = oneFileSystem
        skipsTaggedCaches = excludeCaches
    }
}
