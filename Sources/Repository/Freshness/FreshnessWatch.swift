import BlobEngine
public import RepoBase
public import Storage

/// Notices when a store hides or takes back what this machine has seen in it: snapshots, and generations of config (docs/adr/0038-freshness.md).
///
/// Nothing is asked of the store for it but where something is missing: what is compared are listings that somebody needs anyway. What is listed
/// is compared with what was remembered *before* the listing began, so another process that adds a snapshot meanwhile does no harm. No clock
/// decides anything.
///
/// A listing itself proves nothing, and one that came over a network without protection may hold names that never were. So a snapshot is remembered
/// once it was read or stored, or listed twice; and what seems missing is looked for by a second listing.
public final class FreshnessWatch: Sendable {
    private let file: SeenFile
    private let clock: @Sendable () -> Int64
    private let report: @Sendable ([FreshnessFinding]) -> Void
    private let onProblem: @Sendable (RepoError) -> Void

    private struct State {
        var missing: [FreshnessFinding] = []
        var config: [FreshnessFinding] = []
        var log: [FreshnessFinding] = []
        var hasFailed = false
    }
    private let state = Monitor(State())
    /// Moments that lie nearer to each other are not written down again, in seconds.
    private static let quiet: Int64 = 3600

    /// - Parameters:
    ///   - folder: of this machine's lasting state, not of a cache.
    ///   - location: where the repository is: copies of it elsewhere hold other snapshots.
    ///   - report: told of findings once each.
    ///   - onProblem: told where nothing can be remembered, once: nothing fails by it.
    public init(
        folder: String, repository: RepositoryID, location: String, clock: @escaping @Sendable () -> Int64 = { JournalStamp.now().time },
        report: @escaping @Sendable ([FreshnessFinding]) -> Void = { _ in }, onProblem: @escaping @Sendable (RepoError) -> Void = { _ in }
    ) {
        file = SeenFile(folder: folder, repository: repository, location: location)
        (self.clock, self.report, self.onProblem) = (clock, report, onProblem)
    }

    /// What is missing as of the last comparison; of config first.
    public var findings: [FreshnessFinding] { state.withLock { $0.config + $0.missing + $0.log } }

    // MARK: Snapshots

    /// What is remembered; to be taken before a listing that is compared with it.
    public func memory() -> SeenState {
        do {
            return try file.load()
        } catch {
            fail(error)
            return SeenState()
        }
    }

    /// Compares a listing of all snapshots with what was remembered before it began, and remembers it.
    /// - Parameter entries: of those that were read; for signer, time and source.
    /// Throws what the store throws where it is asked for records.
    func compare(
        _ listed: some Sequence<ObjectID>, _ entries: [SnapshotCatalog.Entry] = [], since before: SeenState, _ repository: OpenRepository
    ) throws {
        let present = Set(listed)
        let removedBefore = Set(before.removed)
        var missing = before.snapshots.filter { !present.contains($0.key) && !removedBefore.contains($0.key) }
        var records: [RemovalRecords] = []
        // Looked for twice, with both listings anew, before anything is said.
        for round in 0..<2 where !missing.isEmpty {
            if round == 1 { missing = try missing.filter(Self.isAbsent(from: SnapshotListing(repository.store).ids)) }
            guard !missing.isEmpty else { break }
            let found = try RemovalRecords(of: missing, besides: Set(before.records), repository)
            missing = missing.filter { !found.removed.contains($0.key) }
            records.append(found)
        }
        let now = clock()
        let wasRead = Set(entries.map(\.id))
        let after = update { state in
            for found in records { state.note(found) }
            let removed = Set(state.removed)
            // One that was removed since the listing began is not taken up again.
            let new = present.filter { !removed.contains($0) && state.snapshots[$0] == nil }
            for id in new where wasRead.contains(id) || state.listedOnce.contains(id) {
                guard state.snapshots.count < SeenState.snapshotLimit else { break }
                state.snapshots[id] = SeenState.Snapshot()
            }
            state.listedOnce = Set(new.filter { state.snapshots[$0] == nil }.prefix(SeenState.idLimit))
            for id in present where state.snapshots[id]?.lastSeen != nil { state.snapshots[id]?.lastSeen = nil }
            for entry in entries where state.snapshots[entry.id] != nil { state.snapshots[entry.id]?.describe(entry) }
            // One that is announced as removed and still there stays known until it is not.
            for id in removed where !present.contains(id) { state.snapshots[id] = nil }
            for id in missing.keys where state.snapshots[id]?.lastSeen == nil { state.snapshots[id]?.lastSeen = max(1, before.seen) }
            if missing.isEmpty, abs(now - state.seen) > Self.quiet { state.seen = now }
        }
        note(
            missing.sorted { ($0.value.time ?? 0, $0.key) < ($1.value.time ?? 0, $1.key) }.map { id, snapshot in
                .snapshot(
                    id, source: snapshot.source, time: snapshot.time,
                    lastSeen: after?.snapshots[id]?.lastSeen ?? snapshot.lastSeen ?? before.seen)
            })
    }

    private static func isAbsent(from listed: [ObjectID]) -> (_ snapshot: (key: ObjectID, value: SeenState.Snapshot)) -> Bool {
        let listed = Set(listed)
        return { !listed.contains($0.key) }
    }

    private func note(_ missing: [FreshnessFinding]) {
        let new = state.withLock { state in
            let known = Set(state.missing)
            state.missing = missing
            return missing.filter { !known.contains($0) }
        }
        if !new.isEmpty { report(new) }
    }

    /// This process has stored a snapshot.
    func stored(_ entry: SnapshotCatalog.Entry) {
        update { state in
            if state.snapshots[entry.id] == nil { state.snapshots[entry.id] = SeenState.Snapshot() }
            state.snapshots[entry.id]?.describe(entry)
        }
    }

    /// This process has let snapshots go, and the journal tells of it.
    func removed(_ ids: some Sequence<ObjectID>) {
        update { state in
            state.noteRemoved(ids)
            for id in ids { state.snapshots[id] = nil }
        }
    }

    /// Takes what is missing for gone: for somebody who knows why. With a full key the journal tells it to the other machines; of config each
    /// machine accepts by itself. Returns what was accepted.
    public func accept(_ repository: OpenRepository, stamp: JournalStamp = .now()) throws -> [FreshnessFinding] {
        _ = try SnapshotCatalog(repository).names()
        let found = findings
        let ids = found.compactMap { finding in
            if case .snapshot(let id, _, _, _) = finding { id } else { nil }
        }
        if !ids.isEmpty, repository.keys.role == .full {
            try Journal.append(
                to: repository.store, by: repository.keys, stamp, action: RemovalRecords.acceptance, subjects: ids.map { "\($0)" })
        }
        removed(ids)
        let keys = Set(found.map(\.object))
        update { state in
            for (folder, log) in state.log where keys.contains(log.key) { state.log[folder]?.isRemoved = true }
        }
        let config = repository.keys.signedConfig
        update { state in
            state.generation = config.config.generation
            state.config = ObjectHasher.hash(config.bytes)
        }
        state.withLock { $0 = State(hasFailed: $0.hasFailed) }
        return found
    }

    // MARK: The log

    /// This process has stored an object of the log, or found it there.
    /// - Parameters:
    ///   - key: begins with the timeline's folder.
    ///   - last: the last sixteen digits of its last segment's name, as a number.
    public func archived(_ key: StoreKey, last: UInt64) {
        let folder = SeenState.folder(ofLog: key.description)
        update(durably: false) { $0.saw(key, last: last, in: folder) }
    }

    /// Clusters of which log was seen.
    public var clusters: Set<UInt64> { Set(memory().log.values.compactMap { UInt64($0.key.split(separator: "/").dropFirst().first ?? "") }) }

    /// Compares a listing of a cluster's whole segments with what was remembered before it began.
    /// - Parameters:
    ///   - newest: of each timeline, as for `archived`.
    ///   - again: lists it once more, for what seems missing.
    public func compareLog(
        ofCluster system: UInt64, _ newest: [(key: StoreKey, last: UInt64)], since before: SeenState, _ repository: OpenRepository,
        again: () throws -> [(key: StoreKey, last: UInt64)]
    ) throws {
        var found = Self.byTimeline(newest)
        var missing = before.log.filter { folder, log in
            folder.hasPrefix("wal/\(system)/") && !log.isRemoved && (found[folder]?.last ?? 0) < log.last
        }
        var records = RemovalRecords()
        if !missing.isEmpty {
            found = Self.byTimeline(try again())
            missing = missing.filter { folder, log in (found[folder]?.last ?? 0) < log.last }
        }
        if !missing.isEmpty {
            records = try RemovalRecords(of: [:], Set(missing.values.map(\.key)), besides: Set(before.records), repository)
            missing = missing.filter { !records.removedKeys.contains($0.value.key) }
        }
        // A name in a listing is not yet an object.
        let news = try found.filter { folder, object in
            try (before.log[folder]?.last ?? 0) < object.last && repository.store.stat(object.key) != nil
        }
        update(durably: false) { state in
            state.note(records)
            for (folder, object) in news { state.saw(object.key, last: object.last, in: folder) }
        }
        let findings = missing.values.sorted { $0.key < $1.key }.map { FreshnessFinding.log($0.key, lastSeen: before.seen) }
        let new = state.withLock { state in
            let known = Set(state.log)
            state.log = state.log.filter { !$0.object.hasPrefix("wal/\(system)/") } + findings
            return findings.filter { !known.contains($0) }
        }
        if !new.isEmpty { report(new) }
    }

    private static func byTimeline(_ newest: [(key: StoreKey, last: UInt64)]) -> [String: (key: StoreKey, last: UInt64)] {
        Dictionary(newest.map { (SeenState.folder(ofLog: $0.key.description), $0) }, uniquingKeysWith: { $0.last > $1.last ? $0 : $1 })
    }

    // MARK: Config

    /// Compares the config that opened the repository with the latest that was seen, and remembers it. Where it lags behind, as after a crash, the
    /// key ring takes up the later generations.
    ///
    /// Asks the store only where the generation is another than the last time, and not for the one that follows it. Throws what the store throws then.
    public func compareConfig(_ keys: inout KeyRing, _ store: any Store) throws {
        let before = memory()
        guard let seen = before.config else { return rememberConfig(keys) }
        if keys.config.generation < before.generation {
            do {
                try keys.refresh(from: store)
            } catch let error as RepoError where error.code == .damaged {
                // Said below: the later generation does not follow.
            }
        }
        let generation = keys.config.generation
        if generation < before.generation {
            return noteConfig(.olderConfig(generation: generation, seen: before.generation, lastSeen: before.seen))
        }
        guard try Self.follows(keys, seen, before.generation, store) else {
            return noteConfig(.otherConfig(generation: generation, seen: before.generation, lastSeen: before.seen))
        }
        if generation > before.generation { rememberConfig(keys) }
    }

    private func noteConfig(_ finding: FreshnessFinding) {
        state.withLock { $0.config = [finding] }
        report([finding])
    }

    /// Others may have remembered a later one meanwhile.
    private func rememberConfig(_ keys: KeyRing) {
        let config = keys.signedConfig
        let now = clock()
        update { state in
            guard state.generation < config.config.generation else { return }
            state.generation = config.config.generation
            state.config = ObjectHasher.hash(config.bytes)
            if state.seen == 0 { state.seen = now }
        }
    }

    /// Whether the chain of hashes leads from the key ring's config back to the one that was seen.
    private static func follows(_ keys: KeyRing, _ seen: ObjectID, _ seenGeneration: UInt64, _ store: any Store) throws -> Bool {
        var config = keys.signedConfig
        while config.config.generation > seenGeneration + 1 {
            let key = ConfigHistory.generationKey(config.config.generation - 1)
            do {
                let earlier = try RepositoryConfig.verified(
                    try store.get(key, atMost: RepositoryConfig.byteLimit), object: "\(key)", authority: keys.authority)
                guard config.config.previous == ObjectHasher.hash(earlier.bytes), earlier.config.generation + 1 == config.config.generation else {
                    return false
                }
                config = earlier
            } catch let error as RepoError where error.code == .damaged || error.code == .notFound {
                return false
            }
        }
        return config.config.generation == seenGeneration ? ObjectHasher.hash(config.bytes) == seen : config.config.previous == seen
    }

    // MARK: The file

    @discardableResult
    private func update(durably: Bool = true, _ change: (inout SeenState) -> Void) -> SeenState? {
        do {
            return try file.update(durably: durably, change)
        } catch {
            fail(error)
            return nil
        }
    }

    private func fail(_ error: RepoError) {
        let isFirst = state.withLock { state in
            defer { state.hasFailed = true }
            return !state.hasFailed
        }
        if isFirst { onProblem(error) }
    }
}

extension SeenState {
    fileprivate mutating func saw(_ key: StoreKey, last: UInt64, in folder: String) {
        guard log[folder].map({ $0.last < last }) ?? true else { return }
        log[folder] = Log(key: key.description, last: last)
    }
}

extension SeenState.Snapshot {
    mutating func describe(_ entry: SnapshotCatalog.Entry) {
        signer = entry.signer ?? signer
        time = entry.snapshot.time.seconds
        source = entry.snapshot.source
        while source.utf8.count > SeenState.sourceByteLimit { source.removeLast() }
    }
}
