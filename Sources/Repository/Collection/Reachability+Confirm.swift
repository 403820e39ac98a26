import BlobEngine
import RepoBase

extension Reachability {
    /// Whether everything that a root needs is there to stay: in packs that are in the store and not condemned, with all that it rests on. For a
    /// writer that was fenced: nobody waits for it, so packs and their record may go between its looks at the index and at the record; what
    /// counts is which packs are there after both. False, too, when that cannot be found out, as with a key that cannot read.
    static func isConfirmed(_ root: BlobID, _ repository: OpenRepository) -> Bool {
        struct Absent: Error {}
        do {
            let index = try repository.reloadIndexToRestOn()
            var seen: Set<BlobID> = []
            try walk(roots: [root], repository, onProblem: { throw $0.error }) { id, type in
                guard index.containsForDeduplication(id) else { throw Absent() }
                return type != .chunk && seen.insert(id).inserted
            }
            return true
        } catch {
            return false
        }
    }
}
