public import RepoBase

/// The bytes of a segment's facts (format.md, 12.3).
extension WALFacts {
    public func encoded() -> [UInt8] {
        var writer = ByteWriter()
        if let firstRecord { writer.field(16) { $0.position(firstRecord) } }
        if let endOfRecords { writer.field(17) { $0.position(endOfRecords) } }
        if let earliestEnd, let latestEnd, let lastEnd, let lowestTransaction, let highestTransaction {
            writer.field(18) {
                $0.varint(transactionEnds)
                $0.zigzag(earliestEnd.microseconds)
                $0.zigzag(latestEnd.microseconds)
                $0.zigzag(lastEnd.microseconds)
                $0.varint(UInt64(lowestTransaction))
                $0.varint(UInt64(highestTransaction))
            }
        }
        for point in restorePoints {
            writer.field(19) {
                $0.position(point.position)
                $0.position(point.end)
                $0.zigzag(point.time.microseconds)
                $0.text(point.name)
            }
        }
        for checkpoint in checkpoints {
            writer.field(20) {
                $0.position(checkpoint.position)
                $0.position(checkpoint.redo)
                $0.zigzag(checkpoint.time.microseconds)
                $0.varint(UInt64(checkpoint.timeline))
                $0.u8(checkpoint.isShutdown ? 1 : 0)
            }
        }
        if let switchRecord { writer.field(21) { $0.position(switchRecord) } }
        if let openRecord {
            writer.field(22) {
                $0.position(openRecord.position)
                $0.raw(openRecord.head)
            }
        }
        if let continuation {
            writer.field(23) {
                $0.varint(UInt64(continuation.remaining))
                $0.raw(continuation.head)
            }
        }
        if isTruncated { writer.field(24) { _ in } }
        return writer.bytes
    }

    /// Throws `.damaged`, naming `object`.
    public init(_ bytes: [UInt8], object: String) throws(RepoError) {
        var reader = ByteReader(bytes, object: object)
        var facts = WALFacts()
        try reader.fields { (tag, field) throws(RepoError) -> Bool in
            switch tag {
            case 16: facts.firstRecord = try field.position()
            case 17: facts.endOfRecords = try field.position()
            case 18:
                facts.transactionEnds = try field.varint()
                facts.earliestEnd = PostgresTime(microseconds: try field.zigzag())
                facts.latestEnd = PostgresTime(microseconds: try field.zigzag())
                facts.lastEnd = PostgresTime(microseconds: try field.zigzag())
                facts.lowestTransaction = try field.u32Varint("a transaction id")
                facts.highestTransaction = try field.u32Varint("a transaction id")
            case 19:
                guard facts.restorePoints.count < WALFacts.listLimit else { throw field.fail("it lists too many restore points") }
                facts.restorePoints.append(
                    RestorePoint(
                        position: try field.position(), end: try field.position(),
                        time: PostgresTime(microseconds: try field.zigzag()), name: try field.text()))
            case 20:
                guard facts.checkpoints.count < WALFacts.listLimit else { throw field.fail("it lists too many checkpoints") }
                facts.checkpoints.append(
                    Checkpoint(
                        position: try field.position(), redo: try field.position(),
                        time: PostgresTime(microseconds: try field.zigzag()), timeline: try field.u32Varint("a timeline"),
                        isShutdown: try field.u8() == 1))
            case 21: facts.switchRecord = try field.position()
            case 22:
                let position = try field.position()
                facts.openRecord = OpenRecord(position: position, head: try field.edge())
            case 23:
                let remaining = try field.u32Varint("a length")
                facts.continuation = Continuation(remaining: remaining, head: try field.edge())
            case 24: facts.isTruncated = true
            default: return false
            }
            return true
        }
        self = facts
    }
}

extension ByteReader {
    fileprivate mutating func edge() throws(RepoError) -> [UInt8] {
        guard remaining <= WALFacts.edgeLimit else { throw fail("it holds more of a record than it may") }
        return Array(try raw(remaining))
    }
}
