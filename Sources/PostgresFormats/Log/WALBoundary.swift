/// What lies across the boundary between two segments, told from their facts alone, so that recovery planning need not read them.
///
/// The checksum of such a record is not verified here; reading the segments (`WALTransactionScan`) does.
public enum WALBoundary: Hashable, Sendable {
    /// No record crosses it.
    case nothing
    /// A transaction's end, whose record ends in the segment after, or in a later one.
    case transactionEnd(WALTransactionEnd)
    /// A record of another kind, and where it ends.
    case otherRecord(position: LogSequenceNumber, end: LogSequenceNumber)
    /// A crash lost the record's rest, and the log went on without it.
    case abandoned(position: LogSequenceNumber)
    /// The record goes on behind the last segment given.
    case unfinished(position: LogSequenceNumber)
    /// The facts do not hold enough of the record; `position` is where it begins.
    case unknown(position: LogSequenceNumber)
    /// The segments do not fit each other, and why.
    case contradiction(String)

    /// - Parameters:
    ///   - facts: of the segment before the boundary.
    ///   - later: of the segments that follow it, in order, as many as the record may reach into.
    ///   - start: where the first of `later` begins.
    ///   - blockSize: of the log's pages, in bytes.
    public init(
        after facts: WALFacts, followedBy later: some Sequence<WALFacts>, start: LogSequenceNumber, size: WALSegmentSize,
        version: WALVersion, blockSize: Int = 8192
    ) {
        var later = later.makeIterator()
        guard let next = later.next() else {
            self = facts.openRecord.map { .unfinished(position: $0.position) } ?? .nothing
            return
        }
        guard let open = facts.openRecord else {
            // A record that spans the whole of the first segment leaves no open record in its facts.
            self = facts.continuation != nil && facts.endOfRecords == nil || next.continuation == nil
                ? .nothing : .contradiction("a record that goes on at \(start) did not begin before it")
            return
        }
        guard let continuation = next.continuation else {
            self = .abandoned(position: open.position)
            return
        }
        self = Self.join(
            open, continuation, later: &later, start: start, size: size, version: version, blockSize: blockSize)
    }

    private static func join(
        _ open: WALFacts.OpenRecord, _ continuation: WALFacts.Continuation, later: inout some IteratorProtocol<WALFacts>,
        start: LogSequenceNumber, size: WALSegmentSize, version: WALVersion, blockSize: Int
    ) -> WALBoundary {
        guard open.position < start, start.value - open.position.value <= UInt64(size.bytes), open.head.count >= 8 else {
            return .contradiction("the record at \(open.position) does not reach \(start)")
        }
        let total = open.head.withUnsafeBytes { UInt64($0.u32(0)) }
        let held = WALLayout.bytes(from: open.position.value, to: start.value, blockSize: blockSize)
        guard total == held + UInt64(continuation.remaining), UInt64(open.head.count) <= held else {
            return .contradiction(
                "the record at \(open.position) has \(total) bytes, \(held) of them before \(start), and \(continuation.remaining) follow")
        }
        // Segments between hold nothing but this record.
        let capacity = WALLayout.capacity(segmentSize: size.bytes, blockSize: blockSize)
        var (remaining, begin) = (UInt64(continuation.remaining), start.value)
        while remaining > capacity {
            remaining -= capacity
            begin &+= UInt64(size.bytes)
            guard let facts = later.next() else { return .unfinished(position: open.position) }
            guard let more = facts.continuation else { return .abandoned(position: open.position) }
            guard UInt64(more.remaining) == remaining else {
                return .contradiction(
                    "the record at \(open.position) goes on at \(LogSequenceNumber(begin)) by \(more.remaining) bytes, not \(remaining)")
            }
        }
        let end = LogSequenceNumber(
            WALLayout.position(after: remaining, in: begin, segmentSize: size.bytes, blockSize: blockSize))
        // The two heads are one piece where the first holds all that its segment has of the record.
        let isWhole = held == UInt64(open.head.count)
        let head = isWhole ? open.head + continuation.head : open.head
        return head.withUnsafeBytes { bytes in
            guard bytes.count >= WALRecord.headerSize else { return .unknown(position: open.position) }
            guard bytes.u8(17) == WALRecord.transactionManager else { return .otherRecord(position: open.position, end: end) }
            switch WALTransactionEnd.read(bytes, position: open.position, end: end, version: version) {
            case .noEnd: return .otherRecord(position: open.position, end: end)
            case .end(let transactionEnd): return .transactionEnd(transactionEnd)
            case .tooShort: return .unknown(position: open.position)
            case .nonsense(let why): return .contradiction("the record at \(open.position) makes no sense: \(why)")
            }
        }
    }
}
