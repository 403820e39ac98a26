import Ingest
import RepoBase
import Repository

/// The dumps of a logical snapshot.
enum DumpFiles {
    /// By database, in the order of the files' names.
    static func all(_ root: BlobID, _ repository: OpenRepository) throws -> [(database: String, entry: TreeEntry)] {
        var cursor = try TreeCursor(root, BlobReader(repository))
        var found: [(database: String, entry: TreeEntry)] = []
        while let entry = try cursor.next() {
            guard let database = DumpSource.database(ofFile: String(decoding: entry.name, as: UTF8.self)), entry.content != nil else { continue }
            found.append((database, entry))
        }
        return found
    }
}
