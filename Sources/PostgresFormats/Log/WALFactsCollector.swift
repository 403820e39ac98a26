/// Gathers the facts of a segment from its records.
struct WALFactsCollector: WALRecordVisitor {
    let version: WALVersion
    var facts = WALFacts()
    var records = 0
    /// The highest timeline that a checkpoint or an end of recovery names.
    var namedTimeline: UInt32 = 0
    /// The last record's kind.
    private(set) var lastIsFullPageWritesChange = false

    init(version: WALVersion) { self.version = version }

    var shouldContinue: Bool { true }

    @inline(__always)
    mutating func visit(_ record: WALRecord) -> String? {
        records += 1
        return record.resourceManager <= 1 ? look(record) : nil
    }

    private mutating func look(_ record: WALRecord) -> String? {
        lastIsFullPageWritesChange = false
        switch WALEvent.read(record, version: version) {
        case .nothing:
            if record.isSwitch { facts.switchRecord = record.position }
            lastIsFullPageWritesChange =
                record.resourceManager == WALRecord.xlogManager && WALRecord.kind(record.info) == WALRecord.fullPageWritesChange
        case .nonsense(let why): return why
        case .event(.transactionEnd(let end)): facts.add(end)
        case .event(.restorePoint(let point)):
            if facts.restorePoints.count < WALFacts.listLimit { facts.restorePoints.append(point) } else { facts.isTruncated = true }
        case .event(.checkpoint(let checkpoint)):
            if facts.checkpoints.count < WALFacts.listLimit { facts.checkpoints.append(checkpoint) } else { facts.isTruncated = true }
            namedTimeline = max(namedTimeline, checkpoint.timeline)
        case .event(.endOfRecovery(let end)): namedTimeline = max(namedTimeline, end.timeline)
        }
        return nil
    }
}

extension WALFacts {
    /// Counts one more end of a transaction, the last so far.
    mutating func add(_ end: WALTransactionEnd) {
        transactionEnds += 1
        earliestEnd = min(earliestEnd ?? end.time, end.time)
        latestEnd = max(latestEnd ?? end.time, end.time)
        lastEnd = end.time
        if let transaction = end.transaction {
            lowestTransaction = min(lowestTransaction ?? transaction, transaction)
            highestTransaction = max(highestTransaction ?? transaction, transaction)
        }
    }
}
