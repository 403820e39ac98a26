public import RepoBase

/// Reads the log from a position on, one segment after the other, and shows each event that recovery planning looks at, in the log's order.
///
/// Segments may be of ascending timelines: where a timeline ends, the segment of the new one, which begins with a copy of the old one's,
/// takes the old one's place. Memory is constant; each segment is read in one pass, with every check that `WALSegmentReader` makes and the
/// checksums of records across segments.
public struct WALTransactionScan {
    /// Events before it are not shown; it is the first segment's `start` or behind it.
    public let start: LogSequenceNumber
    /// The last whole record so far.
    public private(set) var lastRecord: LastRecord?
    /// A record that the last segment began and did not end.
    public private(set) var openRecord: LogSequenceNumber?
    /// The caller's body wanted no more.
    public private(set) var isStopped = false
    /// Where the last segment ended before its end, and why: the end of the log, where that segment was the last.
    public private(set) var fault: WALFault?

    private var reader: WALRecordReader?
    private var identity: WALSegmentIdentity?

    public struct LastRecord: Hashable, Sendable {
        public var position: LogSequenceNumber
        /// Behind it; behind an `XLOG_SWITCH` the segment's end.
        public var end: LogSequenceNumber
    }

    public init(from start: LogSequenceNumber) { self.start = start }

    /// Reads the next segment; the first is the one that holds `start`.
    ///
    /// - Parameters:
    ///   - bytes: the segment, or its beginning; then no other may follow.
    ///   - extent: what may follow the log's end in it: nothing in a `.complete` one. In the others a fault ends the scan in peace.
    ///   - object: how errors call the segment.
    ///   - body: called for each event; returns whether to go on.
    ///
    /// Throws `.damaged` with byte offset and position, and where the segment does not follow the one before.
    public mutating func read(
        _ bytes: UnsafeRawBufferPointer, extent: WALSegmentReader.Extent = .complete, object: String,
        _ body: (WALEvent) -> Bool
    ) throws(RepoError) {
        let next = try WALSegmentIdentity(bytes, object: object)
        try follow(next, object: object)
        var reader =
            self.reader
            ?? WALRecordReader(
                version: next.version, segmentSize: next.segmentSize.bytes, blockSize: next.blockSize)
        let outcome = withoutActuallyEscaping(body) { body in
            var visitor = Visitor(version: next.version, start: start, body: body)
            let outcome = reader.read(bytes, start: next.start.value, visitor: &visitor)
            isStopped = !visitor.shouldContinue
            return outcome
        }
        if let position = reader.previous, let end = reader.endOfRecords {
            lastRecord = LastRecord(position: LogSequenceNumber(position), end: LogSequenceNumber(end))
        }
        openRecord = reader.pending?.position.map { LogSequenceNumber($0) }
        self.reader = reader
        identity = next
        switch outcome {
        case .full, .switched, .enough: break
        case .cut:
            fault = WALFault(
                offset: bytes.count, position: LogSequenceNumber(next.start.value + UInt64(bytes.count)), reason: "the file ends")
            if extent == .complete {
                throw .damagedLog(object, "it has \(bytes.count) bytes; a segment of this cluster has \(next.segmentSize.bytes)")
            }
        case .stopped(let offset, let page, let reason):
            let end = WALSegmentTail(bytes, identity: next).classify(offset: offset, page: page, reason: reason)
            switch end {
            case .zeros(let fault) where extent == .partial, .leftovers(let fault) where extent == .partial: self.fault = fault
            case .zeros(let fault), .leftovers(let fault): throw .damagedLog(object, "the log ends in it \(fault)")
            case .damaged(let fault): throw .damagedLog(object, fault.description)
            case .full, .switched, .cut: break
            }
        }
    }

    private func follow(_ next: WALSegmentIdentity, object: String) throws(RepoError) {
        guard let identity else {
            guard start >= next.start, start.value - next.start.value < UInt64(next.segmentSize.bytes) else {
                throw .damagedLog(object, "it holds the log from \(next.start) on, which does not hold \(start)")
            }
            return
        }
        guard next.systemIdentifier == identity.systemIdentifier, next.version == identity.version,
            next.segmentSize == identity.segmentSize, next.blockSize == identity.blockSize
        else { throw .damagedLog(object, "it is of another cluster than the segment before it") }
        guard next.number == identity.number + 1, fault == nil else {
            throw .damagedLog(object, "it holds the log from \(next.start) on and does not follow the segment before it")
        }
    }

    private struct Visitor: WALRecordVisitor {
        let version: WALVersion
        let start: LogSequenceNumber
        let body: (WALEvent) -> Bool
        var shouldContinue = true

        @inline(__always)
        mutating func visit(_ record: WALRecord) -> String? {
            guard record.hasNews, record.position >= start else { return nil }
            switch WALEvent.read(record, version: version) {
            case .nothing: return nil
            case .nonsense(let why): return why
            case .event(let event):
                shouldContinue = body(event)
                return nil
            }
        }
    }
}
