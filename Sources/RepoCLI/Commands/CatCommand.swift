import ArgumentParser
import BlobEngine
import RepoBase
import Repository

struct CatCommand: RepoSubcommand {
    static let configuration = CommandConfiguration(
        commandName: "cat",
        abstract: "Write a file of a snapshot to standard output.",
        discussion: """
            Examples:
              repo cat latest:shop.sql shop.sql | psql shop
              repo cat 1a2b3c4d /etc/fstab
            """)

    @Argument(help: SnapshotName.help) var snapshot: String
    @Argument(help: ArgumentHelp("The file's path in the snapshot.", valueName: "path")) var path: String
    @OptionGroup(title: "Global options") var global: GlobalOptions

    private static let batch = 16

    func run(_ context: CommandContext) throws -> Int32 {
        let repository = try context.openRepository()
        let entry = try SnapshotCatalog(repository).find(snapshot)
        let reader = BlobReader(repository)
        guard let file = try SnapshotPath.entry(path, in: entry, reader), let content = file.content else {
            throw RepoError(.usage, "'\(path)' is not a regular file", advice: "'repo ls' shows what it is.")
        }
        var pending: [ContentList.Entry] = []
        func flush() throws {
            var buffers = try reader.read(pending.compactMap(\.id), .chunk).makeIterator()
            for chunk in pending {
                guard chunk.id != nil else {
                    try writeZeros(chunk.length, context.console)
                    continue
                }
                guard let buffer = try buffers.next()?.get() else { continue }
                try withExtendedLifetime(buffer) { try context.console.write(buffer.bytes) }
            }
            pending.removeAll(keepingCapacity: true)
        }
        try ContentWalk.entries(of: content, size: file.metadata.size, BlobReader(repository)) { chunk, _ in
            pending.append(chunk)
            if pending.count == Self.batch { try flush() }
            return true
        }
        try flush()
        return ExitStatus.done
    }

    private func writeZeros(_ count: UInt64, _ console: Console) throws {
        let zeros = [UInt8](repeating: 0, count: 1 << 16)
        var rest = count
        while rest > 0 {
            let part = min(rest, UInt64(zeros.count))
            try zeros.withUnsafeBytes { try console.write(UnsafeRawBufferPointer(rebasing: $0[..<Int(part)])) }
            rest -= part
        }
    }
}

/// How commands name a snapshot.
enum SnapshotName {
    static let help = ArgumentHelp(
        "An id, the first digits of one, 'latest', or 'latest:SOURCE'.", valueName: "snapshot")
}
