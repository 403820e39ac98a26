import BlobEngine
import RepoBase
import Storage

extension ParityPlan.Input {
    /// What the repository has now. Loads the index anew and lists the packs after it, so that none that the index names seems to be missing that was only
    /// not there yet.
    init(
        _ repository: OpenRepository, _ catalog: ParityCatalog, parity: UInt64, leaving: Set<ObjectID> = [], damaged: Set<ObjectID> = [],
        unreadable: Set<[UInt8]> = []
    ) throws {
        let isFull = repository.keys.role == .full
        let view = try repository.reloadIndex()
        var sizes: [ObjectID: UInt64] = [:]
        try repository.store.list(PackObject.prefix) { object in
            if let id = PackObject.id(object.key) { sizes[id] = object.size }
        }
        let known = Set(catalog.entries.flatMap { $0.group.members.map(\.id) })
        var wanted: [ObjectID: UInt64] = [:]
        for table in view.tables {
            for pack in table.packs where !leaving.contains(pack.id) {
                // What was condemned may be needed by a snapshot that came since: it stays covered until it goes, and is not covered anew.
                if view.condemned.contains(pack.id), !known.contains(pack.id) || sizes[pack.id] == nil { continue }
                // What a writer key's group says counts for its own packs alone.
                if isFull || pack.seal.signer == repository.keys.keyID { wanted[pack.id] = pack.size }
            }
        }
        // One of another size is damaged.
        let cut = wanted.filter { sizes[$0.key] != nil && sizes[$0.key] != $0.value }.keys
        self.init(
            entries: catalog.entries, wanted: wanted, present: Set(sizes.keys), leaving: leaving, damaged: damaged.union(cut),
            unreadable: unreadable, parity: parity, mayReplace: isFull, counts: repository.countsParity)
    }
}
