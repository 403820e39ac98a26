import BlobEngine
import RepoBase
import Storage

/// One run of a collector.
final class CollectionRun {
    let collector: Collector
    let repository: OpenRepository
    let registration: WriterRegistration?
    var outcome = CollectionOutcome()

    /// Snapshots that were marked from, and packs that counted as absent then.
    private var markedSnapshots: Set<ObjectID> = []
    private var absentPacks: Set<ObjectID> = []
    /// What only condemned packs hold could not be copied, so none may be swept.
    private var isBlocked = false
    /// Packs in the store when the run began, and later those that it has listed since.
    private(set) var storedPacks: [ObjectID: StoredObject] = [:]
    /// Copies that were stored when space ran out, and that no index segment names.
    private var unfinishedCopies: [PackRecord] = []

    init(_ collector: Collector, _ repository: OpenRepository, registration: WriterRegistration?) {
        self.collector = collector
        self.repository = repository
        self.registration = registration
    }

    // MARK: The steps

    func plan() throws -> CollectionOutcome {
        let (marking, plan, unindexed) = try choose()
        describe(plan, unindexed, marking)
        outcome.packsCondemned = outcome.condemned.count
        outcome.bytesFreed = outcome.condemned.reduce(0) { $0 + $1.size }
        outcome.bytesRewritten = plan.rewritten.reduce(0) { $0 + marking.packs.uses[$1.pack].liveBytes }
        outcome.packsRewritten = plan.rewritten.count
        outcome.packsWaiting = marking.index.condemned.count
        let census = try WriterCensus(repository, own: nil, fenceAfter: collector.options.fenceAfter)
        outcome.waitingFor = try census.others.map(census.describe)
        return outcome
    }

    func run() throws -> CollectionOutcome {
        try goThrough()
        // What was freed without copying anything may be the room that copying lacked.
        while outcome.ranOutOfSpace, outcome.packsDeleted > 0, !isBlocked {
            let deleted = outcome.packsDeleted
            outcome.ranOutOfSpace = false
            try goThrough()
            if outcome.packsDeleted == deleted { break }
        }
        // Where nothing was deleted, packs may have come all the same.
        if outcome.parity == nil { try keepParity(leaving: []) }
        return outcome
    }

    /// Covers what stays, before packs go: until the new groups are there the old ones need them.
    func keepParity(leaving: Set<ObjectID>) throws {
        guard repository.keys.config.parity != nil else { return }
        collector.begin(.protecting)
        do {
            outcome.parity = try ParityUpkeep(repository).run(leaving: leaving)
        } catch let error as RepoError where error.code == .storeFull {
            // Packs go all the same, or there would never be room.
            outcome.parity = ParityOutcome()
            outcome.problems.append("there is no room for the parity of what stays: \(error.message). Run 'repo parity update' when there is")
        }
    }

    private func goThrough() throws {
        let (marking, plan, unindexed) = try choose()
        let stuck = try copy(marking, plan)
        try condemn(marking, plan, unindexed, except: stuck)
        try sweep()
    }

    /// Steps 1 to 3: what is there, what is needed, what goes.
    private func choose() throws -> (Marking, CollectionPlan, [StoredObject]) {
        // Packs before the index: one that is stored and indexed in between counts as indexed.
        try listPacks()
        let marking = try mark()
        let plan = CollectionPlan(
            marking.packs, maximumUnused: collector.options.maximumUnused, epoch: repository.keys.currentEpoch.epoch,
            endsRotation: collector.options.endsRotation,
            isArchived: { [storedPacks, rewrites = collector.options.rewritesArchived] in
                !rewrites && storedPacks[$0].map { $0.availability != .ready } ?? false
            })
        outcome.packsLeftArchived = plan.leftArchived
        outcome.blobsLive = marking.liveBlobs
        outcome.blobsDead = marking.deadBlobs
        outcome.bytesUnused = plan.unusedBytes
        let now = try storeClock()
        let unindexed = storedPacks.values.filter { object in
            guard let id = PackObject.id(object.key) else { return false }
            return marking.packs.numbers[id] == nil && !marking.index.condemned.contains(id)
                && now - object.modified >= collector.options.minimumAge
        }
        return (marking, plan, unindexed.sorted { $0.key < $1.key })
    }

    private func listPacks() throws {
        storedPacks = [:]
        try repository.store.list(PackObject.prefix) { object in
            if let id = PackObject.id(object.key) { storedPacks[id] = object }
        }
    }

    /// The store's clock, read off the own registration; this machine's in a dry run.
    func storeClock() throws -> Int64 {
        guard let registration else { return JournalStamp.now().time }
        return try repository.store.stat(registration.key)?.modified ?? JournalStamp.now().time
    }

    /// Marks from all snapshots that there are now. An index that was listed while another collector replaced a segment may lack it; so what
    /// is missing is looked for once more.
    func mark() throws -> Marking {
        collector.begin(.marking)
        do {
            return try markOnce()
        } catch let error as RepoError where error.code == .damaged || error.code == .notFound {
            return try markOnce()
        }
    }

    private func markOnce() throws -> Marking {
        // Snapshots before the index, which then has all that they need.
        let absent = collector.options.isDryRun ? collector.options.withoutSnapshots : []
        let entries = try SnapshotCatalog(repository).all()
        // What a hidden snapshot needs would go for good.
        try repository.requireNothingMissing(to: "delete what no snapshot needs")
        let counted = entries.filter { !absent.contains($0.id) }
        let index = try repository.reloadIndex()
        // Packs after both: those that another collector has swept meanwhile must not count as there.
        let stored = try PackObject.all(in: repository.store)
        let packs = PackCensus(index, repository) { stored.contains($0) }
        var marking = Marking(index, packs)
        try marking.reach(counted.map(\.snapshot.root), repository)
        try marking.choose()
        markedSnapshots = Set(counted.map(\.id))
        absentPacks = index.condemned
        return marking
    }

    /// Copies what is needed of packs that go. Returns those of which not all could be read.
    private func copy(_ marking: Marking, _ plan: CollectionPlan) throws -> Set<Int> {
        guard !plan.rewritten.isEmpty || !marking.rescues.isEmpty else { return [] }
        collector.begin(.copying)
        var copying = BlobCopying(repository, marking)
        do {
            try copying.run(from: Set(plan.rewritten.map(\.pack)), rescues: marking.rescues)
        } catch let error as RepoError where error.code == .storeFull {
            outcome.ranOutOfSpace = true
            unfinishedCopies = copying.unindexed
            // What only condemned packs hold is still to be copied.
            isBlocked = isBlocked || !marking.rescues.isEmpty
            return Set(plan.rewritten.map(\.pack))
        }
        outcome.bytesRewritten += copying.bytes
        note(copying, marking)
        return Set(copying.failures.keys)
    }

    private func note(_ copying: BlobCopying, _ marking: Marking) {
        for (number, error) in copying.failures.sorted(by: { $0.key < $1.key }) {
            let use = marking.packs.uses[number]
            outcome.problems.append("\(PackObject.key(use.pack.id)) is kept: \(error.message)")
            if use.isCondemned || !use.isPresent { isBlocked = true }
        }
    }

    private func describe(
        _ plan: CollectionPlan, _ unindexed: [StoredObject], _ marking: Marking, except stuck: Set<Int> = []
    ) {
        for choice in plan.dead + plan.rewritten where !stuck.contains(choice.pack) {
            let pack = marking.packs.uses[choice.pack].pack
            outcome.condemned.append(
                CondemnedPack(object: "\(PackObject.key(pack.id))", size: pack.size, reason: choice.reason))
        }
        for object in unindexed {
            outcome.condemned.append(
                CondemnedPack(object: "\(object.key)", size: object.size, reason: "no index segment names it")
            )
        }
    }

    /// Step 4. Arming, step 5, belongs to the sweep, which does it for every record.
    private func condemn(
        _ marking: Marking, _ plan: CollectionPlan, _ unindexed: [StoredObject], except stuck: Set<Int>
    ) throws {
        let before = outcome.condemned.count
        describe(plan, unindexed, marking, except: stuck)
        for pack in unfinishedCopies {
            outcome.condemned.append(
                CondemnedPack(
                    object: "\(PackObject.key(pack.id))", size: pack.size, reason: "a copy that was begun when space ran out"))
        }
        unfinishedCopies = []
        outcome.packsRewritten += plan.rewritten.count { !stuck.contains($0.pack) }
        outcome.packsCondemned = outcome.condemned.count
        let condemned = outcome.condemned[before...]
        guard !condemned.isEmpty else { return }
        collector.begin(.condemning)
        try registration?.checkFence()
        let packs = condemned.compactMap { PackObject.id(StoreKey($0.object)) }
        let record = try GarbageRecord.condemn(packs, repository)
        absentPacks.formUnion(packs)
        try journal(
            "prune: condemn", subjects: condemned.map(\.object),
            details: ["in gc/\(record)"]
                + condemned.map { "\($0.object), \($0.size) bytes: \($0.reason)" })
    }

    /// Whether the last marking says all about what may be deleted: no snapshot has appeared since, and no pack was condemned by others, on
    /// which it may have counted.
    func isMarkingCurrent(_ snapshots: [ObjectID], condemned: Set<ObjectID>) -> Bool {
        markedSnapshots.isSuperset(of: snapshots) && absentPacks.isSuperset(of: condemned)
    }

    /// Step 6a: copies what snapshots need and only condemned packs hold. False when something could not be copied.
    func rescue() throws -> Bool {
        let marking = try mark()
        if !marking.rescues.isEmpty {
            collector.begin(.copying)
            var copying = BlobCopying(repository, marking)
            try copying.run(from: [], rescues: marking.rescues)
            outcome.bytesRewritten += copying.bytes
            note(copying, marking)
        }
        return !isBlocked
    }

    var mayNotSweep: Bool { isBlocked }

    /// Several entries where the list is long.
    func journal(_ action: String, subjects: [String], details: [String]) throws {
        let limit = 50_000
        for start in stride(from: 0, to: max(1, subjects.count), by: limit) {
            try Journal.append(
                to: repository.store, by: repository.keys, .now(), action: action,
                subjects: Array(subjects[start..<min(subjects.count, start + limit)]),
                details: start == 0 ? Array(details.prefix(limit)) : [])
        }
    }
}
