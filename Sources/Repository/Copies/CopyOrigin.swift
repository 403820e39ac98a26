public import RepoBase

/// Which snapshot of which repository a snapshot was copied from (format.md, 7, field 28): the first of them, where it went through several.
public struct CopyOrigin: Hashable, Sendable {
    public let repository: RepositoryID
    public let snapshot: ObjectID

    public init(repository: RepositoryID, snapshot: ObjectID) {
        (self.repository, self.snapshot) = (repository, snapshot)
    }

    /// What stands for a snapshot wherever it was copied to: where it comes from, or itself where it was made here.
    public init(of entry: SnapshotCatalog.Entry, in repository: RepositoryID) {
        self = entry.snapshot.origin ?? CopyOrigin(repository: repository, snapshot: entry.id)
    }
}
