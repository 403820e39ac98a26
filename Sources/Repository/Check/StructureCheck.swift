import BlobEngine
import RepoBase

/// Walks what snapshots need: every blob must be in the index, be of its type, and rest on bases that are there, in a bounded chain.
struct StructureCheck {
    private let repository: OpenRepository
    private let numbering: PackNumbering
    private let progress: CheckProgress
    /// What was met on the way down.
    private var reached: BlobBitmap
    /// What deltas among them rest on. Apart, for a tree that is only a base need not be walked.
    private var bases: BlobBitmap
    /// Blobs that snapshots need, each counted once.
    private(set) var blobs: UInt64 = 0
    /// Something is missing or does not read; the damage map says what.
    private(set) var hasProblems = false
    private static let releaseInterval: UInt64 = 1 << 17

    init(_ repository: OpenRepository, _ numbering: PackNumbering, _ progress: CheckProgress) {
        self.repository = repository
        self.numbering = numbering
        self.progress = progress
        reached = BlobBitmap(numbering.view)
        bases = BlobBitmap(numbering.view)
    }

    mutating func run(_ snapshots: [SnapshotCatalog.Entry]) throws {
        var problems = false
        var marks = reached
        var baseMarks = bases
        var count: UInt64 = 0
        try Reachability.walk(
            roots: snapshots.map(\.snapshot.root), repository, onProblem: { _ in problems = true },
            visit: { id, type in
                guard let row = numbering.firstRow(id) else {
                    problems = true
                    return false
                }
                guard marks.insert(row) else { return false }
                count += 1
                if count % Self.releaseInterval == 0 {
                    numbering.view.releaseResident()
                    progress.update { $0.blobsWalked = count }
                }
                guard let copy = numbering.copy(row) else {
                    problems = true
                    return false
                }
                if copy.record.type != type
                    || !Self.mark(basesOf: copy.record, numbering, &baseMarks, depth: 0)
                {
                    problems = true
                }
                return true
            })
        progress.update { $0.blobsWalked = count }
        reached = marks
        bases = baseMarks
        blobs = count
        hasProblems = problems
    }

    /// False when one is missing or the chain is too long.
    private static func mark(
        basesOf record: BlobRecord, _ numbering: PackNumbering, _ marks: inout BlobBitmap, depth: Int
    ) -> Bool {
        guard depth < BlobReader.maximumChain else { return false }
        for position in 0..<record.bases.count {
            // Of several that begin alike any may be meant: one must be whole, and reading the data tells which is right.
            var isThere = false
            for id in numbering.view.candidates(prefix: record.bases[position]) {
                guard let row = numbering.firstRow(id), let copy = numbering.copy(row) else { continue }
                if !marks.insert(row) || mark(basesOf: copy.record, numbering, &marks, depth: depth + 1) { isThere = true }
            }
            guard isThere else { return false }
        }
        return true
    }

    /// By number: the packs that hold something that is needed.
    func neededPacks() -> [Bool] {
        var packs = [Bool](repeating: false, count: numbering.packs.count)
        for (number, table) in numbering.view.tables.enumerated() {
            for position in 0..<table.count {
                let row = PackNumbering.Row(table: number, position: position)
                guard reached.contains(row) || bases.contains(row) else { continue }
                for copy in numbering.copies(table.id(at: position)) { packs[Int(copy.pack)] = true }
            }
        }
        return packs
    }
}
