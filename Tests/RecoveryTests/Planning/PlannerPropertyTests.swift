import PostgresFormats
import RepoBase
import Testing

@testable import Recovery

/// Histories by the thousand, with jitter in commit times, records across boundaries, forks, gaps and parts: what a plan brings about is
/// compared with what is true, and each refusal with whether anybody could have done it.
@Suite("The planner on random histories")
struct PlannerPropertyTests {
    private func randomLog(_ numbers: inout SeededNumbers) -> ModelLog {
        var log = ModelLog()
        var timeline: UInt32 = 1
        let jitter = [0, 3, 5000, 2_000_000].randomElement(using: &numbers)!
        func work(_ log: inout ModelLog, _ count: Int, _ timeline: UInt32) {
            for _ in 0..<count {
                let size = UInt64([60, 900, 40_000, 300_000, 1_500_000].randomElement(using: &numbers)!)
                let pause = Int64([0, 1, 20, 400_000, 3_000_000].randomElement(using: &numbers)!)
                let late = jitter > 0 ? Int64.random(in: 0...Int64(jitter), using: &numbers) : 0
                switch Int.random(in: 0..<10, using: &numbers) {
                case 0: log.write(.checkpoint, size: 120, timeline: timeline, pause: pause)
                case 1: log.write(.restorePoint("p\(log.records[timeline]?.count ?? 0)"), size: 98, timeline: timeline, pause: pause)
                case 2: log.switchSegment(timeline: timeline)
                case 3: log.write(.abort(log.nextTransaction()), size: size, timeline: timeline, jitter: late, pause: pause)
                case 4, 5: log.write(.other, size: size, timeline: timeline, pause: pause)
                default: log.write(.commit(log.nextTransaction()), size: size, timeline: timeline, jitter: late, pause: pause)
                }
            }
        }
        work(&log, Int.random(in: 1...12, using: &numbers), timeline)
        for _ in 0..<Int.random(in: 1...4, using: &numbers) {
            let during = Int.random(in: 0...4, using: &numbers)
            log.backUp(timeline: timeline) { work(&$0, during, timeline) }
            work(&log, Int.random(in: 0...20, using: &numbers), timeline)
            if Int.random(in: 0..<4, using: &numbers) == 0 {
                log.fork(from: timeline, to: timeline + 1)
                // The old one goes on, or not; the new one may be abandoned.
                work(&log, Int.random(in: 0...6, using: &numbers), timeline)
                work(&log, Int.random(in: 1...6, using: &numbers), timeline + 1)
                if Bool.random(using: &numbers) { timeline += 1 }
            }
        }
        return log
    }

    private func randomView(_ log: ModelLog, _ numbers: inout SeededNumbers) -> ModelView {
        var view = ModelView(log: log, segments: log.allSegments())
        view.unknownEvery = [0, 2, 3].randomElement(using: &numbers)!
        if Int.random(in: 0..<3, using: &numbers) == 0 {
            for _ in 0..<Int.random(in: 1...2, using: &numbers) {
                if let lost = view.segments.sorted().randomElement(using: &numbers) { view.segments.remove(lost) }
            }
        }
        for timeline in log.records.keys.sorted() where Bool.random(using: &numbers) {
            let end = log.records[timeline]!.last!.end.value
            let size = UInt64(ModelLog.segment.bytes)
            let length = UInt32(end % size) / 8192 * 8192
            if length > 0 { view.received[WALSegment(timeline: timeline, number: end / size)] = length }
        }
        return view
    }

    @Test("a plan for a time brings back what had ended by then, and a refusal is right", arguments: 0..<40)
    func time(block: Int) throws {
        for seed in 0..<40 {
            var numbers = SeededNumbers(UInt64(block * 40 + seed))
            let log = randomLog(&numbers)
            let view = randomView(log, &numbers)
            let planner = RecoveryPlanner(view, backups: log.backups)
            let timeline = log.backups.map(\.facts.timeline).max()!
            let records = log.records[timeline]!
            for _ in 0..<6 {
                let moment = randomMoment(records, &numbers)
                let context: Comment = "seed \(block * 40 + seed), moment \(moment.microseconds)"
                let later = records.first { $0.transactionEnd.map { $0.time > moment } ?? false }
                do {
                    let plan = try planner.plan(.time(moment.fileTime), timeline: .number(timeline))
                    try check(plan, moment, records, later, view, context)
                } catch let error as RepoError where error.code == .timeNotRecoverable {
                    #expect(
                        !isCertainlyRecoverable(moment, records, later, timeline, view), "\(error) \(context)")
                }
            }
        }
    }

    private func randomMoment(_ records: [ModelLog.Record], _ numbers: inout SeededNumbers) -> PostgresTime {
        let record = records.randomElement(using: &numbers)!
        let offset = Int64([-2_500_000, -1, 0, 0, 1, 7, 1_000_000, 2_500_000].randomElement(using: &numbers)!)
        return PostgresTime(microseconds: record.time.microseconds + offset)
    }

    private func check(
        _ plan: RecoveryPlan, _ moment: PostgresTime, _ records: [ModelLog.Record], _ later: ModelLog.Record?, _ view: ModelView,
        _ context: Comment
    ) throws {
        let outcome = ModelReplay(view: view).run(plan)
        guard case .stopped(let committed) = outcome else {
            Issue.record("\(outcome) \(context)")
            return
        }
        let expected = ModelReplay.committed(records.prefix { $0 != later })
        switch plan.reason {
        case .transactionIsLater: #expect(committed == expected, context)
        case .endOfLog:
            // What is not there was not confirmed to anybody by then.
            #expect(expected.starts(with: committed), context)
            for record in records {
                guard case .commit(let id) = record.kind, expected.contains(id), !committed.contains(id) else { continue }
                #expect(record.written > moment, context)
            }
        default: Issue.record("\(plan.reason) \(context)")
        }
        #expect(plan.segments.allSatisfy { view.segments.contains($0) || view.received[$0] != nil }, context)
        checkLast(plan, view, context)
    }

    /// What is said to be the last transaction of the result is that.
    private func checkLast(_ plan: RecoveryPlan, _ view: ModelView, _ context: Comment) {
        guard let last = plan.lastTransaction?.transaction, case .commit = plan.lastTransaction?.kind, case .stopped(let committed) = ModelReplay(view: view).run(plan)
        else { return }
        #expect(committed.last == last, "\(plan.reason), \(context)")
    }

    /// Whether the record to stop before, and all the log to it from a backup that is surely before the moment, is there.
    private func isCertainlyRecoverable(
        _ moment: PostgresTime, _ records: [ModelLog.Record], _ later: ModelLog.Record?, _ timeline: UInt32, _ view: ModelView
    ) -> Bool {
        guard let later else { return false }
        let chain = TimelineChain(view.history(of: timeline)!)
        return view.log.backups.contains { backup in
            guard chain.holds(backup), backup.facts.stop <= later.position,
                PostgresTime(backup.facts.startTime).microseconds + 3_000_000 <= moment.microseconds
            else { return false }
            let plan = RecoveryPlan(
                target: .latest, backup: backup, timeline: timeline, stop: .before(later.position), reason: .position, segments: [])
            return ModelReplay(view: view).run(plan) == .stopped(ModelReplay.committed(records.prefix { $0 != later }))
        }
    }

    @Test("a plan for a transaction ends with it, and every position is reached or refused", arguments: 0..<10)
    func transactionsAndPositions(block: Int) throws {
        for seed in 0..<30 {
            var numbers = SeededNumbers(UInt64(1_000_000 + block * 30 + seed))
            let log = randomLog(&numbers)
            let view = randomView(log, &numbers)
            let timeline = log.backups.map(\.facts.timeline).max()!
            let records = log.records[timeline]!
            for excludes in [false, true] {
                let planner = RecoveryPlanner(view, backups: log.backups, excludesTarget: excludes)
                let context: Comment = "seed \(1_000_000 + block * 30 + seed)"
                for record in records where Int.random(in: 0..<4, using: &numbers) == 0 {
                    if let ended = record.transactionEnd {
                        let plan = try? planner.plan(.transaction(ended.transaction!), timeline: .number(timeline))
                        if let plan {
                            let expected = ModelReplay.committed(records.filter { $0.position < record.position || !excludes && $0 == record })
                            #expect(ModelReplay(view: view).run(plan) == .stopped(expected), "transaction, \(context)")
                            checkLast(plan, view, context)
                        }
                    }
                    if case .restorePoint(let name) = record.kind {
                        let plan = try? planner.plan(.name(name), timeline: .number(timeline))
                        if let plan {
                            let expected = ModelReplay.committed(records.prefix { $0 != record })
                            #expect(ModelReplay(view: view).run(plan) == .stopped(expected), context)
                            checkLast(plan, view, context)
                        }
                    }
                    let position = LogSequenceNumber(record.position.value + UInt64([0, 0, 8, 16].randomElement(using: &numbers)!))
                    if let plan = try? planner.plan(.position(position), timeline: .number(timeline)) {
                        let first = records.firstIndex { $0.position >= position } ?? records.count
                        let count = excludes ? first : min(first + 1, records.count)
                        let outcome = ModelReplay(view: view).run(plan)
                        let here = ModelReplay.committed(records[..<count])
                        // Where nothing that begins behind the position is in the archive, everything before it is.
                        let before = ModelReplay.committed(records.prefix { $0.position < position })
                        #expect(outcome == .stopped(here) || outcome == .stopped(before), context)
                        checkLast(plan, view, context)
                    }
                }
            }
            for target in [RecoveryTarget.latest, .immediate] {
                let plan = try? RecoveryPlanner(view, backups: log.backups).plan(target, timeline: .number(timeline))
                if let plan, case .stopped = ModelReplay(view: view).run(plan) {
                    checkLast(plan, view, "seed \(1_000_000 + block * 30 + seed)")
                    continue
                }
                #expect(plan == nil, "seed \(1_000_000 + block * 30 + seed)")
            }
        }
    }
}
