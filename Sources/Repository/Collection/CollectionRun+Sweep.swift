import BlobEngine
import RepoBase
import Storage

// Steps 5 to 7 of docs/collection.md.
extension CollectionRun {
    func sweep() throws {
        let own = registration?.identifier
        let fenceAfter = collector.options.fenceAfter
        try arm(own)
        let (records, remains) = try GarbageRecord.all(repository)
        for name in remains { try GarbageRecord.remove(name, repository) }
        let census = try WriterCensus(repository, own: own, fenceAfter: fenceAfter)
        var waiting: Set<[UInt8]> = []
        var ready: [GarbageRecord] = []
        for record in records where record.swept == nil {
            guard let writers = record.writers else { continue }
            let present = try writers.filter { try !census.isGone($0) }
            if present.isEmpty {
                ready.append(record)
            } else {
                outcome.packsWaiting += record.packs.count
                waiting.formUnion(present)
            }
        }
        outcome.waitingFor = try waiting.sorted { $0.lexicographicallyPrecedes($1) }.map(census.describe)
        try delete(ready, alreadySwept: records.filter { $0.swept != nil })
        try finish()
        try removeStaleWriters(own)
        _ = try repository.store.removeAbandonedPuts(olderThan: .seconds(collector.options.minimumAge))
    }

    /// Dead writers that no record waits for are fenced as well, so that they are removed in their time.
    private func removeStaleWriters(_ own: [UInt8]?) throws {
        let fenceAfter = collector.options.fenceAfter
        let census = try WriterCensus(repository, own: own, fenceAfter: fenceAfter)
        for writer in census.others { _ = try census.isGone(writer) }
        try WriterCensus(repository, own: own, fenceAfter: fenceAfter).removeStale()
    }

    /// Step 5, for the own record and for any whose collector did not come to it. Writers are listed after the records were seen.
    private func arm(_ own: [UInt8]?) throws {
        let unarmed = try GarbageRecord.all(repository).records.filter {
            $0.writers == nil && $0.swept == nil
        }
        guard !unarmed.isEmpty else { return }
        let census = try WriterCensus(repository, own: own, fenceAfter: collector.options.fenceAfter)
        for record in unarmed { try GarbageRecord.add(.writers, record.name, census.others, repository) }
    }

    /// Step 6, for records whose writers are gone.
    private func delete(_ ready: [GarbageRecord], alreadySwept: [GarbageRecord]) throws {
        var swept = Set(alreadySwept.flatMap(\.packs))
        var due: [GarbageRecord] = []
        if !ready.isEmpty {
            // Snapshots before the index, and both after the writers were seen to be gone.
            let snapshots = try SnapshotCatalog(repository).names().ids
            let condemned = try repository.reloadIndex().condemned
            let isSafe = try isMarkingCurrent(snapshots, condemned: condemned) ? !mayNotSweep : rescue()
            // A record that vanished was finished by another collector.
            due = isSafe ? try unlocked(ready.filter { condemned.isSuperset(of: $0.packs) }) : []
        }
        swept.formUnion(due.flatMap(\.packs))
        try registration?.checkFence()
        if !due.isEmpty {
            try recordDeletion(due)
            try keepParity(leaving: Set(due.flatMap(\.packs)))
            try registration?.checkFence()
        }
        collector.begin(.indexing)
        let maintenance = IndexMaintenance(repository)
        let index = try repository.reloadIndex()
        try maintenance.removeReplaced(index)
        do {
            outcome.segmentsMerged += try maintenance.rewrite(index, without: swept)
        } catch let error as RepoError where error.code == .storeFull && !due.isEmpty {
            // No room for the new segments: the packs go first. The record stays until no segment names them, so nobody counts on them.
            due = try deletePacks(of: due)
            outcome.segmentsMerged += try maintenance.rewrite(try repository.reloadIndex(), without: swept)
        }
        guard !due.isEmpty else { return }
        due = try deletePacks(of: due)
        let census = try WriterCensus(
            repository, own: registration?.identifier, fenceAfter: collector.options.fenceAfter)
        for record in due { try GarbageRecord.add(.swept, record.name, census.others, repository) }
    }

    /// Records of which every pack may be deleted. The others stay as they are, condemned, until the last lock of theirs has ended: a record is swept as a whole.
    private func unlocked(_ records: [GarbageRecord]) throws -> [GarbageRecord] {
        guard repository.store.lock != nil else { return records }
        let now = try storeClock()
        let ledger = LockLedger(repository)
        defer { ledger.save() }
        return try records.filter { record in
            let packs = record.packs.compactMap { storedPacks[$0] }
            guard let last = try ledger.ends(of: packs).max(), last > now else { return true }
            outcome.packsLocked += packs.count
            outcome.bytesLocked += packs.reduce(0) { $0 + $1.size }
            outcome.lockedUntil = max(outcome.lockedUntil ?? last, last)
            return false
        }
    }

    /// Returns the records of which all is gone. Where locks are set, one may be refused for what nobody has asked about: a legal hold, or a version under the newest
    /// one that is still locked. It is swept again by later runs, and keeps no other from its end.
    private func deletePacks(of records: [GarbageRecord]) throws -> [GarbageRecord] {
        collector.begin(.sweeping)
        return try records.filter { record in
            do {
                try repository.store.purge(record.packs.map(PackObject.key))
                return true
            } catch let error as RepoError where error.code == .refused && repository.store.lock != nil {
                let bytes = record.packs.reduce(0) { $0 + (storedPacks[$1]?.size ?? 0) }
                outcome.packsLocked += record.packs.count
                outcome.bytesLocked += bytes
                outcome.packsDeleted -= min(outcome.packsDeleted, record.packs.count)
                outcome.bytesFreed -= min(outcome.bytesFreed, bytes)
                return false
            }
        }
    }

    /// Before the first deletion, so that none goes unrecorded; after a crash the rest is recorded again.
    private func recordDeletion(_ records: [GarbageRecord]) throws {
        var subjects: [String] = []
        var bytes: UInt64 = 0
        for pack in Set(records.flatMap(\.packs)).sorted() {
            guard let object = try repository.store.stat(PackObject.key(pack)) else { continue }
            subjects.append("\(object.key)")
            bytes += object.size
        }
        guard !subjects.isEmpty else { return }
        outcome.packsDeleted += subjects.count
        outcome.bytesFreed += bytes
        try journal(
            "prune: delete", subjects: subjects,
            details: [
                "\(bytes) bytes", "condemned in " + records.map { "gc/\($0.name)" }.joined(separator: ", "),
            ])
    }

    /// Step 7: records that nobody can want any more.
    private func finish() throws {
        let records = try GarbageRecord.all(repository).records.filter { $0.swept != nil }
        guard !records.isEmpty else { return }
        let census = try WriterCensus(
            repository, own: registration?.identifier, fenceAfter: collector.options.fenceAfter)
        let indexed = Set(try repository.reloadIndex().tables.flatMap { $0.packs.map(\.id) })
        for record in records {
            let isDone = try record.swept!.allSatisfy(census.isGone) && indexed.isDisjoint(with: record.packs)
            if isDone { try GarbageRecord.remove(record.name, repository) }
        }
        try repository.reloadIndex()
    }
}
