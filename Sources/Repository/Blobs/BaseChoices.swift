import BlobEngine
import RepoBase

/// The bases that a delta may mean: it names them by the first 8 bytes of their ids, which several blobs may share, by chance (about once in 10^19
/// pairs) or by malice. Each is tried then; the id of the result decides (format.md, 5.3).
struct BaseChoices {
    private let candidates: [[BlobID]]

    /// Combinations tried, at most: more are malice.
    private static let limit = 256

    init(of record: BlobRecord, in index: IndexView) {
        candidates = (0..<record.bases.count).map { index.candidates(prefix: record.bases[$0]) }
    }

    /// There is nothing to choose, so the result need not be compared with its id to tell which choice was right.
    var isUnique: Bool { candidates.allSatisfy { $0.count <= 1 } }

    /// Calls `body` with one combination after the other until it returns true. What it throws of damaged or missing bases rules out that
    /// combination only. Throws `.damaged`, naming `object`, when none serves.
    func forEach(_ object: String, _ body: ([BlobID]) throws -> Bool) throws {
        guard candidates.allSatisfy({ !$0.isEmpty }) else {
            throw RepoError.damaged(object, "a base of its delta is missing")
        }
        var turn = [Int](repeating: 0, count: candidates.count)
        var failure: RepoError?
        for _ in 0..<Self.limit {
            do {
                if try body(zip(candidates, turn).map { $0[$1] }) { return }
            } catch let error as RepoError where error.code == .damaged || error.code == .notFound {
                failure = failure ?? error
            }
            guard Self.advance(&turn, candidates) else { break }
        }
        throw failure
            ?? RepoError.damaged(
                object, "its content does not match its id, whatever bases its delta is taken to mean")
    }

    /// False after the last combination.
    private static func advance(_ turn: inout [Int], _ candidates: [[BlobID]]) -> Bool {
        for position in turn.indices {
            turn[position] += 1
            if turn[position] < candidates[position].count { return true }
            turn[position] = 0
        }
        return false
    }
}
