extension RetentionRules {
    /// Decides what becomes of each snapshot. Pure: the same input gives the same answer, in whatever order
    /// the snapshots come. The answer is sorted by group, then newest first (equal times by id).
    ///
    /// Each group is judged by itself, newest snapshot first, by every rule on its own; one that is kept by
    /// several counts with each of them, as in restic. (borg 1.2 counts a snapshot with the first rule only,
    /// so that `--keep-daily 7 --keep-weekly 4` reaches further back there. With a single rule both keep
    /// the same.)
    ///
    /// - **Counts**: a snapshot stays when its period, by the clocks of `zone`, differs from the period that
    ///   the rule kept last. While the count is not used up, the oldest snapshot of all stays too, as in borg
    ///   and in restic from 0.17 (0.14 let it go).
    /// - **Within**: counted back from the newest snapshot, not from now, so that nothing expires while no
    ///   backups are made; a snapshot exactly that old is outside.
    /// - **In the future**: a snapshot later than `now` comes of a clock that was or is wrong. It stays,
    ///   takes no place in any count, is neither newest nor oldest, and is judged once its time has come.
    ///   (restic lets it take places, so that one leap of a clock can push out good snapshots.)
    /// - **Holds** stay, and otherwise take part as if they were not held: putting one on changes no other
    ///   decision, the maximum count aside.
    /// - **Minimum age**: what is younger than this at `now` stays.
    /// - **Maximum count**: at last, the oldest that were to stay go until no more than this are left. Holds
    ///   and what is below the minimum age count but never go, nor does the newest; the future neither counts
    ///   nor goes.
    /// - Where the rules keep none of a group (keep-tag alone can do that), its newest stays.
    ///
    /// Throws `RetentionError` and decides nothing when `validate()` fails or an id comes twice. Takes O(n
    /// log n) for n snapshots.
    public func decide(
        _ snapshots: [RetentionCandidate], now: Timestamp, zone: any ZoneOffsets
    ) throws(RetentionError) -> [RetentionDecision] {
        try validate()
        var ids: Set<String> = []
        for snapshot in snapshots where !ids.insert(snapshot.id).inserted {
            throw .duplicateSnapshot(id: snapshot.id)
        }
        let groups = Dictionary(grouping: snapshots, by: \.group).sorted { $0.key < $1.key }
        return groups.flatMap { _, members in
            decideGroup(
                members.sorted { ($1.time, $0.id) < ($0.time, $1.id) }, now: now, zone: zone)
        }
    }

    /// `members` are sorted, newest first.
    private func decideGroup(
        _ members: [RetentionCandidate], now: Timestamp, zone: any ZoneOffsets
    ) -> [RetentionDecision] {
        let future = members.prefix { $0.time > now }
        let past = members.dropFirst(future.count)
        let youngest = minimumAge.map { (age: $0, from: $0.before(now, in: zone)) }
        func isYoung(_ snapshot: RetentionCandidate) -> Bool {
            youngest.map { snapshot.time > $0.from } ?? false
        }

        var reasons = reasonsToKeep(Array(past), zone: zone)
        for (rank, snapshot) in past.enumerated() {
            if let youngest, isYoung(snapshot) {
                reasons[rank].append(.youngerThanMinimumAge(youngest.age))
            }
        }
        if !reasons.isEmpty, reasons.allSatisfy(\.isEmpty) { reasons[0].append(.newestOfGroup) }
        for (rank, snapshot) in past.enumerated() where snapshot.isHeld { reasons[rank].insert(.hold, at: 0) }

        var beyondMaximum: Set<Int> = []
        if let maximumCount {
            let kept = reasons.indices.filter { !reasons[$0].isEmpty }
            let mayGo = kept.dropFirst().filter { rank in
                let snapshot = past[past.startIndex + rank]
                return !snapshot.isHeld && !isYoung(snapshot)
            }
            beyondMaximum = Set(mayGo.suffix(max(0, kept.count - maximumCount)))
        }

        let futureDecisions = future.map { snapshot in
            RetentionDecision(
                snapshot: snapshot, verdict: .keep,
                reasons: snapshot.isHeld ? [.hold, .inTheFuture] : [.inTheFuture])
        }
        return futureDecisions
            + zip(past, reasons).enumerated().map { rank, pair in
                let (snapshot, reasons) = pair
                if let maximumCount, beyondMaximum.contains(rank) {
                    return RetentionDecision(
                        snapshot: snapshot, verdict: .letGo, reasons: [.beyondMaximumCount(maximumCount)])
                }
                return RetentionDecision(
                    snapshot: snapshot, verdict: reasons.isEmpty ? .letGo : .keep,
                    reasons: reasons.isEmpty ? [.noRule] : reasons)
            }
    }

    /// For each snapshot, newest first, the rules that keep it; empty where none does.
    private func reasonsToKeep(_ snapshots: [RetentionCandidate], zone: any ZoneOffsets)
        -> [[RetentionReason]]
    {
        guard let newest = snapshots.first else { return [] }
        var counted = RetentionPeriod.allCases.compactMap { period in
            keep[period].map { CountedRule(period: period, count: $0) }
        }
        var within = RetentionPeriod.allCases.compactMap { period in
            keepWithin[period].map {
                WithinRule(period: period, span: $0, cutoff: $0.before(newest.time, in: zone))
            }
        }
        return snapshots.enumerated().map { rank, snapshot in
            let keys = PeriodKeys(snapshot.time, in: zone)
            var reasons = keepTags.filter { snapshot.tags.isSuperset(of: $0) }.map(RetentionReason.tags)
            for index in counted.indices {
                let isOldest = rank == snapshots.count - 1
                if let reason = counted[index].visit(keys, rank: rank, isOldest: isOldest) {
                    reasons.append(reason)
                }
            }
            for index in within.indices {
                if let reason = within[index].visit(keys, rank: rank, time: snapshot.time) {
                    reasons.append(reason)
                }
            }
            return reasons
        }
    }
}

/// A rule with a count, on its way from the newest snapshot to the oldest.
private struct CountedRule {
    let period: RetentionPeriod
    let count: KeepCount
    var kept = 0
    var lastKey: Int?

    init(period: RetentionPeriod, count: KeepCount) {
        self.period = period
        self.count = count
    }

    mutating func visit(_ keys: PeriodKeys, rank: Int, isOldest: Bool) -> RetentionReason? {
        if case .upTo(let limit) = count, kept >= limit { return nil }
        let key = keys.key(period, rank: rank)
        if key != lastKey {
            kept += 1
            lastKey = key
            return .newestOfPeriod(period, label: keys.label(period), place: kept, of: count)
        }
        return isOldest ? .oldest(period) : nil
    }
}

/// A rule with a duration, on its way from the newest snapshot to the oldest.
private struct WithinRule {
    let period: RetentionPeriod
    let span: CalendarSpan
    let cutoff: Timestamp
    var lastKey: Int?

    init(period: RetentionPeriod, span: CalendarSpan, cutoff: Timestamp) {
        self.period = period
        self.span = span
        self.cutoff = cutoff
    }

    mutating func visit(_ keys: PeriodKeys, rank: Int, time: Timestamp) -> RetentionReason? {
        guard time > cutoff else { return nil }
        let key = keys.key(period, rank: rank)
        guard key != lastKey else { return nil }
        lastKey = key
        return .within(period, label: keys.label(period), span)
    }
}
