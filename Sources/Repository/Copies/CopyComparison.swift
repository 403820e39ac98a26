import BlobEngine
import RepoBase
import Storage

/// Counts what copied snapshots need in both repositories, and looks whether all of it is there to stay: in packs that are in the store and were
/// not condemned before the copy registered. What a collector has condemned since waits for the copy, and is rescued (docs/collection.md, 6a).
struct CopyComparison {
    private let source: OpenRepository
    private let destination: OpenRepository

    private let condemnedBefore: Set<ObjectID>

    init(_ source: OpenRepository, _ destination: OpenRepository, condemnedBefore: Set<ObjectID>) {
        (self.source, self.destination, self.condemnedBefore) = (source, destination, condemnedBefore)
    }

    private static let attempts = 3

    /// The blobs met, trees and lists gone through once each. Reads trees and lists of both repositories, no chunks. Throws `.failed` where the
    /// counts differ or something is missing.
    func run(_ copied: [(source: ObjectID, destination: ObjectID)]) throws -> UInt64 {
        var index = try destination.reloadIndexToRestOn()
        for _ in 1..<Self.attempts {
            do {
                return try compare(copied, index)
            } catch let error as RepoError where error.code == .failed || error.code == .damaged {
                // A collector there may have moved blobs while the index was loaded, which then named neither their old place nor the new one.
                let latest = try destination.reloadIndexToRestOn()
                if latest.segments == index.segments, latest.absent == index.absent { throw error }
                index = latest
            }
        }
        return try compare(copied, index)
    }

    private func compare(_ copied: [(source: ObjectID, destination: ObjectID)], _ index: IndexView) throws -> UInt64 {
        // One that was let go since, here or there, is not compared.
        let pairs = try copied.compactMap { pair in
            try root(pair.source, source).flatMap { here in try root(pair.destination, destination).map { (here: here, there: $0) } }
        }
        let here = try count(source, pairs.map(\.here)) { _ in true }
        let there = try count(destination, pairs.map(\.there)) { id in
            index.locations(of: id).contains { !condemnedBefore.contains($0.pack.id) && !index.absent.contains($0.pack.id) }
        }
        guard here == there else {
            throw RepoError(
                .failed, "the copies in \(destination.store.location) lead to \(there) blobs instead of \(here)",
                advice: "Run 'repo check' in both repositories, and copy again.")
        }
        return there
    }

    private func root(_ id: ObjectID, _ repository: OpenRepository) throws -> (id: ObjectID, root: BlobID)? {
        do {
            return (id, try SnapshotCatalog(repository).read(id).snapshot.root)
        } catch let error as RepoError where error.code == .notFound {
            return nil
        }
    }

    private func count(_ repository: OpenRepository, _ snapshots: [(id: ObjectID, root: BlobID)], _ isThere: (BlobID) -> Bool) throws -> UInt64 {
        var seen: Set<BlobID> = []
        var count: UInt64 = 0
        let reader = BlobReader(repository)
        for (id, root) in snapshots {
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
