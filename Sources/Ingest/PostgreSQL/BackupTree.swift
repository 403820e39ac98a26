import RepoBase
import Repository

/// Writes the tree of a base backup from its table, whose contents are stored already.
struct BackupTree {
    private let writer: SnapshotWriter
    private let table: BackupTable
    /// Components of the open directories.
    private var open: [[UInt8]] = []

    init(_ writer: SnapshotWriter, _ table: BackupTable) {
        self.writer = writer
        self.table = table
    }

    /// - Parameter root: of the data directory itself, which no archive has.
    mutating func write(root: FileMetadata) throws {
        try writer.enterDirectory([], root)
        for (position, entry) in table.entries.enumerated() {
            let components = table.path(entry).split(separator: RawPath.slash).map(Array.init)
            try openDirectory(components.dropLast(), like: root)
            let metadata = metadata(entry)
            let name = components[components.count - 1]
            switch entry.kind {
            case .directory: try enter(components, metadata)
            case .symbolicLink:
                let target = table.target(position)
                writer.count { $0.otherEntries += 1 }
                try writer.add(TreeEntry(name: name, metadata: metadata, payload: .symbolicLink(target: target)))
            case .file:
                try writer.add(
                    TreeEntry(name: name, metadata: metadata, payload: .file(.empty), isPageAligned: entry.isPageAligned),
                    kept: entry.content)
            }
        }
        for _ in 0...open.count { try writer.leaveDirectory() }
    }

    /// Closes what is open beside the path, and opens what it lacks.
    private mutating func openDirectory(_ path: ArraySlice<[UInt8]>, like root: FileMetadata) throws {
        var common = 0
        while common < open.count, common < path.count, open[common] == path[common] { common += 1 }
        while open.count > common {
            try writer.leaveDirectory()
            open.removeLast()
        }
        while open.count < path.count { try enter(Array(path.prefix(open.count + 1)), root) }
    }

    private mutating func enter(_ components: [[UInt8]], _ metadata: FileMetadata) throws {
        try writer.enterDirectory(components[components.count - 1], metadata)
        open = components
    }

    private func metadata(_ entry: BackupTable.Entry) -> FileMetadata {
        let type: FileType =
            switch entry.kind {
            case .file: .regular
            case .directory: .directory
            case .symbolicLink: .symbolicLink
        }
        let names = Int(entry.owner) < table.owners.count ? table.owners[Int(entry.owner)] : ([], [])
        let time = FileTime(seconds: entry.modified, nanoseconds: 0)
        return FileMetadata(
            type: type, permissions: entry.permissions, userID: entry.userID, groupID: entry.groupID, userName: names.0,
            groupName: names.1, size: entry.size, linkCount: 1, device: 0, inode: 0, modificationTime: time, changeTime: time)
    }
}
