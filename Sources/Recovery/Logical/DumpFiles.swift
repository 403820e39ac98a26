import Ingest
import PostgresFormats
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

    private struct Enough: Error {}

    /// Reads as much of a dump as its table of contents takes; nil where it is cut off.
    static func contents(_ file: TreeEntry, _ repository: OpenRepository) throws -> DumpContents? {
        guard let content = file.content else { return nil }
        var scan = DumpScan(object: String(decoding: file.name, as: UTF8.self))
        do {
            try ContentStream(repository, readAhead: 1 << 20).read(content, size: file.metadata.size) { bytes in
                try scan.push(bytes)
                if scan.contents != nil { throw Enough() }
            }
            try scan.finish()
        } catch is Enough {}
        return scan.contents
    }
}
