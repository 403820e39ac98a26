import BlobEngine
import RepoBase

/// Which snapshots another repository has already, and what they are copies of.
struct PresentCopies {
    private let isTwin: Bool
    private let ids: Set<ObjectID>
    private var copies: [CopyOrigin: SnapshotCatalog.Entry] = [:]

    /// Reads every snapshot there, unless it is a twin, where the names say it.
    init(_ destination: OpenRepository, isTwin: Bool) throws {
        self.isTwin = isTwin
        ids = Set(try SnapshotCatalog(destination).names().ids)
        guard !isTwin else { return }
        // One that does not read there is copied again.
        for entry in try SnapshotCatalog(destination).all(onProblem: { _, _ in }) {
            copies[CopyOrigin(of: entry, in: destination.keys.repositoryID)] = entry
        }
    }

    /// The name there of a snapshot of the repository `source`; nil where it is missing.
    func copy(of entry: SnapshotCatalog.Entry, from source: RepositoryID) -> ObjectID? {
        if isTwin { return ids.contains(entry.id) ? entry.id : nil }
        return copies[CopyOrigin(of: entry, in: source)]?.id
    }

    /// The copy of what `origin` names, or that itself.
    func entry(_ origin: CopyOrigin) -> SnapshotCatalog.Entry? { copies[origin] }

    /// The same by its id alone, or among those just copied.
    func id(
        of snapshot: ObjectID, from source: RepositoryID, _ copied: [(source: ObjectID, destination: ObjectID)]
    ) -> ObjectID? {
        copied.first { $0.source == snapshot }?.destination ?? copies[CopyOrigin(repository: source, snapshot: snapshot)]?.id
    }

    /// For each host and source the newest of `entries` that is there too: the roots of both.
    func pairs(with entries: [SnapshotCatalog.Entry], of source: RepositoryID) -> [String: (source: BlobID, destination: BlobID)] {
        var pairs: [String: (source: BlobID, destination: BlobID)] = [:]
        for entry in entries {
            guard let copy = copies[CopyOrigin(of: entry, in: source)] else { continue }
            pairs["\(entry.snapshot.host)\0\(entry.snapshot.source)"] = (entry.snapshot.root, copy.snapshot.root)
        }
        return pairs
    }
}
