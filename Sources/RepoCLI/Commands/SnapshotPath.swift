import Ingest
import RepoBase
import Repository

/// A path within a snapshot, from the root of its tree.
enum SnapshotPath {
    /// The entry at `path`; nil for the root itself. Throws `.notFound`.
    static func entry(_ path: String, in entry: SnapshotCatalog.Entry, _ reader: BlobReader) throws -> TreeEntry? {
        var found: TreeEntry?
        for component in RawPath.components(Array(path.utf8)) {
            let tree = found == nil ? entry.snapshot.root : found?.subtree
            guard let tree else { throw missing(path, entry) }
            var cursor = try TreeCursor(tree, reader)
            guard let next = try cursor.entry(named: Array(component)) else { throw missing(path, entry) }
            found = next
        }
        return found
    }

    private static func missing(_ path: String, _ entry: SnapshotCatalog.Entry) -> RepoError {
        RepoError(
            .notFound, "there is no \(TextDisplay.oneLine(path)) in snapshot \(entry.id.short)",
            advice: "'repo ls \(entry.id.short)' lists what there is.")
    }
}
