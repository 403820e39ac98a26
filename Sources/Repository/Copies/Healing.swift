import BlobEngine
import RepoBase
import Storage

/// Heals what a check has found damaged or missing from another repository: from a twin object by object, from any other blob by blob, sealed
/// anew (docs/copies.md). Everything is verified before it is put, and what was damaged is kept below `damaged/`.
///
/// Order: objects as they are, the index from the packs, packs that stay damaged taken out with what still reads of them saved, and then
/// what the hurt snapshots lack, as a copy in the other direction would send it. Each step may be repeated.
public final class Healing {
    /// What became of it.
    public struct Outcome: Sendable {
        /// Objects that were put back or made again.
        public var healed: [String] = []
        /// Bytes that came from the other repository.
        public var bytesFetched: UInt64 = 0
        /// What could not be helped, and why.
        public var problems: [String] = []
    }

    private let repository: OpenRepository
    private let copy: OpenRepository
    private let progress: CopyProgress

    public init(_ repository: OpenRepository, from copy: OpenRepository, progress: CopyProgress = CopyProgress()) {
        (self.repository, self.copy, self.progress) = (repository, copy, progress)
    }

    public var isTwin: Bool { repository.keys.repositoryID == copy.keys.repositoryID }

    /// Damage of the log is left to `LogHealing`. Throws `.refused` for writer keys.
    public func run(_ report: CheckReport, stamp: JournalStamp = .now()) throws -> Outcome {
        try repository.requireFullKey("heal a repository")
        try copy.requireFullKey("heal another repository")
        guard repository.store.location != copy.store.location else {
            throw RepoError(.usage, "\(copy.store.location) cannot be healed from itself", advice: "Name a copy of it.")
        }
        repository.acceptPartialIndex()
        copy.acceptPartialIndex()
        var outcome = Outcome()
        var rest = report.errors.filter { $0.kind != .log }
        if isTwin {
            let objects = ObjectHealing(repository, twin: copy)
            rest = try rest.filter { damage in
                guard try objects.heal(damage) else { return true }
                outcome.healed.append(damage.object)
                return false
            }
        }
        try healIndex(rest, isLacking: report.lacksIndex, &outcome)
        try takeOutPacks(rest, &outcome)
        try fill(Set(report.errors.filter { [.index, .pack, .blob].contains($0.kind) }.flatMap(\.snapshots)), all: rest.contains { $0.kind == .index || $0.kind == .blob || $0.kind == .pack }, &outcome)
        try healSnapshots(rest, &outcome)
        if !outcome.healed.isEmpty {
            try Journal.append(
                to: repository.store, by: repository.keys, stamp, action: "heal", subjects: outcome.healed,
                details: ["from \(copy.store.location)"])
        }
        return outcome
    }

    /// Segments are each repository's own, and all that they say stands in the packs.
    private func healIndex(_ damages: [Damage], isLacking: Bool, _ outcome: inout Outcome) throws {
        let damaged = damages.filter { $0.kind == .index }
        guard !damaged.isEmpty || isLacking else { return }
        for damage in damaged {
            if let key = StoreKey(checking: damage.object) { try DamagedObjects.keep(key, in: repository.store) }
        }
        _ = try IndexRepair(repository).run()
        outcome.healed += damaged.map(\.object)
    }

    private func takeOutPacks(_ damages: [Damage], _ outcome: inout Outcome) throws {
        let named = Set(try repository.reloadIndex().tables.flatMap { $0.packs.map(\.id) })
        let packs = damages.filter { $0.kind == .pack }.compactMap { StoreKey(checking: $0.object).flatMap(PackObject.id) }.filter(named.contains)
        guard !packs.isEmpty else { return }
        let result = try PackRepair(repository).run(packs)
        outcome.healed += result.packs.map { "\(PackObject.key($0))" }
    }

    /// What snapshots lack, from their copies.
    /// - Parameter all: whether snapshots are looked at that the check did not name: those of packs that were taken out.
    private func fill(_ hurt: Set<ObjectID>, all: Bool, _ outcome: inout Outcome) throws {
        guard all else { return }
        let here = try SnapshotCatalog(repository).all(onProblem: { _, _ in }).filter { hurt.isEmpty || hurt.contains($0.id) }
        guard !here.isEmpty else { return }
        let copies = try PresentCopies(copy, isTwin: false)
        var pairs: [(here: SnapshotCatalog.Entry, there: SnapshotCatalog.Entry)] = []
        for entry in here {
            guard let there = copies.entry(CopyOrigin(of: entry, in: repository.keys.repositoryID)) else {
                outcome.problems.append("snapshot \(entry.id.short) is not in \(copy.store.location)")
                continue
            }
            pairs.append((entry, there))
        }
        let sending = RepositoryCopy(from: copy, to: repository, progress: progress)
        for (snapshot, error) in try sending.fill(pairs, &outcome.bytesFetched) {
            outcome.problems.append("snapshot \(snapshot.short) could not be healed: \(error.message)")
        }
    }

    /// With other keys a snapshot's object cannot be made as it was: its content comes back under another id, with the hold where there is one, and
    /// the damaged object goes aside.
    private func healSnapshots(_ damages: [Damage], _ outcome: inout Outcome) throws {
        let ids = damages.filter { $0.kind == .snapshot }.compactMap { StoreKey(checking: $0.object).flatMap(SnapshotObject.id) }
        guard !ids.isEmpty, !isTwin else { return }
        let copies = try PresentCopies(copy, isTwin: false)
        var wanted: [SnapshotCatalog.Entry] = []
        for id in ids {
            guard let there = copies.entry(CopyOrigin(repository: repository.keys.repositoryID, snapshot: id)) else {
                outcome.problems.append("snapshot \(id.short) is not in \(copy.store.location)")
                continue
            }
            wanted.append(there)
        }
        let brought = try RepositoryCopy(from: copy, to: repository, progress: progress).run(wanted)
        outcome.bytesFetched += brought.bytesSent
        outcome.problems += brought.failures.map { "snapshot \($0.snapshot.short) could not be healed: \($0.error.message)" }
        // What an earlier run has brought, and was killed before it took the damaged object away, counts as well.
        let present = try PresentCopies(repository, isTwin: false)
        for entry in wanted {
            guard let id = entry.snapshot.origin?.snapshot, let new = present.copy(of: entry, from: copy.keys.repositoryID) else { continue }
            try moveHold(from: id, to: new)
            if let reason = try SnapshotRepair(repository).setAsideUnreadable([id]).first?.leftBecause {
                outcome.problems.append("snapshot \(id.short) came back as \(new.short), and stays where it is: \(reason)")
            } else {
                outcome.healed.append("\(SnapshotObject.key(id))")
            }
        }
    }

    /// The content is held without a gap: under both names until the first hold ends.
    private func moveHold(from damaged: ObjectID, to new: ObjectID) throws {
        guard try SnapshotCatalog(repository).names().held.contains(damaged) else { return }
        let holds = Holds(repository)
        let reason = (try? holds.list())?.first { $0.snapshot == damaged }?.reason
        try holds.add(new, reason: reason ?? "snapshot \(damaged.short) was held")
        try holds.remove(damaged)
    }
}
