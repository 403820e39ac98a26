import PostgresFormats
import RepoBase

/// Planning along one chain of timelines.
struct PlanningWalk {
    let view: any LogView
    let target: RecoveryTarget
    let chain: TimelineChain
    /// Of this chain, newest first.
    let backups: [BaseBackup]
    let stretches: LogStretches
    let excludesTarget: Bool
    let size: WALSegmentSize

    init(_ planner: RecoveryPlanner, _ target: RecoveryTarget, _ chain: TimelineChain) {
        view = planner.view
        self.target = target
        self.chain = chain
        excludesTarget = planner.excludesTarget
        size = view.segmentSize
        backups = planner.backups.filter(chain.holds).sorted { ($0.facts.stop, $0.id) > ($1.facts.stop, $1.id) }
        stretches = LogStretches(chain, view, backups: backups)
    }

    /// Puts a plan together from what was found.
    ///
    /// - Parameter end: behind the last byte that replay reads.
    func plan(
        _ backup: BaseBackup, _ path: LogPath, _ stop: RecoveryStop, _ reason: RecoveryPlan.Reason, readingTo end: LogSequenceNumber
    ) throws -> RecoveryPlan {
        let first = path.index(of: backup.logStart) ?? 0
        let last = path.index(of: LogSequenceNumber(max(end.value, 1) - 1)) ?? path.steps.count - 1
        var plan = RecoveryPlan(
            target: target, backup: backup, timeline: chain.timeline, stop: stop, reason: reason,
            segments: path.steps[min(first, last)...last].map(\.segment))
        plan.lacksHistory = chain.timeline > 1 && chain.history.ancestors.isEmpty
        try chooseTimeline(&plan, path, readingTo: end)
        // A moment far back in a load without commits is not worth reading hundreds of segments for a line of text.
        let earliest = max(first - 1, 0, last - Int(LogStretches.lookBack))
        let search = LogSearch(view: view, path: path)
        plan.lastTransaction =
            switch (stop, reason) {
            case (.before(let position), _): try search.lastEnd(beginningBefore: position, backTo: earliest)
            // Which record it stops behind is not known yet: the first one from there on.
            case (.after(let position), .position):
                try search.firstRecordIfEnd(from: position, to: end) ?? search.lastEnd(beginningBefore: position, backTo: earliest)
            case (.after, _): try search.lastEnd(beginningBefore: end, backTo: earliest)
            case (.consistency, _): try search.lastEnd(beginningBefore: backup.facts.stop, backTo: earliest)
            }
        return plan
    }

    /// Recovers along the timeline that holds the end, and not along one that began later.
    ///
    /// PostgreSQL would get there either way, but it writes down that it left the timeline that it was told to follow
    /// (`writeTimeLineHistory` with `recoveryTargetTLI`, access/transam/xlog.c), even where that one had not begun yet: a history that
    /// contradicts itself. Only where the holder's own last segment is not there, and the one of the next timeline with its copy of it is, the later
    /// one is followed.
    private func chooseTimeline(_ plan: inout RecoveryPlan, _ path: LogPath, readingTo end: LogSequenceNumber) throws {
        let place = plan.stopPosition ?? LogSequenceNumber(plan.backup.facts.stop.value - 1)
        let holder = chain.timeline(at: place)
        guard holder != chain.timeline, !plan.segments.isEmpty else { return }
        for part in chain.parts.drop(while: { $0.timeline != holder }).dropLast() {
            guard let own = chain.upTo(part.timeline) else { continue }
            let other = LogPath(own, view, from: plan.backup.logStart)
            // Behind the fork it may be another record, of another length, that begins there.
            guard other.steps.count >= plan.segments.count, other.reaches(end), part.end.map({ end <= $0 }) ?? true else { continue }
            plan.timeline = part.timeline
            plan.segments = other.steps.prefix(plan.segments.count).map(\.segment)
            return
        }
    }

    /// Recovery of all that a path has.
    func planToEnd(_ backup: BaseBackup, _ path: LogPath, _ reason: RecoveryPlan.Reason) throws -> RecoveryPlan {
        guard let last = try LogSearch(view: view, path: path).lastRecord(), last.end >= backup.facts.stop else {
            throw Refusal.logMissing(for: backup, stretches.missing(for: backup, size), size)
        }
        return try plan(backup, path, .after(last.position), reason, readingTo: path.end)
    }
}
