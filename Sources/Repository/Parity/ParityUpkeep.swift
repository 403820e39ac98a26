import BlobEngine
public import RepoBase
import Storage

/// What keeping parity up did.
public struct ParityOutcome: Hashable, Sendable {
    public var groupsMade = 0
    public var groupsDeleted = 0
    /// Bytes of packs that went into parity, or out of it.
    public var bytesCoded: UInt64 = 0
    /// Bytes of parity stored.
    public var bytesStored: UInt64 = 0
    /// Packs that are covered now.
    public var packsCovered = 0
    /// Packs that the index names and that do not read or are not there: no new parity counts on them, and what an old group knows of them is kept.
    public var packsDamaged: [ObjectID] = []

    public init() {}
}

/// Makes what parity lacks and deletes what nothing needs any more (docs/adr/0036-parity.md).
///
/// New groups are stored before old ones go, so at every moment a pack is covered as before or better. No step needs another process to wait: a run that is killed leaves
/// parity too much, which the next one deletes, and two at once do the same work twice.
public struct ParityUpkeep {
    private let repository: OpenRepository
    private let parity: UInt64?
    private let threads: Int
    private let onBytes: @Sendable (UInt64) -> Void

    /// Parity without a description is of a run under way, or of one that was killed when it is so old, in seconds.
    private static let abandonedAge: Int64 = 86_400
    private static let attempts = 8

    /// - Parameters:
    ///   - parity: bytes for 10,000 of packs; nil: none is kept, and all goes. As config says where it is left out.
    ///   - onBytes: told of bytes of packs as they are coded, on any thread.
    public init(
        _ repository: OpenRepository, parity: UInt64?? = nil, threads: Int = availableProcessors(),
        onBytes: @escaping @Sendable (UInt64) -> Void = { _ in }
    ) {
        self.repository = repository
        self.parity = parity ?? repository.keys.config.parity
        self.threads = threads
        self.onBytes = onBytes
    }

    /// - Parameters:
    ///   - leaving: packs that the caller is about to delete.
    ///   - readsParity: also reads all parity, and makes what is damaged anew.
    public func run(leaving: Set<ObjectID> = [], readsParity: Bool = false) throws -> ParityOutcome {
        guard let parity else { return try removeAll() }
        var outcome = ParityOutcome()
        var damaged: Set<ObjectID> = []
        var unreadable: Set<[UInt8]> = []
        for _ in 0..<Self.attempts {
            let catalog = try ParityCatalog(repository, readsAllCopies: readsParity)
            if readsParity { unreadable.formUnion(try ParityReading(repository, threads: threads).damagedGroups(catalog)) }
            let input = try ParityPlan.Input(repository, catalog, parity: parity, leaving: leaving, damaged: damaged, unreadable: unreadable)
            let plan = ParityPlan(input)
            var made: [ParityGroup] = []
            var isComplete = true
            for job in plan.jobs {
                do {
                    made.append(try make(job, &outcome))
                } catch let unusable as ParityEncoding.Unusable {
                    isComplete = false
                    damaged.formUnion(unusable.damaged)
                    if unusable.base, let base = job.base { unreadable.insert(base.id) }
                }
            }
            // What went away meanwhile, or does not read, changes the plan.
            guard isComplete else { continue }
            outcome.packsCovered = plan.covered.union(made.flatMap { $0.members.map(\.id) }).intersection(input.wanted.keys).count
            outcome.packsDamaged = input.wanted.keys.filter { damaged.contains($0) || !input.present.contains($0) }.sorted()
            try mendDescriptions(plan.kept)
            do {
                try delete(plan.needless(after: made), &outcome)
                if input.mayReplace { try deleteRemains(catalog) }
            } catch let error as RepoError where error.code == .refused && leaving.isEmpty {
                // Credentials that only add: whoever collects deletes it.
            }
            try SnapshotCopies(repository).update(catalog, mayDelete: input.mayReplace, verifies: readsParity)
            return outcome
        }
        throw RepoError(.failed, "packs came and went at each of \(Self.attempts) attempts to make parity of them", advice: "Run 'repo parity update' later.")
    }

    private func make(_ job: ParityEncoding.Job, _ outcome: inout ParityOutcome) throws -> ParityGroup {
        let bytes = Monitor<UInt64>(0)
        let encoding = ParityEncoding(repository: repository, threads: threads) { [onBytes] count in
            bytes.withLock { $0 += count }
            onBytes(count)
        }
        let group = try encoding.run(job)
        outcome.groupsMade += 1
        outcome.bytesCoded += bytes.withLock { $0 }
        outcome.bytesStored += group.parityBytes
        return group
    }

    /// Puts back copies of descriptions that are missing or damaged.
    private func mendDescriptions(_ entries: [ParityCatalog.Entry]) throws {
        for entry in entries where entry.descriptions.count < ParityObject.descriptionCopies {
            guard let good = entry.descriptions.min() else { continue }
            let bytes: [UInt8]
            do {
                bytes = try repository.store.get(ParityObject.description(entry.group.id, copy: good), atMost: SealedRecord.byteLimit)
            } catch let error as RepoError where error.code == .notFound {
                continue  // Another run has deleted the group.
            }
            for copy in 0..<ParityObject.descriptionCopies where !entry.descriptions.contains(copy) {
                try repository.store.put(ParityObject.description(entry.group.id, copy: copy), bytes, .replace)
            }
        }
    }

    /// Descriptions first: what is left without one is no group any more.
    private func delete(_ entries: [ParityCatalog.Entry], _ outcome: inout ParityOutcome) throws {
        for entry in entries {
            let id = entry.group.id
            try repository.store.delete((0..<ParityObject.descriptionCopies).map { ParityObject.description(id, copy: $0) })
            try repository.store.delete((0..<entry.group.parityCount).map { ParityObject.shard(id, row: $0) })
            outcome.groupsDeleted += 1
        }
    }

    private func deleteRemains(_ catalog: ParityCatalog) throws {
        let now = JournalStamp.now().time
        for remains in catalog.remains where now - remains.modified >= Self.abandonedAge { try repository.store.delete(remains.keys) }
    }

    /// After a snapshot that stored no pack: a second copy of its own object.
    public func cover(_ snapshot: ObjectID) throws {
        if parity != nil { try SnapshotCopies(repository).copy(snapshot) }
    }

    private func removeAll() throws -> ParityOutcome {
        _ = try repository.keys.requireFull("delete parity")
        var outcome = ParityOutcome()
        let catalog = try ParityCatalog(repository)
        try delete(catalog.entries, &outcome)
        for remains in catalog.remains { try repository.store.delete(remains.keys) }
        try repository.store.delete(catalog.snapshotCopies.keys.map(ParityObject.snapshotCopy))
        return outcome
    }
}
