import BlobEngine
public import Policy
import RepoBase

extension Forgetting {
    /// Snapshots of one source that do not look like those before them: nothing of their group goes.
    public struct Suspicion: Hashable, Sendable {
        public let group: String
        /// In words, a line for each snapshot.
        public let findings: [String]
    }

    /// What the rules say, changing nothing: by group, newest first.
    ///
    /// A snapshot competes with those of its own key and of full keys (`SnapshotStanding`). Where snapshots look unusual, none of their group that
    /// the same key signed is let go, and `onSuspicion` is told.
    ///
    /// Throws `.usage` for rules that would let everything go or make no sense, and `.damaged` for a snapshot that does not read: rules that
    /// do not see all snapshots keep the wrong ones.
    /// - Parameter acceptsUnusual: for somebody who has looked at them.
    public func decide(
        _ rules: RetentionRules, _ selection: Selection = Selection(), grouping: Grouping = .sourceAndHost,
        now: Timestamp, zone: any ZoneOffsets, acceptsUnusual: Bool = false, onSuspicion: (Suspicion) -> Void = { _ in }
    ) throws -> [Decision] {
        let (all, held) = try SnapshotCatalog(repository).allAndHeld()
        let entries = all.filter { selection.includes($0.snapshot) }
        let candidates = try entries.map { entry in
            RetentionCandidate(
                id: "\(entry.id)", group: group(of: entry.snapshot, grouping), time: try time(of: entry),
                tags: Set(entry.snapshot.tags), isHeld: held.contains(entry.id))
        }
        let standings = entries.map { SnapshotStanding($0, repository) }
        var decisions = try decide(rules, zip(entries, candidates).map { ($0, $1) }, standings, now: now, zone: zone)
        if !acceptsUnusual { hold(&decisions, grouping, now: now, onSuspicion) }
        return decisions
    }

    /// Once for each kind of standing, among those that it competes with; in the order of one decision over all.
    private func decide(
        _ rules: RetentionRules, _ snapshots: [(entry: SnapshotCatalog.Entry, candidate: RetentionCandidate)],
        _ standings: [SnapshotStanding], now: Timestamp, zone: any ZoneOffsets
    ) throws -> [Decision] {
        let entries = Dictionary(snapshots.map { ($0.candidate.id, $0.entry) }, uniquingKeysWith: { first, _ in first })
        func decisions(_ candidates: [RetentionCandidate]) throws -> [Decision] {
            do {
                return try rules.decide(candidates, now: now, zone: zone).map { decision in
                    Decision(
                        entry: entries[decision.snapshot.id]!, group: decision.snapshot.group,
                        isKept: decision.verdict == .keep, reasons: decision.reasons.map(\.description))
                }
            } catch {
                throw RepoError(.usage, "these rules cannot be applied: \(error.description)")
            }
        }
        let together = try decisions(snapshots.map(\.candidate))
        guard Set(standings).count > 1 else { return together }
        var own: [ObjectID: Decision] = [:]
        for standing in Set(standings) {
            let competing = zip(snapshots, standings).filter { standing.competes(with: $0.1) || $0.1 == standing }
            let mine = Set(competing.filter { $0.1 == standing }.map(\.0.entry.id))
            for decision in try decisions(competing.map(\.0.candidate)) where mine.contains(decision.entry.id) {
                own[decision.entry.id] = decision
            }
        }
        return together.map { whole in
            let decision = own[whole.entry.id]!
            return decision.isKept && !whole.isKept ? decision.apart() : decision
        }
    }

    // MARK: On hold

    private struct Origin: Hashable {
        let source: String
        let host: String
        let signer: KeyID?
    }

    private func hold(_ decisions: inout [Decision], _ grouping: Grouping, now: Timestamp, _ onSuspicion: (Suspicion) -> Void) {
        func origin(_ snapshot: SnapshotCatalog.Entry) -> Origin {
            Origin(source: snapshot.snapshot.source, host: snapshot.snapshot.host, signer: snapshot.signer)
        }
        let origins = Dictionary(grouping: decisions.map(\.entry), by: origin)
        var suspicions: [Origin: Suspicion] = [:]
        for (origin, entries) in origins {
            let figures = entries.map { entry in
                SnapshotFigures(
                    id: "\(entry.id)", time: entry.stored ?? entry.snapshot.time.seconds,
                    logicalBytes: entry.snapshot.statistics.logicalBytes, addedBytes: entry.snapshot.statistics.bytesAdded)
            }
            let found = UnusualSnapshots.find(figures, now: now.seconds)
            guard !found.isEmpty else { continue }
            suspicions[origin] = Suspicion(
                group: group(of: entries[0].snapshot, .sourceAndHost),
                findings: found.map { "snapshot \($0.snapshot.id.prefix(8)): \($0.finding)" })
        }
        guard !suspicions.isEmpty else { return }
        var told: Set<Origin> = []
        for place in decisions.indices where !decisions[place].isKept {
            let origin = origin(decisions[place].entry)
            guard let suspicion = suspicions[origin] else { continue }
            decisions[place] = decisions[place].keeping(because: "on hold: \(suspicion.findings[0])")
            if told.insert(origin).inserted { onSuspicion(suspicion) }
        }
    }

    private func group(of snapshot: Snapshot, _ grouping: Grouping) -> String {
        switch grouping {
        case .sourceAndHost: "\(snapshot.source) on \(snapshot.host)"
        case .source: snapshot.source
        case .none: "all snapshots"
        }
    }

    private func time(of entry: SnapshotCatalog.Entry) throws -> Timestamp {
        let time = entry.snapshot.time
        do {
            return try Timestamp(seconds: time.seconds, nanoseconds: Int32(time.nanoseconds))
        } catch {
            throw RepoError.damaged("\(SnapshotObject.key(entry.id))", "its time is out of range")
        }
    }
}
