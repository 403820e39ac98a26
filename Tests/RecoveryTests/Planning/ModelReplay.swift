import PostgresFormats

@testable import Recovery

/// What PostgreSQL would do with a plan, told apart from the planner's own code: follows the files that an archive has, record by record.
struct ModelReplay {
    enum Outcome: Equatable {
        /// Transactions that are committed in the result, all those of before the backup included.
        case stopped([UInt32])
        /// "recovery ended before configured recovery target was reached".
        case endedEarly
        /// "requested recovery stop point is before consistent recovery point".
        case inconsistent
    }

    let view: ModelView

    /// Transactions that were committed in the order of the log.
    static func committed(_ records: some Sequence<ModelLog.Record>) -> [UInt32] {
        records.compactMap { if case .commit(let id) = $0.kind { id } else { nil } }
    }

    func run(_ plan: RecoveryPlan) -> Outcome {
        let size = UInt64(ModelLog.segment.bytes)
        let history = view.history(of: plan.timeline)!
        let before = view.log.records[plan.backup.facts.timeline]!.filter { $0.position < plan.backup.facts.start }
        var applied = before
        var number = plan.backup.facts.start.value / size
        var newest: UInt32 = 0
        var position = plan.backup.facts.start
        func isReached() -> Bool { (applied.last?.end ?? .invalid) >= plan.backup.facts.stop }
        while true {
            let candidates = history.spans.reversed().filter { $0.timeline >= newest && $0.begin.value / size <= number }
            guard
                let chosen = candidates.first(where: {
                    let segment = WALSegment(timeline: $0.timeline, number: number)
                    return view.segments.contains(segment) || view.received[segment] != nil
                })
            else { return .endedEarly }
            if let fork = chosen.end, fork.value <= number * size { return .endedEarly }
            let segment = WALSegment(timeline: chosen.timeline, number: number)
            let end = view.segments.contains(segment) ? (number + 1) * size : number * size + UInt64(view.received[segment]!)
            // A record can be read when all files up to its end are there; what it says is what the file of its end says.
            for record in view.log.records[chosen.timeline]! where record.position == position {
                guard record.end.value <= end, chosen.end.map({ record.position < $0 }) ?? true else { break }
                switch plan.stop {
                case .before(let stop) where record.position >= stop:
                    return isReached() ? .stopped(Self.committed(applied)) : .inconsistent
                case .after(let stop) where record.position >= stop:
                    applied.append(record)
                    return isReached() ? .stopped(Self.committed(applied)) : .inconsistent
                case .consistency where isReached(): return .stopped(Self.committed(applied))
                default: break
                }
                applied.append(record)
                position = record.end
            }
            if case .consistency = plan.stop, isReached() { return .stopped(Self.committed(applied)) }
            // Behind a fork in it, this file holds what was abandoned.
            if end < (number + 1) * size || chosen.end.map({ $0.value < end }) ?? false { return .endedEarly }
            newest = chosen.timeline
            number += 1
        }
    }
}
