import RepoBase
import Testing
@testable import PostgresFormats

/// Keeps every record as pg_waldump would list it.
struct RecordKeeper: WALRecordVisitor {
    struct Kept: Hashable { var manager: UInt8, total: Int, transaction: UInt32, position: LogSequenceNumber, previous: LogSequenceNumber }
    let version: WALVersion
    var kept: [Kept] = []
    var events: [WALEvent] = []
    var shouldContinue: Bool { true }

    init(_ version: WALVersion = .postgres15) { self.version = version }

    mutating func visit(_ record: WALRecord) -> String? {
        kept.append(
            Kept(
                manager: record.resourceManager, total: record.totalLength, transaction: record.transaction, position: record.position,
                previous: record.previous))
        guard record.bytes.count < record.totalLength || WALRecordContent(record.bytes, totalLength: record.totalLength, version: version) != nil
        else { return "its content does not parse" }
        switch WALEvent.read(record, version: version) {
        case .nothing: return nil
        case .event(let event): events.append(event)
        case .nonsense(let why): return why
        }
        return nil
    }
}

@Suite("Records of a real log, beside pg_waldump")
struct RecordReaderTests {
    let log: RecordedLog
    init() throws { log = try RecordedLog.shared.get() }

    /// Names of resource managers by number (access/rmgrlist.h of PostgreSQL 15).
    static let managers = [
        "XLOG", "Transaction", "Storage", "CLOG", "Database", "Tablespace", "MultiXact", "RelMap", "Standby", "Heap2", "Heap", "Btree", "Hash",
        "Gin", "Gist", "Sequence", "SPGist", "BRIN", "CommitTs", "ReplicationOrigin", "Generic", "LogicalMessage",
    ]

    private func readAll() throws -> RecordKeeper {
        var keeper = RecordKeeper()
        var reader: WALRecordReader?
        for name in log.segments {
            try log.files[name]!.withUnsafeBytes { bytes in
                let identity = try WALSegmentIdentity(bytes, object: name)
                var next =
                    reader ?? WALRecordReader(version: identity.version, segmentSize: identity.segmentSize.bytes, blockSize: identity.blockSize)
                switch next.read(bytes, start: identity.start.value, visitor: &keeper) {
                case .full, .switched: break
                case let other: Issue.record("\(name): \(other)")
                }
                reader = next
            }
        }
        return keeper
    }

    @Test("every record is found, with its manager, length, transaction, position and link")
    func records() throws {
        let keeper = try readAll()
        #expect(log.records.count > 20_000)
        #expect(keeper.kept.count == log.records.count)
        for (mine, theirs) in zip(keeper.kept, log.records) {
            let same =
                Self.managers[Int(mine.manager)] == theirs.manager && mine.total == theirs.total && mine.transaction == theirs.transaction
                && mine.position == theirs.position && mine.previous == theirs.previous
            guard same else {
                Issue.record("\(mine) is not \(theirs)")
                return
            }
        }
    }

    @Test("every transaction's end has its kind, time and transaction")
    func transactionEnds() throws {
        let mine = try readAll().events.compactMap { event -> WALTransactionEnd? in
            if case .transactionEnd(let end) = event { end } else { nil }
        }
        let kinds = ["COMMIT": WALTransactionEnd.Kind.commit, "ABORT": .abort, "COMMIT_PREPARED": .commitPrepared, "ABORT_PREPARED": .abortPrepared]
        let theirs = log.records.filter { $0.manager == "Transaction" }.compactMap { record -> (RecordedLog.DumpedRecord, WALTransactionEnd.Kind)? in
            kinds[String(record.description.prefix { $0 != " " })].map { (record, $0) }
        }
        #expect(mine.count == theirs.count)
        #expect(Set(mine.map(\.kind)) == [.commit, .abort, .commitPrepared, .abortPrepared])
        for (end, (record, kind)) in zip(mine, theirs) {
            #expect(end.kind == kind)
            #expect(end.position == record.position)
            #expect(end.time == record.time)
            if kind == .commit || kind == .abort { #expect(end.transaction == record.transaction) }
            // `COMMIT_PREPARED 741: 2026-…`
            if let prepared = UInt32(record.description.drop { $0 != " " }.dropFirst().prefix { $0 != ":" }) {
                #expect(end.transaction == prepared)
            }
        }
        #expect(mine.contains { $0.kind == .commitPrepared && $0.end.value - $0.position.value > 8192 })
    }

    @Test("restore points and checkpoints are as pg_waldump tells them")
    func others() throws {
        let events = try readAll().events
        let points = events.compactMap { if case .restorePoint(let point) = $0 { point } else { nil } }
        let dumped = log.records.filter { $0.description.hasPrefix("RESTORE_POINT") }
        #expect(points.map(\.name) == dumped.map { String($0.description.dropFirst("RESTORE_POINT ".count)) })
        #expect(points.map(\.position) == dumped.map(\.position))
        #expect(points.contains { $0.name.utf8.count == 63 })
        let checkpoints = events.compactMap { if case .checkpoint(let checkpoint) = $0 { checkpoint } else { nil } }
        let listed = log.records.filter { $0.description.hasPrefix("CHECKPOINT_") }
        #expect(checkpoints.map(\.position) == listed.map(\.position))
        for (mine, theirs) in zip(checkpoints, listed) {
            #expect(theirs.description.contains("redo \(mine.redo);"))
            #expect(theirs.description.contains("tli \(mine.timeline);"))
            #expect(mine.isShutdown == theirs.description.contains("; shutdown"))
        }
    }
}
