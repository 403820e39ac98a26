import BlobEngine
import RepoBase
import Storage

/// The names below `snapshots/`, from one listing.
struct SnapshotListing {
    /// In the order of the listing.
    private(set) var objects: [(id: ObjectID, stored: Int64)] = []
    private(set) var held: Set<ObjectID> = []
    /// A name that is neither a snapshot's nor a hold's.
    private var hasStrays = false

    var ids: [ObjectID] { objects.map(\.id) }

    /// Throws what the store throws.
    init(_ store: any Store) throws {
        try store.list(SnapshotObject.prefix) { object in
            let name = object.key.description.dropFirst(SnapshotObject.prefix.count)
            if let id = ObjectID(name) {
                objects.append((id, object.modified))
            } else if name.hasSuffix(".hold"), let id = ObjectID(name.dropLast(5)) {
                held.insert(id)
            } else {
                hasStrays = true
            }
        }
    }

    /// A listing that is made once more where a name in it makes no sense: a network without protection may have altered another one, and a
    /// snapshot or a hold that is overlooked may cost its data. Both are joined then: a name too many does no harm.
    static func complete(_ store: any Store) throws -> SnapshotListing {
        var listing = try SnapshotListing(store)
        if listing.hasStrays || !listing.held.isSubset(of: listing.ids) { listing.join(try SnapshotListing(store)) }
        return listing
    }

    mutating func join(_ other: SnapshotListing) {
        let known = Set(ids)
        objects += other.objects.filter { !known.contains($0.id) }
        held.formUnion(other.held)
    }
}
