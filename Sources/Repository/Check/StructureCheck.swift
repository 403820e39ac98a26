import BlobEngine
import RepoBase

/// Walks what snapshots need: every blob must be in the index, be of its type and as long as what names it says, and rest on bases that are there, in a bounded chain.
///
/// Says only whether something is wrong, and errs on the side of yes: `DamageMap` then finds out what. Two bits for each entry of the index;
/// chunks and bases are looked up in sorted batches, table by table, so that the mapped index is read in order and little of it is resident at a time.
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

    private var references = ReferenceCheck()
    private var chunks: [(id: BlobID, length: UInt64)] = []
    private var lookups = 0

    /// Chunks or bases that are looked up together: 20 or 4 MiB.
    private static let batchCount = 1 << 19
    /// Single lookups between two releases of resident memory; each may map 16 pages around two that it touches.
    private static let lookupsPerRelease = 1 << 11

    init(_ repository: OpenRepository, _ numbering: PackNumbering, _ progress: CheckProgress) {
        self.repository = repository
        self.numbering = numbering
        self.progress = progress
        reached = BlobBitmap(numbering.view)
        bases = BlobBitmap(numbering.view)
    }

    mutating func run(_ snapshots: [SnapshotCatalog.Entry]) throws {
        // Out of `self` for the length of the walk, which takes two closures.
        var check = self
        var isUnreadable = false
        try Reachability.follow(
            roots: snapshots.map(\.snapshot.root), repository, onProblem: { _ in isUnreadable = true },
            inspect: { reference, node, reader in if !check.agrees(reference, node, reader) { isUnreadable = true } },
            visit: { reference in
                guard let length = reference.length, reference.type == .chunk else { return check.reachNow(reference) }
                check.reachChunk(reference.id, length)
                return false
            })
        check.resolveChunks()
        check.chunks = []
        check.followBases()
        self = check
        hasProblems = hasProblems || isUnreadable
        progress.update { [blobs] in $0.blobsWalked = blobs }
    }

    // MARK: On the way down

    /// True when it was not met before.
    private mutating func reachNow(_ reference: Reachability.Reference) -> Bool {
        lookups += 1
        if lookups % Self.lookupsPerRelease == 0 { numbering.view.releaseResident() }
        guard let row = numbering.firstRow(reference.id) else {
            hasProblems = true
            return false
        }
        guard !reach(row, reference.type) else { return true }
        if reference.type == .list, references.flaw(of: reference) != nil { hasProblems = true }
        return false
    }

    /// Whether it is as it is said to be where it was first named.
    private mutating func agrees(_ reference: Reachability.Reference, _ node: Reachability.Node, _ reader: BlobReader) -> Bool {
        switch node {
        case .list(let list):
            references.note(list, reference.id)
            return references.flaw(of: reference) == nil
        case .tree(.branch): return reference.isPart || ReferenceCheck.flaw(ofDirectory: reference.id, reader) == nil
        case .tree(.leaf): return true
        }
    }

    private mutating func reachChunk(_ id: BlobID, _ length: UInt64) {
        chunks.append((id, length))
        if chunks.count == Self.batchCount { resolveChunks() }
    }

    private mutating func resolveChunks() {
        chunks.sort { $0.id < $1.id }
        var isFound = [Bool](repeating: false, count: chunks.count)
        for (number, table) in numbering.view.tables.enumerated() {
            for (order, chunk) in chunks.enumerated() where !isFound[order] {
                guard let position = table.positions(of: chunk.id).first else { continue }
                isFound[order] = true
                let row = PackNumbering.Row(table: number, position: position)
                let record = numbering.copy(row)?.record
                if reached.insert(row) { blobs += 1 }
                let reference = Reachability.Reference(id: chunk.id, type: .chunk, length: chunk.length)
                if record == nil || record.map({ ReferenceCheck.flaw(of: reference, $0) != nil }) == true { hasProblems = true }
            }
            table.releaseResident()
        }
        if isFound.contains(false) { hasProblems = true }
        chunks.removeAll(keepingCapacity: true)
        progress.update { [blobs] in $0.blobsWalked = blobs }
    }

    private mutating func reach(_ row: PackNumbering.Row, _ type: BlobType) -> Bool {
        // Each time: what was met as a tree may be taken for a list elsewhere.
        if numbering.copy(row)?.record.type != type { hasProblems = true }
        guard reached.insert(row) else { return false }
        blobs += 1
        return true
    }

    // MARK: What deltas rest on

    /// Link by link. What rests on more than readers follow, or on itself, still has bases after the last link.
    private mutating func followBases() {
        var links = reached
        var depth = 0
        while true {
            var next = BlobBitmap(numbering.view)
            var prefixes: [UInt64] = []
            for (number, table) in numbering.view.tables.enumerated() {
                links.forEach(inTable: number) { position in
                    guard let record = table.record(at: position) else {
                        hasProblems = true
                        return
                    }
                    for base in 0..<record.bases.count { prefixes.append(record.bases[base]) }
                    if prefixes.count >= Self.batchCount { find(&prefixes, &next) }
                }
                table.releaseResident()
            }
            find(&prefixes, &next)
            guard next.count > 0 else { return }
            bases.formUnion(next)
            depth += 1
            guard depth < BlobReader.maximumChain else {
                hasProblems = true
                return
            }
            links = next
        }
    }

    /// Marks every blob whose id begins as one of these does: of several any may be meant.
    private mutating func find(_ prefixes: inout [UInt64], _ marks: inout BlobBitmap) {
        prefixes.sort()
        var isFound = [Bool](repeating: false, count: prefixes.count)
        for (number, table) in numbering.view.tables.enumerated() {
            for (order, prefix) in prefixes.enumerated() where order == 0 || prefixes[order - 1] != prefix {
                for position in table.positions(ofPrefix: prefix) {
                    isFound[order] = true
                    marks.insert(table: number, position: position)
                }
            }
            table.releaseResident()
        }
        for order in prefixes.indices.dropFirst() where prefixes[order] == prefixes[order - 1] {
            isFound[order] = isFound[order - 1]
        }
        if isFound.contains(false) { hasProblems = true }
        prefixes.removeAll(keepingCapacity: true)
    }

    /// By number: the packs that hold something that is needed.
    func neededPacks() -> [Bool] {
        var packs = [Bool](repeating: false, count: numbering.packs.count)
        for (number, table) in numbering.view.tables.enumerated() {
            for position in 0..<table.count {
                if position % Self.lookupsPerRelease == 0 { numbering.view.releaseResident() }
                let row = PackNumbering.Row(table: number, position: position)
                guard reached.contains(row) || bases.contains(row) else { continue }
                for copy in numbering.copies(table.id(at: position)) { packs[Int(copy.pack)] = true }
            }
        }
        return packs
    }
}
