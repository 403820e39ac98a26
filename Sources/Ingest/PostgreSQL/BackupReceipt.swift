import PostgresClient
import PostgresFormats
import RepoBase
import Repository

/// Receives a base backup: takes its archives apart, keeps its manifest, and compares the two.
struct BackupReceipt {
    private var feed: BackupFeed
    private var parser = TarParser()
    private let writer: SnapshotWriter
    private var manifest: [UInt8] = []

    init(_ writer: SnapshotWriter, parent: BlobID?, pages: PageFindings?) {
        self.writer = writer
        feed = BackupFeed(writer, parent: parent, pages: pages)
    }

    /// Takes everything up to the stream's end.
    mutating func receive(_ stream: BaseBackupStream) throws {
        var isManifest = false
        while true {
            switch try stream.next() {
            case .archive(let oid):
                try parser.finish()
                feed.beginArchive(oid)
            case .data(let data):
                try data.withBytes { bytes in
                    if isManifest {
                        manifest += bytes
                        try feed.content(bytes)
                    } else {
                        try parser.take(bytes, &feed)
                    }
                }
            case .manifest:
                try parser.finish()
                try feed.beginManifest(.now())
                isManifest = true
            case .end:
                guard isManifest else {
                    throw RepoError(.sourceFailed, "the server sent no manifest", advice: "No snapshot was made. Run it again.")
                }
                try feed.endManifest(size: UInt64(manifest.count))
                return
            }
        }
    }

    /// Completes and sorts the table, and compares it with the manifest. Throws when something is missing, too much, or otherwise than it was sent.
    mutating func settle(
        _ stream: BaseBackupStream, permissions: UInt16, time: FileTime, systemIdentifier: UInt64
    ) throws -> BackupTable {
        for oid in stream.tablespaces.compactMap(\.oid) {
            feed.addDirectory(BackupFeed.directory(ofTablespace: oid), permissions: permissions, time: time)
        }
        try feed.sort()
        try ManifestComparison(manifest).compare(
            feed.table, systemIdentifier: systemIdentifier, from: stream.start.position, timeline: stream.start.timeline)
        manifest = []
        return feed.table
    }

    var databaseBytes: [UInt32: UInt64] { feed.databaseBytes }

    /// What the server wrote of the backup's beginning.
    func label() throws(RepoError) -> BackupLabel { try BackupLabel(feed.label, object: BackupLabel.path) }

    /// The data directory's own metadata; the archives have all but that.
    func root(_ permissions: UInt16, time: FileTime) -> FileMetadata {
        FileMetadata(
            type: .directory, permissions: permissions, userID: feed.owner?.userID ?? 0, groupID: feed.owner?.groupID ?? 0,
            userName: feed.owner?.userName ?? [], groupName: feed.owner?.groupName ?? [], size: 0, linkCount: 1, device: 0, inode: 0,
            modificationTime: time, changeTime: time)
    }
}
