import BlobEngine
import RepoBase
import Storage

/// What collectors have condemned: packs that a writer treats as absent (docs/collection.md).
enum CondemnedPacks {
    static let prefix = "gc/"

    /// The union of all records. Called after the writer has registered.
    /// - Parameter onDamaged: told of each record that does not read; the others are taken unless this throws.
    static func load(
        _ repository: OpenRepository, onDamaged: (StoreKey, RepoError) throws -> Void = { throw $1 }
    ) throws -> Set<ObjectID> {
        var packs: Set<ObjectID> = []
        for object in try repository.store.list(prefix)
        where object.key.description.hasSuffix("/condemned") {
            let record: CollectionRecord
            do {
                record = try CollectionRecord.read(object.key, repository)
            } catch let error as RepoError where error.code == .notFound {
                continue  // finished meanwhile
            } catch let error as RepoError where error.code == .damaged {
                try onDamaged(object.key, error)
                continue
            }
            packs.formUnion(record.packs)
        }
        return packs
    }
}
