import PostgresFormats
import Repository

extension WALArchive {
    /// The physical backups of every cluster, by system identifier, oldest first. Reads every snapshot. Throws `.wrongKey` for a writer key, and
    /// `.damaged` for a snapshot that does not read: it may be one that the log is kept for.
    public func baseBackups() throws -> [UInt64: [BaseBackup]] {
        let backups = try BaseBackup.all(SnapshotCatalog(repository).all())
        return Dictionary(grouping: backups) { $0.facts.systemIdentifier }
    }

    /// The cluster that the newest base backup of a source is of; nil where it has none. Throws as `baseBackups` does.
    public func systemIdentifier(ofSource source: String) throws -> UInt64? {
        try BaseBackup.all(SnapshotCatalog(repository).all()).last { $0.source == source }?.facts.systemIdentifier
    }
}
