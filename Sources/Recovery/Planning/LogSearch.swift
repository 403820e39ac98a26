import PostgresFormats
import RepoBase

/// Finds records along a path by what is known of its segments, and reads only those in which they must be.
struct LogSearch {
    let view: any LogView
    let path: LogPath

    /// The first end of a transaction, in the log's order, that `matches`.
    ///
    /// - Parameters:
    ///   - first: the step to begin with; a record that crosses into it is not looked at.
    ///   - end: nothing that begins at or behind this is looked at.
    ///   - mayHold: whether a segment of which this is known can hold one that ends in it.
    ///   - observe: told of each segment's facts before it is looked at.
    func firstEnd(
        from first: Int, before end: LogSequenceNumber? = nil, mayHold: (WALFacts) -> Bool, observe: (WALFacts) -> Void = { _ in },
        matches: (WALTransactionEnd) -> Bool
    ) throws -> WALTransactionEnd? {
        /// A record that begins in the first of these and has not ended.
        var open: [(step: Int, facts: WALFacts)] = []
        func isInRange(_ found: WALTransactionEnd) -> Bool { end.map { found.position < $0 } ?? true }
        for index in path.steps.indices.dropFirst(first) {
            let step = path.steps[index]
            if let end, step.segment.start(path.size) >= end { return nil }
            let facts = try view.facts(step.segment)
            observe(facts)
            if step.isCutByFork {
                // The last step: what the facts tell of may lie behind the fork.
                guard let from = open.first?.facts.openRecord?.position ?? facts.firstRecord, from < step.end else { return nil }
                return try read((open.first?.step ?? index)...index, from: from) { matches($0) && isInRange($0) }
            }
            if let record = open.first?.facts.openRecord {
                let second = path.steps[open[0].step + 1].segment.start(path.size)
                switch try view.crossing(open.map(\.facts) + [facts], start: second) {
                case .none, .other: open = []
                case .continues: break
                case .transactionEnd(let found):
                    if matches(found), isInRange(found), found.end <= step.end { return found }
                    open = []
                case .unknown:
                    var found: WALTransactionEnd?
                    let last = try scan(open[0].step...index, from: record.position) { event in
                        if case .transactionEnd(let end) = event, end.position == record.position { found = end }
                        return false
                    }
                    if let found, matches(found), isInRange(found) { return found }
                    // Nothing was whole: it goes on into the next segment.
                    if last != nil { open = [] }
                }
            }
            if mayHold(facts), let from = facts.firstRecord {
                let found = try read(index...index, from: from) { matches($0) && isInRange($0) }
                if let found { return found }
            }
            if facts.openRecord != nil {
                open = [(index, facts)]
            } else if !open.isEmpty {
                open.append((index, facts))
            }
        }
        return nil
    }

    private func read(
        _ steps: ClosedRange<Int>, from position: LogSequenceNumber, until isIt: (WALTransactionEnd) -> Bool
    ) throws -> WALTransactionEnd? {
        var found: WALTransactionEnd?
        try scan(steps, from: position) { event in
            guard case .transactionEnd(let end) = event, isIt(end) else { return true }
            found = end
            return false
        }
        return found
    }

    @discardableResult
    func scan(
        _ steps: ClosedRange<Int>, from position: LogSequenceNumber, _ body: (WALEvent) -> Bool = { _ in true }
    ) throws -> LogRecordSpan? {
        try view.scan(path.steps[steps].map(\.segment), from: position, to: path.steps[steps.upperBound].end, body)
    }

    /// The last whole record of the path. Nil when it has none.
    ///
    /// Cost: reads the last segment, or as many as the last record takes.
    func lastRecord() throws -> LogRecordSpan? {
        guard let last = path.steps.indices.last else { return nil }
        for index in path.steps.indices.reversed() {
            let facts = try view.facts(path.steps[index].segment)
            guard let first = facts.firstRecord, first < path.steps[index].end else { continue }
            if let found = try scan(index...last, from: first) { return found }
        }
        return nil
    }

    /// The last end of a transaction that begins before `position`, wherever it ends; looked for back to `first`.
    func lastEnd(beginningBefore position: LogSequenceNumber, backTo first: Int) throws -> WALTransactionEnd? {
        guard let last = path.index(of: LogSequenceNumber(position.value - 1)) ?? path.steps.indices.last else { return nil }
        /// A record that begins in the segment that is looked at ends here, or before.
        var upper = last
        if let open = try view.facts(path.steps[last].segment).openRecord, open.position < position {
            repeat { upper += 1 } while try upper < path.steps.count && view.facts(path.steps[upper].segment).endOfRecords == nil
            upper = min(upper, path.steps.count - 1)
        }
        for index in (first...max(first, last)).reversed() {
            let facts = try view.facts(path.steps[index].segment)
            guard let from = facts.firstRecord else { continue }
            if facts.transactionEnds > 0 || facts.openRecord != nil {
                var found: WALTransactionEnd?
                try scan(index...upper, from: from) { event in
                    guard event.position < position else { return false }
                    if case .transactionEnd(let end) = event { found = end }
                    return true
                }
                if let found { return found }
            }
            upper = index
        }
        return nil
    }

    /// The first record that begins at or behind `position` and ends before `end`, where it is the end of a transaction.
    func firstRecordIfEnd(from position: LogSequenceNumber, to end: LogSequenceNumber) throws -> WALTransactionEnd? {
        let last = path.index(of: LogSequenceNumber(end.value - 1)) ?? path.steps.count - 1
        guard let first = path.index(of: position), first <= last else { return nil }
        for index in first...last {
            guard let from = try view.facts(path.steps[index].segment).firstRecord else { continue }
            var found: WALTransactionEnd?
            try scan(index...last, from: from) { event in
                guard event.position >= position else { return true }
                if case .transactionEnd(let end) = event { found = end }
                return false
            }
            guard let found, found.end <= end, let at = path.index(of: LogSequenceNumber(found.position.value)) else { return nil }
            let before = try view.scan(path.steps[index...at].map(\.segment), from: from, to: found.position) { _ in true }
            return before.map { $0.position < position } ?? true ? found : nil
        }
        return nil
    }
}
