import PostgresFormats
import RepoBase

/// Resolves a moment to a base backup, a timeline and a position of the log, and proves that every segment on the way is there.
///
/// Pure: it asks the view and changes nothing. Cost: one look at the facts of each segment from the base backup before the moment on to
/// the moment, and one or two segments read.
public struct RecoveryPlanner {
    let view: any LogView
    /// Physical ones of the view's cluster.
    let backups: [BaseBackup]
    /// The target itself is left out: `recovery_target_inclusive = off`.
    let excludesTarget: Bool

    public init(_ view: some LogView, backups: [BaseBackup], excludesTarget: Bool = false) {
        self.view = view
        self.backups = backups
        self.excludesTarget = excludesTarget
    }

    /// Throws `.timeNotRecoverable`, saying what is missing and which moments around it can be recovered; `.damaged` where the log does not read.
    public func plan(_ target: RecoveryTarget, timeline choice: TimelineChoice = .latest) throws -> RecoveryPlan {
        guard !backups.isEmpty else {
            throw RepoError(
                .timeNotRecoverable, "there is no base backup that recovery could begin from",
                advice: "'repo snapshot postgres' makes one.")
        }
        let chains = try chains(choice)
        var refusal: (any Error)?
        for chain in chains {
            do {
                var plan = try plan(target, on: chain)
                if case .time(let time) = target { plan.otherTimelines = try timelines(besides: plan, on: chain, holding: time) }
                return plan
            } catch let error as RepoError where error.code == .timeNotRecoverable {
                refusal = refusal ?? error
            }
        }
        if case .time(let time) = target, let error = refusal as? RepoError {
            let others = try timelines(besides: nil, on: chains[0], holding: time)
            if !others.isEmpty { throw Refusal.adding(others, to: error) }
        }
        throw refusal ?? RepoError(.timeNotRecoverable, "there is no timeline to recover along")
    }

    func plan(_ target: RecoveryTarget, on chain: TimelineChain) throws -> RecoveryPlan {
        let walk = PlanningWalk(self, target, chain)
        guard !walk.backups.isEmpty else { throw Refusal.noBackup(on: chain, of: backups) }
        switch target {
        case .time(let time): return try walk.plan(time: time)
        case .position(let position): return try walk.plan(position: position)
        case .transaction(let transaction): return try walk.plan(transaction: transaction)
        case .name(let name): return try walk.plan(name: name)
        case .immediate: return try walk.planImmediate()
        case .latest: return try walk.planLatest()
        }
    }

    // MARK: - Timelines

    /// Those to be tried, the best first.
    private func chains(_ choice: TimelineChoice) throws -> [TimelineChain] {
        switch choice {
        case .number(let timeline):
            guard let chain = try chain(timeline) else {
                let known = view.timelines.map(String.init).joined(separator: ", ")
                throw RepoError(
                    .timeNotRecoverable, "the archive has no history of timeline \(timeline)",
                    advice: known.isEmpty ? "It has no log of this cluster at all." : "It knows timelines \(known).")
            }
            return [chain]
        case .latest:
            // PostgreSQL takes the highest number whose history there is; one that none of the backups leads to would be refused.
            var damage: RepoError?
            for timeline in (Set(view.timelines).union(backups.map(\.facts.timeline))).sorted(by: >) {
                do {
                    if let chain = try chain(timeline), backups.contains(where: chain.holds) { return [chain] }
                } catch let error as RepoError where error.code == .damaged {
                    // Servers do write histories that contradict themselves; whoever wants that one names it.
                    damage = damage ?? error
                }
            }
            if let damage { throw damage }
            let newest = backups.max { $0.facts.stop < $1.facts.stop }!
            throw RepoError(
                .timeNotRecoverable,
                "the archive has no history of timeline \(newest.facts.timeline), on which the newest base backup was taken",
                advice: "Push \(WALSegment.hexadecimal(newest.facts.timeline)).history from the server with 'repo wal push'.")
        case .ofBackup:
            let timelines = backups.sorted { $0.facts.stop > $1.facts.stop }.map(\.facts.timeline)
            var chains: [TimelineChain] = []
            for timeline in timelines where !chains.contains(where: { $0.timeline == timeline }) {
                if let chain = try chain(timeline) { chains.append(chain) }
            }
            guard !chains.isEmpty else {
                throw RepoError(.timeNotRecoverable, "the archive has no history of the base backups' timelines")
            }
            return chains
        }
    }

    private func chain(_ timeline: UInt32) throws -> TimelineChain? {
        if let history = try view.history(of: timeline) { return TimelineChain(history) }
        // A server that was promoted while it did not archive never archives the history. From a base backup of that timeline on it is not needed.
        guard timeline == 1 || backups.contains(where: { $0.facts.timeline == timeline }) else { return nil }
        return TimelineChain(TimelineHistory(first: timeline))
    }

    /// Timelines that went another way before the moment, and whose log holds it too.
    private func timelines(besides plan: RecoveryPlan?, on chosen: TimelineChain, holding time: FileTime) throws -> [UInt32] {
        var others: [UInt32] = []
        for timeline in view.timelines where timeline != chosen.timeline {
            guard let chain = try? chain(timeline), let other = try? self.plan(.time(time), on: chain),
                let position = other.stopPosition, chain.timeline(at: position) == timeline
            else { continue }
            // What both share is the same moment.
            if let part = chosen.part(timeline), part.end.map({ position < $0 }) ?? true { continue }
            others.append(timeline)
        }
        return others
    }
}

extension RecoveryPlan {
    /// Nil for consistency.
    var stopPosition: LogSequenceNumber? {
        switch stop {
        case .before(let position), .after(let position): position
        case .consistency: nil
        }
    }
}
