import BlobEngine
import RepoBase

/// What blobs of one repository are called in another, as far as a copy has learnt it and still remembers: it saves reading them, and nothing
/// rests on its being complete.
final class KnownBlobs: Sendable {
    /// About 100 bytes each.
    private static let limit = 1 << 19

    private let ids = Monitor<[BlobID: BlobID]>([:])

    subscript(_ id: BlobID) -> BlobID? { ids.withLock { $0[id] } }

    func note(_ id: BlobID, as other: BlobID) {
        ids.withLock { ids in
            if ids.count >= Self.limit { ids.removeAll(keepingCapacity: true) }
            ids[id] = other
        }
    }

    /// After a failure: what was to be stored may not have been.
    func forget() { ids.withLock { $0.removeAll() } }
}
