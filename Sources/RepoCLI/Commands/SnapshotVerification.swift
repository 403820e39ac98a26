import BlobEngine
import RepoBase
import Repository

/// Reads everything of a snapshot back, as `--verify` asks.
enum SnapshotVerification {
    /// Each blob once. Throws `.damaged` for the first that does not read.
    static func run(_ root: BlobID, _ repository: OpenRepository) throws {
        let reader = BlobReader(repository)
        var seen: Set<BlobID> = []
        var batch: [BlobID] = []
        func read() throws {
            for result in try reader.read(batch, .chunk) { _ = try result.get() }
            batch.removeAll(keepingCapacity: true)
        }
        try Reachability.walk(
            roots: [root], repository, reader: BlobReader(repository), onProblem: { throw $0.error },
            visit: { id, type in
                guard seen.insert(id).inserted else { return false }
                guard type == .chunk else { return true }
                batch.append(id)
                if batch.count == 16 { try read() }
                return true
            })
        try read()
    }
}
