import Glibc
import RepoBase
import Repository

/// Stores what programs write as files of one snapshot.
struct DumpStream {
    private let writer: SnapshotWriter
    private var earlier: EarlierTree
    private var files: [(name: [UInt8], content: Int, time: FileTime)] = []

    init(_ writer: SnapshotWriter, parent: BlobID?) {
        self.writer = writer
        earlier = EarlierTree(parent, writer.reader)
    }

    /// Runs a program and stores its standard output. Throws `.sourceFailed` when it does not end with 0.
    /// - Parameter listing: gets a copy as long as it takes any.
    mutating func take(
        _ name: String, _ command: [String], _ environment: [String: String], alsoTo listing: ArchiveListing? = nil
    ) throws {
        let path = Array(name.utf8)
        let previous = earlier.entry([path])?.content
        let time = FileTime.now()
        writer.count { $0.current = path }
        let feed = writer.beginContent(.contentDefined, previous: previous)
        let child = try ChildProcess(command, environment: environment)
        writer.running.onCancel { child.kill() }
        do {
            while try feed.read({ space in
                let count = try StreamSource.fill(space, from: child.output)
                listing?.offer(UnsafeRawBufferPointer(rebasing: space[..<count]))
                return count
            }) > 0 {}
            let status = child.wait()
            guard status == .exited(0) else { throw CommandSource.failure(command[0], status) }
        } catch {
            child.kill()
            _ = child.wait()
            throw error
        }
        files.append((path, try writer.keep(feed.finish(), previous: previous), time))
    }

    /// Writes the tree.
    func finish(time: FileTime) throws {
        try writer.enterDirectory([], StreamSource.metadata(.directory, time))
        for file in files.sorted(by: { isBefore($0.name, $1.name) }) {
            let metadata = StreamSource.metadata(.regular, file.time)
            try writer.add(TreeEntry(name: file.name, metadata: metadata, payload: .file(.empty)), kept: file.content)
        }
        try writer.leaveDirectory()
    }
}
