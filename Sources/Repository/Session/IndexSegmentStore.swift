import BlobEngine
import RepoBase
import Storage

/// Stores segments of the index and makes them part of this process's view.
enum IndexSegmentStore {
    /// One segment for these packs. Returns its size in bytes.
    @discardableResult
    static func store(
        packs: [(pack: PackRecord, blobs: [BlobRecord])], replacing: [ObjectID], in repository: OpenRepository
    ) throws -> UInt64 {
        var blobs: [(pack: UInt32, record: BlobRecord)] = []
        blobs.reserveCapacity(packs.reduce(0) { $0 + $1.blobs.count })
        for (ordinal, pack) in packs.enumerated() {
            for blob in pack.blobs { blobs.append((UInt32(ordinal), blob)) }
        }
        blobs.sort { $0.record.id == $1.record.id ? $0.pack < $1.pack : $0.record.id < $1.record.id }
        let segment = IndexSegment(replaces: replacing, packs: packs.map(\.pack), blobs: blobs)
        return try store(segment, in: repository)
    }

    @discardableResult
    static func store(_ segment: IndexSegment, in repository: OpenRepository) throws -> UInt64 {
        let keys = repository.keys
        let bytes = segment.encode(epoch: keys.currentEpoch, signer: keys.signer)
        let id = ObjectHasher.hash(bytes)
        do {
            try repository.store.put(StoreKey("\(IndexLoader.prefix)\(id)"), bytes, .create)
        } catch let error as RepoError where error.code == .conflict {
            // The same bytes are there already.
        }
        try repository.adopt(try repository.keptTable(segment, signer: keys.signer.id, named: id), named: id)
        return UInt64(bytes.count)
    }
}
