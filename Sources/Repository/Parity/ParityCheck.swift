import BlobEngine
import RepoBase
import Storage

/// What parity can do about what a check has found.
public struct ParityReport: Hashable, Sendable {
    /// Objects that parity makes whole again: packs, and snapshots that have a second copy.
    public var healable: [String] = []
    /// Packs that are damaged beyond it, and why.
    public var beyond: [String: String] = [:]
    /// Objects of parity that were looked at, and bytes of them that were read.
    public var objects: UInt64 = 0
    public var bytesRead: UInt64 = 0
    /// What is wrong with parity itself.
    public var damages: [Damage] = []
}

/// Verifies parity: that every object of a group is there, and with data that it reads.
struct ParityCheck {
    private let repository: OpenRepository
    private let threads: Int

    init(_ repository: OpenRepository, threads: Int) { (self.repository, self.threads) = (repository, threads) }

    /// Nil where there is no parity.
    /// - Parameter errors: what was found damaged elsewhere.
    func run(readsData: Bool, errors: [Damage]) throws -> ParityReport? {
        let catalog = try ParityCatalog(repository, readsAllCopies: true)
        guard catalog.objects > 0 else { return nil }
        var report = ParityReport()
        report.objects = catalog.objects
        if !catalog.damages.isEmpty { report.damages = catalog.lasting(in: try ParityCatalog(repository, readsAllCopies: true)) }
        var bad: [[UInt8]: [Int: [Int]]] = [:]
        if readsData {
            let bytes = Monitor<UInt64>(0)
            bad = try ParityReading(repository, threads: threads).damage(catalog) { count in bytes.withLock { $0 += count } }
            report.bytesRead = bytes.withLock { $0 }
            // One that another run has deleted meanwhile is not damaged.
            if !bad.isEmpty {
                let present = Set(try ParityCatalog(repository).entries.map(\.group.id))
                bad = bad.filter { present.contains($0.key) }
            }
            for (id, rows) in bad {
                for (row, blocks) in rows {
                    report.damages.append(
                        Damage(
                            object: "\(ParityObject.shard(id, row: row))", kind: .parity,
                            problem: "\(blocks.count) of its blocks are not what was stored, the first at byte \(blocks[0] * ErasureCode.blockSize)"))
                }
            }
        }
        try checkCopies(catalog, errors, &report)
        try foretell(catalog, bad, errors, &report)
        report.damages.sort { $0.object < $1.object }
        report.healable.sort()
        return report
    }

    private func checkCopies(_ catalog: ParityCatalog, _ errors: [Damage], _ report: inout ParityReport) throws {
        let copies = SnapshotCopies(repository)
        for id in catalog.snapshotCopies.keys.sorted() {
            let key = ParityObject.snapshotCopy(id)
            if try copies.whole(id) != nil {
                if errors.contains(where: { $0.object == "\(SnapshotObject.key(id))" }) { report.healable.append("\(SnapshotObject.key(id))") }
            } else if try repository.store.stat(key) != nil {
                report.damages.append(Damage(object: "\(key)", kind: .parity, problem: "its content does not match its name"))
            }
        }
    }

    /// Which damaged packs parity can make again, as far as what was read tells.
    private func foretell(
        _ catalog: ParityCatalog, _ bad: [[UInt8]: [Int: [Int]]], _ errors: [Damage], _ report: inout ParityReport
    ) throws {
        let ids = Set(errors.filter { $0.kind == .pack }.compactMap { StoreKey(checking: $0.object).flatMap(PackObject.id) })
        guard !ids.isEmpty else { return }
        let survey = try GroupSurvey(repository, threads: threads)
        var left = ids
        for entry in catalog.entries where !left.isDisjoint(with: entry.group.members.map(\.id)) {
            var map = try survey.map(entry, suspects: ids)
            for (row, blocks) in bad[entry.group.id] ?? [:] { map.lose(row: row, blocks) }
            for member in entry.group.members where left.contains(member.id) {
                let object = "\(PackObject.key(member.id))"
                if map.lost(member).isEmpty, survey.sizes[member.id] == member.size { continue }
                if map.isRecoverable(member) {
                    report.healable.append(object)
                    report.beyond[object] = nil
                    left.remove(member.id)
                } else {
                    report.beyond[object] = map.excess(member)
                }
            }
        }
        for id in left where report.beyond["\(PackObject.key(id))"] == nil { report.beyond["\(PackObject.key(id))"] = "no parity covers it" }
    }
}
