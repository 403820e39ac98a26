import BlobEngine
import RepoBase
import Storage

/// Lists and trees of a remote repository, read from copies of their packs on this machine.
///
/// They stand in packs of their own, and a directory is wanted with those around it. A pack that this machine has no copy of is read blob by blob
/// at first, and fetched whole once what those reads have cost reaches what the whole costs: so never more than twice of what the better way,
/// known beforehand, would have cost.
final class MetadataPacks: Sendable {
    /// What a request costs beside its bytes, as bytes: 50 ms on a line of 20 MB/s.
    static let requestBytes: UInt64 = 1 << 20

    private let cache: ObjectCache
    private let store: any Store

    private struct State {
        var requests: [ObjectID: UInt64] = [:]
        var fetching: Set<ObjectID> = []
        /// Not to be had whole: absent, or not what its name says. Whoever reads a blob of it learns what is wrong.
        var refused: Set<ObjectID> = []
    }
    private let state = Monitor(State())

    init(_ cache: ObjectCache, _ store: any Store) { (self.cache, self.store) = (cache, store) }

    /// Fills `buffer` with a blob's sealed bytes; false where they are to be read from the store.
    func read(_ record: BlobRecord, of pack: PackRecord, into buffer: UnsafeMutableRawBufferPointer) -> Bool {
        if let copy = cache.copy(of: pack.id) { return copy.read(at: Int(record.offset), into: buffer) }
        guard isDue(pack) else { return false }
        defer { state.update { $0.fetching.remove(pack.id) } }
        // Another thread may have fetched it while this one waited.
        guard let copy = cache.copy(of: pack.id) ?? fetch(pack) else { return false }
        return copy.read(at: Int(record.offset), into: buffer)
    }

    /// Forgets a copy out of which a blob did not open.
    func drop(_ pack: ObjectID) { cache.drop(pack) }

    /// Whether to fetch it now; then it is this thread's to fetch. Waits for a thread that does.
    private func isDue(_ pack: PackRecord) -> Bool {
        let requests = state.withLock { state in
            state.requests[pack.id, default: 0] += 1
            return state.requests[pack.id]!
        }
        guard requests * Self.requestBytes >= pack.size else { return false }
        return state.wait { state -> Bool? in
            if state.refused.contains(pack.id) { return false }
            return state.fetching.insert(pack.id).inserted ? true : nil
        }
    }

    private func fetch(_ pack: PackRecord) -> CachedObject? {
        if let bytes = try? store.get(PackObject.key(pack.id), atMost: PackObject.maximumSize), ObjectHasher.hash(bytes) == pack.id {
            cache.keep(pack.id, bytes)
            if let copy = cache.copy(of: pack.id) { return copy }
        }
        state.withLock { _ = $0.refused.insert(pack.id) }
        return nil
    }
}
