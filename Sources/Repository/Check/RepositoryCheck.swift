import BlobEngine
public import RepoBase
import Storage

/// Verifies a repository: that everything its snapshots need is there and, where asked, that it reads.
///
/// Reads only, but for the packs of writers that a full key has verified in whole: those it vouches for in a segment of its own
/// (design, signatures); and for a change of keys that was interrupted, which it finishes.
public struct RepositoryCheck {
    public struct Options: Sendable {
        /// Which packs are read in whole; nil: none.
        public var data: DataSubset?
        /// Only what the snapshots of this source need.
        public var source: String?
        /// Only what these snapshots need; nil: no such bound. One that is gone is passed over.
        public var snapshots: Set<ObjectID>?
        /// Packs in archival tiers are read as well, where they were brought back.
        public var readsArchived = false
        public var threads = availableProcessors()
        /// A full key vouches for what writers stored and it has verified.
        public var endorsesPacks = true
        /// When the check is made, for people: seconds since 1970.
        public var time = SystemClock.now().seconds

        public init() {}

        /// Whether everything is looked at, rather than what some snapshots need.
        public var isWhole: Bool { source == nil && snapshots == nil }
    }

    private let repository: OpenRepository
    private let options: Options
    private let progress: CheckProgress

    public init(
        _ repository: OpenRepository, options: Options = Options(), progress: CheckProgress = CheckProgress()
    ) {
        self.repository = repository
        self.options = options
        self.progress = progress
    }

    private static let attempts = 3

    /// Damage is in the report. Throws `.wrongKey` for a writer key, `.usage` for a source without snapshots, and what the store throws when
    /// it fails.
    ///
    /// Memory: 2 bits for each blob of the index, with data 16 bytes for each delta, and about 150 MB of buffers.
    public func run() throws -> CheckReport {
        try repository.requireReading("check a repository")
        repository.acceptPartialIndex()
        var attempt = 1
        while true {
            let segments = try repository.reloadIndex().segments
            let report = try runOnce()
            guard !report.isClean, attempt < Self.attempts else { return report }
            // A collector may have moved blobs while this looked for them.
            if try repository.reloadIndex().segments == segments { return report }
            attempt += 1
        }
    }

    private func runOnce() throws -> CheckReport {
        var objects = ObjectCheck(repository)
        try objects.run()
        var report = CheckReport()
        report.objects = objects.objects
        report.errors = objects.errors
        report.hasFinishedKeyChange = objects.hasFinishedKeyChange
        let snapshots = try selected(objects.snapshots)
        let numbering = PackNumbering(try repository.reloadIndex())

        var presence = PackPresence(numbering)
        try presence.run(repository)
        report.objects += presence.objects
        report.unindexedPacks = presence.unindexed
        var structure = StructureCheck(repository, numbering, progress)
        try structure.run(snapshots)
        report.blobs = structure.blobs

        var findings = DataCheck.Findings()
        if let data = options.data {
            let packs = try packsToRead(data, numbering, presence, structure, &report)
            let check = DataCheck(
                repository, numbering, packs: packs, threads: options.threads, progress: progress)
            findings = try check.run()
            report.blobs = findings.blobs
            report.bytesRead = findings.bytesRead
            let whole = packs.filter { isWhole($0, findings) }
            report.halfVerifiedPacks = UInt64(findings.halfVerified.count)
            report.verifiedPacks = UInt64(whole.count)
            report.coverage = VerificationLedger(repository).record(
                verified: whole.map { numbering.packs[Int($0)].id },
                failed: Set(packs).subtracting(whole).map { numbering.packs[Int($0)].id }, subset: data,
                present: presence.indexed(numbering), at: options.time
            ) { repository.cacheFailed($0, "what this check has verified is not remembered, so the next part begins where this one did") }
            if options.endorsesPacks, objects.errors.isEmpty, !repository.store.isReadOnly {
                report.endorsedPacks = try PackEndorsement(repository).endorse(
                    Set(whole.map { numbering.packs[Int($0)].id }))
            }
        }
        report.errors += try packErrors(numbering, presence, findings, structure, snapshots)
        var readsAll = false
        if case .all = options.data { readsAll = true }
        if readsAll, isWhole { report.errors += try strayErrors(presence.unindexed, &report) }
        if let parity = try ParityCheck(repository, threads: options.threads).run(readsData: readsAll && isWhole, errors: report.errors) {
            report.objects += parity.objects
            report.bytesRead += parity.bytesRead
            report.errors += parity.damages
            report.parity = parity
        }
        return report
    }

    /// Packs that no index segment names are those of a snapshot under way, or of one that was interrupted: whole, as every put is. What does not match
    /// its name is something else, or damage.
    private func strayErrors(_ packs: [ObjectID], _ report: inout CheckReport) throws -> [Damage] {
        var errors: [Damage] = []
        for id in packs {
            let key = PackObject.key(id)
            do {
                let bytes = try repository.store.get(key, atMost: Int.max - 1)
                report.bytesRead += UInt64(bytes.count)
                guard ObjectHasher.hash(bytes) != id else { continue }
            } catch let error as RepoError where error.code == .notFound || error.code == .archived {
                continue  // A prune took it since it was listed, or nobody can tell now.
            }
            errors.append(
                Damage(object: "\(key)", kind: .pack, problem: "its content does not match its name; no index segment names it, and a prune removes it"))
        }
        return errors
    }

    /// Whether everything is looked at.
    private var isWhole: Bool { options.isWhole }

    private func selected(_ snapshots: [SnapshotCatalog.Entry]) throws -> [SnapshotCatalog.Entry] {
        let snapshots = options.snapshots.map { wanted in snapshots.filter { wanted.contains($0.id) } } ?? snapshots
        guard let source = options.source else { return snapshots }
        let selected = snapshots.filter { $0.snapshot.source == source }
        guard !selected.isEmpty else {
            throw RepoError(
                .usage, "there is no snapshot of source '\(source)'",
                advice: "'repo snapshots' lists what there is.")
        }
        return selected
    }

    private func packsToRead(
        _ data: DataSubset, _ numbering: PackNumbering, _ presence: PackPresence, _ structure: StructureCheck, _ report: inout CheckReport
    ) throws -> [UInt32] {
        var packs = presence.indexed(numbering)
        if !isWhole {
            let needed = structure.neededPacks()
            packs = packs.filter { needed[Int($0.number)] }
        }
        let archived = try archived(packs)
        for pack in packs where archived.contains(pack.number) {
            report.archivedPacks += 1
            report.archivedBytes += pack.size
        }
        packs.removeAll { archived.contains($0.number) }
        return VerificationLedger(repository).choose(data, from: packs).map(\.number).sorted()
    }

    /// Those of the packs that cannot be read, or are not to be. A request for each archived one where it may have been brought back.
    private func archived(_ packs: [PackPresence.Indexed]) throws -> Set<UInt32> {
        let archived = packs.filter(\.isArchived)
        guard options.readsArchived else { return Set(archived.map(\.number)) }
        let left = Monitor<Set<UInt32>>([])
        try ParallelWork.run(archived.count, threads: ThawedPacks.threads, worker: {}) { [repository] number, _ in
            guard try repository.store.stat(PackObject.key(archived[number].id))?.availability != .ready else { return }
            left.withLock { _ = $0.insert(archived[number].number) }
        }
        return left.withLock { $0 }
    }

    private func isWhole(_ pack: UInt32, _ findings: DataCheck.Findings) -> Bool {
        findings.packProblems[pack] == nil && !findings.missingPacks.contains(pack) && !findings.halfVerified.contains(pack)
            && !findings.badCopies.contains { $0.key.pack == pack }
    }

    /// What is wrong with packs and blobs, and whom it hurts.
    private func packErrors(
        _ numbering: PackNumbering, _ presence: PackPresence, _ findings: DataCheck.Findings,
        _ structure: StructureCheck, _ snapshots: [SnapshotCatalog.Entry]
    ) throws -> [Damage] {
        let missing = presence.missing.union(findings.missingPacks)
        guard
            !missing.isEmpty || !presence.wrongSize.isEmpty || !findings.packProblems.isEmpty
                || !findings.badCopies.isEmpty || structure.hasProblems
        else { return [] }
        // Without data, a pack of another size than it should have may have lost anything.
        let doubtful = presence.wrongSize.keys.filter { findings.packProblems[$0] == nil }
        var map = DamageMap(
            repository, numbering, badPacks: missing.union(doubtful), badCopies: Set(findings.badCopies.keys))
        try map.walk(snapshots)

        var errors: [String: Damage] = [:]
        func add(_ pack: UInt32, _ problem: String) {
            let object = "\(PackObject.key(numbering.packs[Int(pack)].id))"
            if errors[object] == nil {
                errors[object] = Damage(object: object, kind: .pack, problem: problem)
            } else {
                errors[object]?.problem += "; \(problem)"
            }
        }
        // A collector deletes condemned packs after it has copied what is needed of them.
        for pack in missing where !numbering.view.condemned.contains(numbering.packs[Int(pack)].id) {
            add(pack, "it is missing")
        }
        for (pack, problem) in presence.wrongSize where findings.packProblems[pack] == nil {
            add(pack, problem)
        }
        for (pack, problems) in findings.packProblems { add(pack, problems.joined(separator: "; ")) }
        for (pack, copies) in Dictionary(grouping: findings.badCopies, by: \.key.pack) {
            if let problem = BadBlobs.describe(copies.map(\.value)) { add(pack, problem) }
        }
        for (object, harm) in map.harm {
            if errors[object] == nil {
                let isPack = object.hasPrefix(PackObject.prefix)
                errors[object] = Damage(
                    object: object, kind: isPack ? .pack : .blob,
                    problem: map.flaws[object] ?? (isPack ? "a blob in it does not read" : "no index segment names it"))
            }
            errors[object]?.snapshots = harm.snapshots
            errors[object]?.paths = harm.paths
        }
        return errors.values.sorted { $0.object < $1.object }
    }
}

/// Words for the damaged blobs of a pack.
enum BadBlobs {
    /// Nil when all are deltas that lack a base: that is the damage of the base's pack, whose harm covers them. Those that nobody needs
    /// are what a repair leaves for a prune.
    static func describe(_ blobs: [DataCheck.BadBlob]) -> String? {
        let own = blobs.filter { !$0.lacksBase }.sorted { $0.id < $1.id }
        guard let first = own.first else { return nil }
        let text = "blob \(first.id): \(first.problem)"
        return own.count == 1 ? text : "\(own.count) blobs do not read, the first: \(text)"
    }
}

extension OpenRepository {
    /// Throws `.wrongKey` for a key that can write and not read; `what` as in "check a repository".
    func requireReading(_ what: String) throws(RepoError) {
        guard keys.role == .full else {
            throw RepoError(
                .wrongKey, "a writer key cannot \(what)",
                advice: "Use a password or a machine key with the role 'full'.")
        }
    }
}
