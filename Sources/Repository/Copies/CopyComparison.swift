import BlobEngine
import RepoBase
import Storage

/// Counts what copied snapshots need in both repositories, and looks whether all of it is there to stay.
struct CopyComparison {
    private let source: OpenRepository
    private let destination: OpenRepository

    init(_ source: OpenRepository, _ destination: OpenRepository) { (self.source, self.destination) = (source, destination) }

    /// The blobs met, trees and lists gone through once each. Reads trees and lists of both repositories, no chunks. Throws `.failed` where the
    /// counts differ or something is missing.
    func run(_ copied: [(source: ObjectID, destination: ObjectID)]) throws -> UInt64 {
        let index = try destination.reloadIndexToRestOn()
        let here = try count(source, copied.map(\.source)) { _ in true }
        let there = try count(destination, copied.map(\.destination), index.hasLastingCopy)
        guard here == there else {
            throw RepoError(
                .failed, "the copies in \(destination.store.location) lead to \(there) blobs instead of \(here)",
                advice: "Run 'repo check' in both repositories, and copy again.")
        }
        return there
    }

    private func count(_ repository: OpenRepository, _ snapshots: [ObjectID], _ isThere: (BlobID) -> Bool) throws -> UInt64 {
        var seen: Set<BlobID> = []
        var count: UInt64 = 0
        let reader = BlobReader(repository)
        for id in snapshots {
            let root = try SnapshotCatalog(repository).read(id).snapshot.root
            try Reachability.walk(roots: [root], repository, reader: reader, onProblem: { throw $0.error }) { blob, type in
                guard isThere(blob) else {
                    throw RepoError(
                        .failed, "blob \(blob), which the copy of snapshot \(id.short) needs, is not in \(repository.store.location)",
                        advice: "Run 'repo check' there.")
                }
                count += 1
                return type != .chunk && seen.insert(blob).inserted
            }
        }
        return count
    }
}
