import PostgresFormats

/// Up to which moment the end of the log is known to hold everything.
///
/// Where the log ends without anything later than the asked-for moment, it may end because nothing happened, or because what happened is not
/// here. A time in the log settles that: a commit is confirmed to whoever made it after its record is written, so what had been confirmed
/// before the server's clock showed `t` stands in the log before any record that took its time at `t` or later. Such records are
/// commits and aborts, restore points, the end of a recovery, and checkpoints; for these it holds even of what was not confirmed yet,
/// since a checkpoint waits for transactions that took their time before it did (`DELAY_CHKPT_START`, access/transam/xact.c, 15) and is written
/// after that. A checkpoint's time is cut to the second, which errs on the safe side.
///
/// All of this supposes a clock that does not go back. Where transactions with earlier times follow a record, its time proves nothing.
///
/// What does not count: when a segment was archived or received (another machine's clock), and that a segment was given up by `archive_timeout`,
/// which leaves no time in the log.
struct TailEvidence {
    let search: LogSearch
    /// Segments at the end that are looked through.
    static let reach = 32

    init(_ search: LogSearch) { self.search = search }

    /// - Parameter latestEnd: the latest time of a transaction's end on the path; none is later than the moment that is asked for.
    func latest(_ latestEnd: PostgresTime?) throws -> PostgresTime? {
        let path = search.path
        var from: (step: Int, position: LogSequenceNumber)?
        for index in path.steps.indices.reversed().prefix(Self.reach) {
            let facts = try search.view.facts(path.steps[index].segment)
            guard let first = facts.firstRecord, first < path.steps[index].end else { continue }
            from = (index, first)
            if !facts.checkpoints.isEmpty || !facts.restorePoints.isEmpty { break }
        }
        guard let from else { return latestEnd }
        var times: [(time: PostgresTime, isEnd: Bool)] = []
        try search.scan(from.step...(path.steps.count - 1), from: from.position) { event in
            switch event {
            case .transactionEnd(let end): times.append((end.time, true))
            case .restorePoint(let point): times.append((point.time, false))
            case .checkpoint(let checkpoint): times.append((checkpoint.time, false))
            case .endOfRecovery(let end): times.append((end.time, false))
            }
            return true
        }
        var latest = latestEnd
        var earliestBehind = PostgresTime(microseconds: .max)
        for (time, isEnd) in times.reversed() {
            if isEnd {
                earliestBehind = min(earliestBehind, time)
            } else if time <= earliestBehind {
                latest = max(time, latest ?? time)
            }
        }
        return latest
    }
}
