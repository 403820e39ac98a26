import BlobEngine
import RepoBase
import Storage

/// What collectors have condemned: packs that a writer treats as absent (docs/collection.md).
enum CondemnedPacks {
    static let prefix = "gc/"

    /// The union of all records. Called after the writer has registered.
    static func load(_ repository: OpenRepository) throws -> Set<ObjectID> {
        var packs: Set<ObjectID> = []
        for object in try repository.store.list(prefix)
        where object.key.description.hasSuffix("/condemned") {
            let record: CollectionRecord
            do {
                record = try CollectionRecord.read(object.key, repository)
            } catch let error as RepoError where error.code == .notFound {
                continue  // finished meanwhile
            }
            packs.formUnion(record.packs)
        }
        return packs
    }
}
