import PostgresFormats
import RepoBase

/// Positions, transactions, restore points, and what needs no looking up.
extension PlanningWalk {
    /// As `recovery_target_lsn`: up to and including the first record that begins at or behind the position, or, where the position is excluded, up to
    /// that record. A position at which the log ends can be reached too, which PostgreSQL alone would refuse.
    func plan(position: LogSequenceNumber) throws -> RecoveryPlan {
        var broken: BaseBackup?
        for backup in backups where backup.facts.stop <= position {
            guard let path = stretches.path(of: backup) else {
                broken = broken ?? backup
                continue
            }
            let search = LogSearch(view: view, path: path)
            if let index = path.index(of: position), let end = try wholeRecord(in: path, from: index + 1) {
                return try plan(backup, path, excludesTarget ? .before(position) : .after(position), .position, readingTo: end)
            }
            guard let last = try search.lastRecord() else { continue }
            guard position <= last.end else {
                throw Refusal.endsBefore(position, path, last.end, after: nextBackup(behind: path), size: size)
            }
            if position <= last.position {
                return try plan(backup, path, excludesTarget ? .before(position) : .after(position), .position, readingTo: path.end)
            }
            // Everything before the position is there, and nothing begins at it or behind it.
            return try planToEnd(backup, path, .position)
        }
        if let broken { throw Refusal.logMissing(for: broken, stretches.missing(for: broken, size), size) }
        throw Refusal.tooEarly(position, oldest: backups[backups.count - 1])
    }

    /// Where the first segment from `first` on ends that holds a record from beginning to end. Nil when there is none.
    private func wholeRecord(in path: LogPath, from first: Int) throws -> LogSequenceNumber? {
        for step in path.steps.dropFirst(first) where !step.isCutByFork {
            let facts = try view.facts(step.segment)
            if let begin = facts.firstRecord, let end = facts.endOfRecords, begin < end { return step.end }
        }
        return nil
    }

    /// As `recovery_target_xid`.
    func plan(transaction: UInt32) throws -> RecoveryPlan {
        for (number, backup) in backups.enumerated() {
            guard let path = stretches.path(of: backup), let from = path.index(of: backup.facts.stop) ?? path.steps.indices.last else {
                continue
            }
            // What lies behind the next backup was looked at from there, if it is on the same path.
            let next = backups[..<number].last { stretches.path(of: $0) == path }
            let found = try LogSearch(view: view, path: path).firstEnd(
                from: from, before: next?.facts.stop,
                mayHold: { facts in
                    guard let lowest = facts.lowestTransaction, let highest = facts.highestTransaction else { return false }
                    return lowest <= transaction && transaction <= highest
                },
                matches: { $0.transaction == transaction && $0.position >= backup.facts.stop })
            guard let found else { continue }
            var plan = try plan(
                backup, path, excludesTarget ? .before(found.position) : .after(found.position), .transaction(found),
                readingTo: found.end)
            if !found.kind.isCommit { plan.notes.append("transaction \(transaction) was rolled back: nothing of it is part of the result") }
            return plan
        }
        throw Refusal.noTransaction(transaction, in: stretches, oldest: backups[backups.count - 1])
    }

    /// As `recovery_target_name`. A name that was given several times is refused: PostgreSQL would stop at the first behind the backup that it is given,
    /// and nobody can know that this is the one that was meant.
    func plan(name: String) throws -> RecoveryPlan {
        var found: [(point: WALFacts.RestorePoint, backup: BaseBackup, path: LogPath)] = []
        for (number, backup) in backups.enumerated() {
            guard let path = stretches.path(of: backup), let from = path.index(of: backup.facts.stop) ?? path.steps.indices.last else {
                continue
            }
            let next = backups[..<number].last { stretches.path(of: $0) == path }?.facts.stop
            for point in try restorePoints(named: name, on: path, from: from)
            where point.position >= backup.facts.stop && next.map({ point.position < $0 }) ?? true {
                found.append((point, backup, path))
            }
        }
        guard let only = found.first else { throw Refusal.noRestorePoint(name, oldest: backups[backups.count - 1]) }
        guard found.count == 1 else { throw Refusal.ambiguous(name, found.map(\.point)) }
        return try plan(
            only.backup, only.path, excludesTarget ? .before(only.point.position) : .after(only.point.position),
            .restorePoint(only.point), readingTo: only.point.end)
    }

    private func restorePoints(named name: String, on path: LogPath, from first: Int) throws -> [WALFacts.RestorePoint] {
        var points: [WALFacts.RestorePoint] = []
        let search = LogSearch(view: view, path: path)
        for (index, step) in path.steps.enumerated().dropFirst(first) {
            let facts = try view.facts(step.segment)
            guard facts.isTruncated || step.isCutByFork || facts.openRecord.map(Self.mayBeRestorePoint) ?? false else {
                points += facts.restorePoints.filter { $0.name == name }
                continue
            }
            guard let from = facts.firstRecord else { continue }
            try search.scan(index...min(index + 1, path.steps.count - 1), from: from) { event in
                if case .restorePoint(let point) = event, point.name == name, point.position < step.end { points.append(point) }
                return event.position < step.end
            }
        }
        return points
    }

    /// Whether a record that crosses into the next segment is a restore point, or its header is not known (`XLogRecord`, access/xlogrecord.h).
    private static func mayBeRestorePoint(_ record: WALFacts.OpenRecord) -> Bool {
        guard record.head.count > 17 else { return true }
        return record.head[17] == 0 && record.head[16] & 0xF0 == 0x70
    }

    func planImmediate() throws -> RecoveryPlan {
        for backup in backups {
            if let path = stretches.path(of: backup) {
                return try plan(backup, path, .consistency, .consistency, readingTo: backup.facts.stop)
            }
            if backup.facts.includesLog {
                return RecoveryPlan(
                    target: target, backup: backup, timeline: backup.facts.timeline, stop: .consistency, reason: .consistency, segments: [])
            }
        }
        throw Refusal.logMissing(for: backups[0], stretches.missing(for: backups[0], size), size)
    }

    /// All that there is: the newest backup that has its log, to the end of that path.
    func planLatest() throws -> RecoveryPlan {
        guard let backup = backups.first(where: { stretches.path(of: $0) != nil }), let path = stretches.path(of: backup) else {
            if backups[0].facts.includesLog {
                var plan = try planImmediate()
                plan.notes.append("the archive has no log behind this backup: its own end is the latest moment there is")
                return plan
            }
            throw Refusal.logMissing(for: backups[0], stretches.missing(for: backups[0], size), size)
        }
        let search = LogSearch(view: view, path: path)
        var latest: PostgresTime?
        for step in path.steps.suffix(TailEvidence.reach) {
            if let end = try view.facts(step.segment).latestEnd { latest = max(end, latest ?? end) }
        }
        var plan = try planToEnd(backup, path, .endOfLog(provenUntil: try TailEvidence(search).latest(latest)))
        if let next = path.cut.next {
            plan.notes.append(
                "segment \(path.cut.missing.name(size)) is missing, and the log goes on at \(next.name(size)): nothing behind the gap can be recovered")
        }
        for newer in backups where newer.facts.stop > backup.facts.stop {
            plan.notes.append(
                "base backup \(newer.id.short) is newer and cannot be used: \(stretches.missing(for: newer, size).name(size)) is missing")
        }
        return plan
    }
}
