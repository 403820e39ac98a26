import BlobEngine
public import RepoBase
import Storage

/// Copies snapshots from one repository to another (docs/copies.md): to a twin as they are, to any other sealed anew with its keys and under its
/// ids. A writer in both repositories, so that no collection takes what it reads or has just sent.
///
/// A snapshot appears in the other repository after all that it needs is durable there. Killed at any moment, it leaves packs that the next run
/// takes up.
public final class RepositoryCopy {
    private let source: OpenRepository
    private let destination: OpenRepository
    private let isDryRun: Bool
    private let progress: CopyProgress
    private let onStep: (String) -> Void
    private let onUnregistered: (RepoError) -> Void
    private let twinKeys: TwinKeys

    /// - Parameters:
    ///   - isDryRun: says what would be done as far as that is known without doing it; nothing is written.
    ///   - onStep: told in words of each step, for people.
    ///   - onUnregistered: told why this run could not register where it reads, before anything is sent.
    public init(
        from source: OpenRepository, to destination: OpenRepository, isDryRun: Bool = false, progress: CopyProgress = CopyProgress(),
        onStep: @escaping (String) -> Void = { _ in }, onUnregistered: @escaping (RepoError) -> Void = { _ in }
    ) {
        (self.source, self.destination, self.isDryRun, self.progress) = (source, destination, isDryRun, progress)
        (self.onStep, self.onUnregistered) = (onStep, onUnregistered)
        twinKeys = TwinKeys(from: source, to: destination)
    }

    public var isTwin: Bool { source.keys.repositoryID == destination.keys.repositoryID }

    /// What must hold before anything is done: full keys of both, and two places. Brings a twin's keys up to date.
    public func prepare() throws {
        try source.requireFullKey("copy snapshots, since it reads none")
        try destination.requireFullKey("take copies, since it reads no snapshot")
        guard source.store.location != destination.store.location else {
            throw RepoError(.usage, "\(source.store.location) cannot be copied to itself", advice: "Name another repository with --to.")
        }
        if isTwin, !isDryRun { try twinKeys.bring() }
    }

    /// What a copy of `entries` reads here of packs in archival tiers, without changing anything. Costs one listing, and where anything is archived what planning the
    /// copy costs.
    public func archivedPacks(_ entries: [SnapshotCatalog.Entry]) throws -> ThawedPacks {
        try source.reloadIndex()
        var packs = try ThawedPacks(source)
        guard !packs.isEmpty else { return packs }
        try destination.reloadIndexToRestOn()
        let present = try PresentCopies(destination, isTwin: isTwin)
        let wanted = entries.filter { present.copy(of: $0, from: source.keys.repositoryID) == nil }
        guard !isTwin else {
            var plan = try PackPlan(source, lacking: try destination.index())
            let reader = BlobReader(source)
            for (number, entry) in wanted.enumerated() {
                do { try plan.add(entry.snapshot.root, number: number, reader: reader) } catch let error as RepoError where error.code == .damaged {}
            }
            let stored = try PackObject.all(in: destination.store)
            for id in plan.needs.keys where !stored.contains(id) { packs.add(pack: id) }
            return packs
        }
        // What the copy of the snapshot before has is found there without being read (docs/copies.md).
        let pairs = present.pairs(with: try SnapshotCatalog(source).all(onProblem: { _, _ in }), of: source.keys.repositoryID)
        for (line, entries) in Dictionary(grouping: wanted, by: { "\($0.snapshot.host)\0\($0.snapshot.source)" }) {
            try packs.pass(over: pairs[line]?.source)
            for entry in entries { try packs.add(entry.snapshot.root) }
        }
        return packs
    }

    /// Copies `entries` and what they need. One that cannot be copied is named in the outcome and keeps no other from being copied; what concerns
    /// the other repository is thrown.
    public func run(_ entries: [SnapshotCatalog.Entry]) throws -> CopyOutcome {
        var outcome = CopyOutcome()
        outcome.snapshots = entries.count
        guard !isDryRun else {
            try copy(entries, &outcome, registration: nil)
            return outcome
        }
        // Here first: from now on no sweep of either repository goes on without this run. The past is swept by nobody.
        let reading = try registerAsReader()
        defer { reading?.end() }
        let registration = try WriterRegistration.begin(destination)
        defer { registration.end() }
        try copy(entries, &outcome, registration: registration)
        return outcome
    }

    /// Nil where nothing can be stored: in the past, which nobody sweeps, and on a store that is mounted read-only, is full, or gives these credentials no right to
    /// write. A prune from elsewhere may then take what is read, as it may beside a restore: what lacks it is not copied, and named.
    private func registerAsReader() throws -> WriterRegistration? {
        guard !source.store.isReadOnly else { return nil }
        do {
            return try WriterRegistration.begin(source)
        } catch let error as RepoError {
            guard error.code == .failed || error.code == .storeFull else { throw error }
            onUnregistered(error)
            return nil
        }
    }

    private func copy(_ entries: [SnapshotCatalog.Entry], _ outcome: inout CopyOutcome, registration: WriterRegistration?) throws {
        try source.reloadIndex()
        // What is condemned later waits for this run, and is kept for the sake of what it publishes.
        let condemned = try destination.reloadIndexToRestOn().condemned
        if let registration, !isTwin {
            outcome.bytesSent += try OrphanedPacks(destination).adopt(registration: registration)
        }
        // After the index was loaded: one that is there now keeps what it needs from having been condemned before (docs/copies.md).
        let present = try PresentCopies(destination, isTwin: isTwin)
        let wanted = entries.sorted { ($0.snapshot.time, $0.id) < ($1.snapshot.time, $1.id) }.filter { entry in
            present.copy(of: entry, from: source.keys.repositoryID) == nil
        }
        outcome.snapshotsPresent = entries.count - wanted.count
        if isTwin {
            try sendToTwin(wanted, &outcome, registration)
        } else {
            try sealAnew(wanted, present, &outcome, registration)
        }
        guard !isDryRun else { return }
        try copyHolds(entries, present, outcome.copied)
        if !outcome.copied.isEmpty {
            onStep("comparing")
            outcome.blobsCompared = try CopyComparison(source, destination, condemnedBefore: condemned).run(outcome.copied)
        }
    }

    // MARK: Twins

    private func sendToTwin(_ entries: [SnapshotCatalog.Entry], _ outcome: inout CopyOutcome, _ registration: WriterRegistration?) throws {
        let index = try destination.index()
        var plan = try PackPlan(source, lacking: index)
        let reader = BlobReader(source)
        var failed: Set<ObjectID> = []
        onStep("finding what is missing there")
        for (number, entry) in entries.enumerated() {
            do {
                try plan.add(entry.snapshot.root, number: number, reader: reader)
            } catch let error as RepoError where error.code == .damaged {
                failed.insert(entry.id)
                outcome.failures.append((entry.id, error))
            }
        }
        let transfer = PackTransfer(
            source: source, destination: destination, registration: registration, progress: progress, index: index,
            stored: try PackObject.all(in: destination.store), keys: twinKeys)
        let bytes = transfer.estimate(plan)
        guard let registration else {
            outcome.bytesSent = bytes
            outcome.copied = entries.filter { !failed.contains($0.id) }.map { ($0.id, $0.id) }
            return
        }
        progress.update { $0.bytesToSend = bytes }
        onStep("sending")
        var isBroken = false
        for (number, entry) in entries.enumerated() {
            do {
                try transfer.send(plan, number: number, outcome: &outcome)
            } catch let error as RepoError where error.code == .damaged && !isOfDestination(error) || error.code == .notFound {
                // Others may need the same pack; from here on each is gone through there before it is published.
                isBroken = true
                if failed.insert(entry.id).inserted { outcome.failures.append((entry.id, error)) }
            }
            guard !failed.contains(entry.id) else { continue }
            if isBroken, !Reachability.isConfirmed(entry.snapshot.root, destination) {
                outcome.failures.append(
                    (entry.id, RepoError(.damaged, "snapshot \(entry.id.short) needs what could not be sent", advice: "Run 'repo check' here.")))
                continue
            }
            // One that was let go here since it was listed is not wanted there any more.
            guard let bytes = try self.bytes(entry.id) else { continue }
            try twinKeys.bring()
            guard ObjectHasher.hash(bytes) == entry.id else {
                outcome.failures.append(
                    (entry.id, .damaged("\(SnapshotObject.key(entry.id))", "its content does not match its name")))
                continue
            }
            try publish(bytes, id: entry.id, root: entry.snapshot.root, registration)
            outcome.bytesSent += UInt64(bytes.count)
            outcome.copied.append((entry.id, entry.id))
            progress.update { $0.snapshots += 1 }
        }
    }

    /// Nil for one that was let go.
    private func bytes(_ snapshot: ObjectID) throws -> [UInt8]? {
        do {
            return try source.store.get(SnapshotObject.key(snapshot), atMost: SnapshotObject.maximumSize)
        } catch let error as RepoError where error.code == .notFound {
            return nil
        }
    }

    private func isOfDestination(_ error: RepoError) -> Bool { error.message.contains(" in \(destination.store.location) ") }

    /// As `SnapshotWriter.commit` does.
    private func publish(_ bytes: [UInt8], id: ObjectID, root: BlobID, _ registration: WriterRegistration) throws {
        let key = SnapshotObject.key(id)
        try registration.checkFence()
        do {
            try destination.store.put(key, bytes, .create)
        } catch let error as RepoError where error.code == .conflict {
            return  // Another copy was faster.
        }
        guard try registration.isFenced(), !Reachability.isConfirmed(root, destination) else { return }
        try destination.store.delete(key)
        throw RepoError(
            .failed, "this copy was silent for so long that a prune of \(destination.store.location) no longer waited for it",
            advice: "Copy again; raise 'prune --fence-after' there when copies take that long.")
    }

    // MARK: Others

    private func sealAnew(
        _ entries: [SnapshotCatalog.Entry], _ present: PresentCopies, _ outcome: inout CopyOutcome, _ registration: WriterRegistration?
    ) throws {
        guard let registration else {
            outcome.copied = entries.map { ($0.id, $0.id) }
            return
        }
        var pairs = present.pairs(with: try SnapshotCatalog(source).all(onProblem: { _, _ in }), of: source.keys.repositoryID)
        let known = KnownBlobs()
        for entry in entries {
            let line = "\(entry.snapshot.host)\0\(entry.snapshot.source)"
            onStep("snapshot \(entry.id.short) of \(entry.snapshot.source)")
            let sealing = try SnapshotSealing(source, destination, known: known, progress: progress)
            do {
                let root = try sealing.copy(entry.snapshot.root, earlier: pairs[line])
                try registration.checkFence()
                try sealing.sink.output.finish()
                var snapshot = entry.snapshot
                snapshot.root = root
                snapshot.origin = CopyOrigin(of: entry, in: source.keys.repositoryID)
                snapshot.parent = entry.snapshot.parent.flatMap { present.id(of: $0, from: source.keys.repositoryID, outcome.copied) }
                snapshot.repairs = nil
                let bytes = try SnapshotCodec.encode(
                    snapshot, epoch: destination.keys.currentEpoch, signer: destination.keys.signer)
                let id = ObjectHasher.hash(bytes)
                try publish(bytes, id: id, root: root, registration)
                outcome.bytesSent += sealing.sink.output.statistics.objectBytes + UInt64(bytes.count)
                outcome.blobsSealed += sealing.sink.output.statistics.blobs
                outcome.copied.append((entry.id, id))
                pairs[line] = (entry.snapshot.root, root)
                progress.update { $0.snapshots += 1 }
            } catch let error as RepoError where error.code == .damaged {
                if (try? registration.isFenced()) == false { sealing.sink.output.abandon() } else { sealing.sink.output.close() }
                known.forget()
                outcome.failures.append((entry.id, error))
            } catch {
                if (try? registration.isFenced()) == false { sealing.sink.output.abandon() } else { sealing.sink.output.close() }
                throw error
            }
        }
    }

    // MARK: Healing

    /// Sends what snapshots that are there lack there: what a check found damaged, and a repair has taken out. Returns those that could not be
    /// completed. Nothing is published.
    func fill(
        _ pairs: [(here: SnapshotCatalog.Entry, there: SnapshotCatalog.Entry)], _ bytes: inout UInt64
    ) throws -> [(ObjectID, RepoError)] {
        let reading = try registerAsReader()
        defer { reading?.end() }
        let registration = try WriterRegistration.begin(destination)
        defer { registration.end() }
        try source.reloadIndex()
        try destination.reloadIndexToRestOn()
        var failures: [(ObjectID, RepoError)] = []
        if isTwin {
            var outcome = CopyOutcome()
            var plan = try PackPlan(source, lacking: try destination.index())
            let reader = BlobReader(source)
            for (number, pair) in pairs.enumerated() {
                do {
                    try plan.add(pair.there.snapshot.root, number: number, reader: reader)
                } catch let error as RepoError where error.code == .damaged {
                    failures.append((pair.here.id, error))
                }
            }
            let transfer = PackTransfer(
                source: source, destination: destination, registration: registration, progress: progress,
                index: try destination.index(), stored: try PackObject.all(in: destination.store), keys: nil)
            for number in pairs.indices {
                do {
                    try transfer.send(plan, number: number, outcome: &outcome)
                } catch let error as RepoError where error.code == .damaged {
                    failures.append((pairs[number].here.id, error))
                }
            }
            bytes += outcome.bytesSent
            return failures
        }
        let known = KnownBlobs()
        for pair in pairs {
            let sealing = try SnapshotSealing(source, destination, known: known, looksAtEach: true, progress: progress)
            do {
                let root = try sealing.copy(pair.there.snapshot.root, earlier: (pair.there.snapshot.root, pair.here.snapshot.root))
                try registration.checkFence()
                try sealing.sink.output.finish()
                bytes += sealing.sink.output.statistics.objectBytes
                guard root == pair.here.snapshot.root else {
                    throw RepoError(.damaged, "its copy \(pair.there.id.short) holds something else", advice: "Run 'repo check' there.")
                }
            } catch let error as RepoError where error.code == .damaged {
                sealing.sink.output.abandon()
                known.forget()
                failures.append((pair.here.id, error))
            } catch {
                sealing.sink.output.abandon()
                throw error
            }
        }
        return failures
    }

    /// A hold here is one there; that one ended here ends none there.
    private func copyHolds(
        _ entries: [SnapshotCatalog.Entry], _ present: PresentCopies, _ copied: [(source: ObjectID, destination: ObjectID)]
    ) throws {
        let held = try SnapshotCatalog(source).names().held
        guard entries.contains(where: { held.contains($0.id) }) else { return }
        let reasons = Dictionary(try Holds(source).list().map { ($0.snapshot, $0.reason) }, uniquingKeysWith: { first, _ in first })
        for entry in entries where held.contains(entry.id) {
            guard let there = present.copy(of: entry, from: source.keys.repositoryID) ?? copied.first(where: { $0.source == entry.id })?.destination
            else { continue }
            try Holds(destination).add(there, reason: reasons[entry.id] ?? "")
        }
    }
}
