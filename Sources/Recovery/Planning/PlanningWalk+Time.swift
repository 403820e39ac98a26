import PostgresFormats
import RepoBase

/// A moment on the clock.
///
/// PostgreSQL stops before the first commit or abort, in the order of the log, that is later (`recoveryStopsBefore`): not behind the last
/// one that is not, since times are taken before records are written and therefore do not ascend. That record is looked up here, and replay is told
/// to stop before it by its position.
extension PlanningWalk {
    func plan(time: FileTime) throws -> RecoveryPlan {
        // Times in the log have microseconds; the part below of a given time matters only where its very microsecond is left out.
        let moment = PostgresTime(time)
        let excludes = excludesTarget && PostgresTime(microseconds: moment.microseconds).fileTime == time
        func isLater(_ other: PostgresTime) -> Bool { excludes ? other >= moment : other > moment }

        /// The newest that might do and whose log is not there.
        var broken: BaseBackup?
        for (number, backup) in backups.enumerated() {
            guard let path = stretches.path(of: backup) else {
                if backup.facts.stopTime <= time { broken = broken ?? backup }
                continue
            }
            guard let first = try firstToLookAt(number, path, moment) else { continue }
            let search = LogSearch(view: view, path: path)
            var latest: PostgresTime?
            let found = try search.firstEnd(
                from: first, mayHold: { $0.latestEnd.map(isLater) ?? false },
                observe: { facts in
                    if let end = facts.latestEnd { latest = max(end, latest ?? end) }
                },
                matches: { end in
                    latest = max(end.time, latest ?? end.time)
                    return isLater(end.time)
                })
            if let found {
                // What stands in the log before the backup is consistent is part of it.
                guard found.position >= backup.facts.stop else { continue }
                return try plan(backup, path, .before(found.position), .transactionIsLater(found), readingTo: found.end)
            }
            let proven = try TailEvidence(search).latest(latest)
            guard let proven, moment <= proven else {
                throw Refusal.endsBefore(time, path, proven, after: nextBackup(behind: path), size: size)
            }
            return try planToEnd(backup, path, .endOfLog(provenUntil: proven))
        }
        let usable = backups.filter { stretches.path(of: $0) != nil }
        if let broken = broken ?? (usable.isEmpty ? backups.first : nil) {
            throw Refusal.logMissing(
                for: broken, stretches.missing(for: broken, size), size, before: usable.last { $0.facts.start > broken.facts.start })
        }
        let oldest = usable.last ?? backups[backups.count - 1]
        let checkpoint = try stretches.path(of: oldest).flatMap { try checkpointTime(oldest, $0) }
        throw Refusal.tooEarly(
            time, oldest: oldest, from: max(oldest.facts.stopTime, (checkpoint?.adding(Self.margin) ?? PostgresTime(oldest.facts.stopTime)).fileTime))
    }

    /// Microseconds.
    private static let margin: Int64 = 2_000_000

    /// The first step that has to be looked at for something later than the moment, so that a backup without it can be used; nil when it
    /// cannot be used at all.
    ///
    /// What stands in the log before a backup is part of it. A backup's checkpoint tells the server's clock shortly before the position was
    /// fixed at which replay begins, cut to the second (`CreateCheckPoint`, access/transam/xlog.c): two seconds later than that, all
    /// that stands before that position had ended. So the log is looked at from the newest backup on, up to this one, of which that is true;
    /// and from the one before this one in any case, since a clock may have been wrong.
    private func firstToLookAt(_ number: Int, _ path: LogPath, _ moment: PostgresTime) throws -> Int? {
        let backup = backups[number]
        guard let start = path.index(of: backup.logStart) else { return nil }
        for (distance, older) in backups[number...].enumerated() {
            guard let from = path.index(of: older.logStart), stretches.path(of: older) == path else { break }
            guard let checkpoint = try checkpointTime(older, path), checkpoint.adding(Self.margin) <= moment else { continue }
            if distance > 0 { return min(from, start) }
            let before = backups.dropFirst(number + 1).first { path.index(of: $0.logStart) != nil }
            return before.flatMap { path.index(of: $0.logStart) } ?? max(0, start - Int(LogStretches.lookBack))
        }
        return nil
    }

    /// The time in a backup's own checkpoint; when the backup was complete where the log does not show that.
    private func checkpointTime(_ backup: BaseBackup, _ path: LogPath) throws -> PostgresTime? {
        if let first = path.index(of: backup.facts.start) {
            let last = path.index(of: backup.facts.stop) ?? path.steps.count - 1
            for step in path.steps[first...max(first, last)] {
                let own = try view.facts(step.segment).checkpoints.first { $0.redo == backup.facts.start }
                if let own { return own.time }
            }
        }
        return PostgresTime(backup.facts.stopTime)
    }

    /// The first backup that becomes consistent behind the end of a path.
    func nextBackup(behind path: LogPath) -> BaseBackup? {
        backups.last { $0.facts.start >= path.end && stretches.path(of: $0) != nil }
    }
}

extension PostgresTime {
    /// The nearest that there is, where the sum is none: a record of the log can hold any time.
    func adding(_ microseconds: Int64) -> PostgresTime {
        PostgresTime(microseconds: Int64(clamping: Int128(self.microseconds) + Int128(microseconds)))
    }
}
