import BlobEngine
import RepoBase
import Storage

/// Second copies of snapshots' objects, beside parity: they are small, come and go each by itself, and without one all of its backup is out of reach.
struct SnapshotCopies {
    private let repository: OpenRepository

    init(_ repository: OpenRepository) { self.repository = repository }

    /// Copies what is there and whole, and deletes copies of snapshots that are gone.
    /// - Parameter verifies: also makes copies anew that are not what their names say.
    func update(_ catalog: ParityCatalog, mayDelete: Bool, verifies: Bool = false) throws {
        let ids = Set(try SnapshotCatalog(repository).names().ids)
        for id in ids.subtracting(catalog.snapshotCopies.keys).sorted() { try copy(id) }
        guard mayDelete else { return }
        for id in catalog.snapshotCopies.keys where try verifies && ids.contains(id) && whole(id) == nil {
            try repository.store.delete(ParityObject.snapshotCopy(id))
            try copy(id)
        }
        for id in catalog.snapshotCopies.keys where !ids.contains(id) { try repository.store.delete(ParityObject.snapshotCopy(id)) }
    }

    /// Nothing happens where the object is gone, damaged, or has a copy.
    func copy(_ id: ObjectID) throws {
        do {
            let bytes = try repository.store.get(SnapshotObject.key(id), atMost: SnapshotCodec.byteLimit)
            guard ObjectHasher.hash(bytes) == id else { return }
            try repository.store.put(ParityObject.snapshotCopy(id), bytes, .create)
        } catch let error as RepoError where [.notFound, .conflict, .damaged].contains(error.code) {
            return
        }
    }

    /// Puts a snapshot's object back from its copy. False where there is none that fits its name.
    func heal(_ id: ObjectID) throws -> Bool {
        guard let bytes = try whole(id) else { return false }
        try DamagedObjects.keep(SnapshotObject.key(id), in: repository.store)
        try repository.store.put(SnapshotObject.key(id), bytes, .replace)
        return true
    }

    /// A copy that is what its name says; nil where there is none.
    func whole(_ id: ObjectID) throws -> [UInt8]? {
        do {
            let bytes = try repository.store.get(ParityObject.snapshotCopy(id), atMost: SnapshotCodec.byteLimit)
            return ObjectHasher.hash(bytes) == id ? bytes : nil
        } catch let error as RepoError where error.code == .notFound || error.code == .damaged {
            return nil
        }
    }
}
