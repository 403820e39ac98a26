import ArgumentParser
import BlobEngine
import Glibc
import PostgresFormats
import RepoBase
import Repository
import WALArchive

/// Segments ahead of a recovery, kept on this machine: for a machine key, since a password would have to be asked for.
struct WALPrefetching {
    private let spool: WALSpool
    private let segment: String
    private let destination: String
    private let system: UInt64
    private let context: CommandContext
    private let folder: String

    /// Nil where nothing is prefetched: for what is no segment, without a machine key, and where only the repository could tell the cluster.
    init?(_ name: String, _ destination: String, _ options: WALGet.Options, _ context: CommandContext) throws {
        guard case .segment = ArchivedFile(name: name), case .keyFile(let path) = try context.credentialSource(),
            let key = try? MachineKeyFile(parsing: LocalFile.read(path, "the key file", limit: 64 << 10)),
            let system = try WALGet.system(for: destination, options)
        else { return nil }
        // Of one repository and one data directory: two standbys on one machine do not take each other's.
        let directory = destination.hasPrefix("/") ? "" : Self.currentDirectory()
        let owner = ["\(key.repositoryID)", try context.locationText(), directory, Self.parent(of: destination)].joined(separator: "\0")
        folder = "\(context.cacheDirectory())/wal-spool/\(ObjectHasher.hash(Array(owner.utf8)).short)/\(system)"
        spool = WALSpool(folder: folder)
        segment = name
        (self.destination, self.system, self.context) = (destination, system, context)
    }

    private static func currentDirectory() -> String {
        guard let path = getcwd(nil, 0) else { return "" }
        defer { free(path) }
        return String(cString: path)
    }

    private static func parent(of path: String) -> String { path.lastIndex(of: "/").map { String(path[..<$0]) } ?? "" }

    /// Delivers it from the spool, without asking the repository; false where it is not there.
    func deliver() -> Bool {
        guard spool.deliver(segment, to: destination) else { return false }
        start()
        return true
    }

    /// Lets a process of its own fetch what follows, where that is needed. What goes wrong there costs only time.
    func start() {
        var status = stat()
        guard let executable = context.console.executable, stat(destination, &status) == 0,
            spool.needsFilling(behind: segment, size: status.st_size)
        else { return }
        BackgroundProcess.start(
            executable,
            [
                "wal", "prefetch", segment, "--segment-size", "\(status.st_size)", "--system-identifier", "\(system)", "--spool", folder,
            ] + context.options.arguments)
    }
}

/// Started by `wal get`, never by people.
struct WALPrefetchCommand: RepoSubcommand {
    static let configuration = CommandConfiguration(
        commandName: "prefetch", abstract: "Fetch the segments that follow one.", shouldDisplay: false)

    @Argument var segment: String
    @Option var segmentSize: Int
    @Option var systemIdentifier: UInt64
    @Option var spool: String
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run(_ context: CommandContext) throws -> Int32 {
        BackgroundProcess.closeInherited()
        try WALArchive(try context.openRepository()).fill(
            WALSpool(folder: spool), behind: segment, size: segmentSize, system: systemIdentifier,
            threads: max(1, availableProcessors() / 2))
        return ExitStatus.done
    }
}
