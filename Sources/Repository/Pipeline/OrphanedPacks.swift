import BlobEngine
import RepoBase
import Storage

/// Takes up what a snapshot that was killed has stored and not indexed, so that the next one need not store it again.
///
/// A pack says itself what is in it, in a directory that its writer has signed. Only packs of this key are taken up, and for a full key
/// those of full keys: on others nothing may rest. Called after the writer has registered, loaded the index and read what is condemned, and in this
/// order a pack that is listed is either not condemned, or by a collector that waits for this writer (docs/collection.md).
struct OrphanedPacks {
    private let repository: OpenRepository
    /// Packs taken up at a time; what is left is the next snapshot's.
    private static let limit = 4096
    private static let packsPerSegment = 64
    /// A writer elsewhere that gave no sign for so many seconds is taken for dead here; it refreshes its registration every ten minutes.
    private static let silence: Int64 = 1800

    init(_ repository: OpenRepository) { self.repository = repository }

    /// Indexes them. Returns the bytes of the segments stored.
    ///
    /// Costs a listing of `writers/`; one of all packs only when a writer has died, and two small reads for each pack found.
    func adopt(registration: WriterRegistration) throws -> UInt64 {
        let census = try WriterCensus(repository, own: registration.identifier, fenceAfter: Self.silence)
        guard try census.others.contains(where: census.hasDied) else { return 0 }
        let view = try repository.index()
        let known = Set(view.tables.flatMap { $0.packs.map(\.id) }).union(view.condemned)
        var found: [(id: ObjectID, size: UInt64)] = []
        try repository.store.list(PackObject.prefix) { object in
            guard let id = PackObject.id(object.key), !known.contains(id), found.count < Self.limit else {
                return
            }
            found.append((id, object.size))
        }
        var bytes: UInt64 = 0
        var packs: [(pack: PackRecord, blobs: [BlobRecord])] = []
        for (id, size) in found.sorted(by: { $0.id < $1.id }) {
            guard let pack = try read(id, size) else { continue }
            packs.append(pack)
            guard packs.count == Self.packsPerSegment else { continue }
            bytes += try IndexSegmentStore.store(packs: packs, replacing: [], in: repository)
            packs = []
        }
        if !packs.isEmpty {
            bytes += try IndexSegmentStore.store(packs: packs, replacing: [], in: repository)
        }
        return bytes
    }

    /// Nil for one that is gone, damaged, archived, or not to be rested on: a check or a collector will tell of it.
    private func read(_ id: ObjectID, _ size: UInt64) throws -> (pack: PackRecord, blobs: [BlobRecord])? {
        let key = PackObject.key(id)
        do {
            let (seal, blobs) = try PackDirectoryReader(repository).read(key, size: size) {
                try repository.store.readRange(key, at: $0, count: $1)
            }
            let isOwn = seal.signer == repository.keys.keyID
            guard isOwn || repository.keys.role == .full && repository.role(of: seal.signer) == .full else {
                return nil
            }
            return (PackRecord(id: id, size: size, seal: seal, isVerified: false), blobs)
        } catch let error as RepoError where [.damaged, .notFound, .archived].contains(error.code) {
            return nil
        }
    }
}
