public import RepoBase

/// Reads a segment of the log in one pass: which one it is, what recovery planning needs to know of it, and how it ends.
///
/// Every page header, every link to the record before and the checksum of every record that begins and ends in the segment is verified.
/// What cannot be: the checksum of a record that comes from or goes on into another segment, bit 2 of a page's flags
/// (`XLP_BKP_REMOVABLE`), bit 3 of the first page's (`XLP_FIRST_IS_OVERWRITE_CONTRECORD`), and a flipped timeline within the bounds
/// that the name sets; PostgreSQL checks none of these on a segment alone either.
public enum WALSegmentReader {
    /// How much of a segment some bytes are.
    public enum Extent: Hashable, Sendable {
        /// The whole, as `archive_command` hands it over: the log fills it, or `XLOG_SWITCH` ends it.
        case complete
        /// A `.partial` file, as long as a segment, in which the log ends somewhere.
        case partial
        /// The first bytes, all of them log.
        case beginning
    }

    /// Reads `bytes`, the whole or the first bytes of a segment, whatever it is called.
    ///
    /// Throws `.damaged`, naming `object`, only where the first page is not that of a segment; other damage is told by `end`.
    public static func read(
        _ bytes: UnsafeRawBufferPointer, object: String, highestTimeline: UInt32 = .max
    ) throws(RepoError) -> WALSegmentContents {
        let identity = try WALSegmentIdentity(bytes, object: object)
        var reader = WALRecordReader(
            version: identity.version, segmentSize: identity.segmentSize.bytes, blockSize: identity.blockSize,
            highestTimeline: highestTimeline)
        var collector = WALFactsCollector(version: identity.version)
        let start = identity.start.value
        let outcome = reader.read(bytes, start: start, visitor: &collector)
        var facts = collector.facts
        facts.firstRecord = reader.firstRecord.map { LogSequenceNumber($0) }
        facts.endOfRecords = reader.endOfRecords.map { LogSequenceNumber($0) }
        facts.continuation = reader.continuation.map { .init(remaining: $0.remaining, head: $0.head) }
        let isBroken: Bool
        let end: WALSegmentEnd
        switch outcome {
        case .full, .enough: (end, isBroken) = (.full, false)
        case .cut: (end, isBroken) = (.cut, false)
        case .switched(let offset):
            let tail = WALSegmentTail(bytes, identity: identity)
            if let fault = tail.faultBehindSwitch(offset) { (end, isBroken) = (.damaged(fault), true) } else { (end, isBroken) = (.switched, false) }
        case .stopped(let offset, let page, let reason):
            let tail = WALSegmentTail(bytes, identity: identity)
            end = tail.classify(offset: offset, page: page, reason: reason)
            isBroken = true
        }
        if end == .full, let pending = reader.pending, let position = pending.position {
            facts.openRecord = .init(position: LogSequenceNumber(position), head: Array(reader.scratch.prefix(WALFacts.edgeLimit)))
        } else if isBroken, let first = reader.firstRecord, reader.previous.map({ $0 < first }) ?? true {
            // What looked like the first record is none, and with no record behind it nothing vouches for the rest of the one before.
            facts.firstRecord = nil
            facts.endOfRecords = nil
        } else if isBroken, reader.firstRecord == nil {
            facts.endOfRecords = nil
        }
        return WALSegmentContents(
            identity: identity, facts: facts, end: end, highestTimeline: max(reader.timeline, collector.namedTimeline),
            records: collector.records)
    }

    /// Checks that `bytes` are what a file of this name should hold, before it is archived or used, and returns what they hold.
    ///
    /// - Parameters:
    ///   - name: 24 digits; for a `.partial` file without that ending.
    ///   - systemIdentifier: of the cluster that the file should be of, where that is known.
    ///   - object: how errors call the file.
    ///
    /// Throws `.damaged` with the first fault's byte offset and position.
    public static func verify(
        name: String, _ bytes: UnsafeRawBufferPointer, extent: Extent, systemIdentifier: UInt64? = nil, object: String
    ) throws(RepoError) -> WALSegmentContents {
        let identity = try WALSegmentIdentity(bytes, object: object)
        if let systemIdentifier, identity.systemIdentifier != systemIdentifier {
            throw RepoError(
                .damaged,
                "\(object) belongs to another cluster: its system identifier is \(identity.systemIdentifier), not \(systemIdentifier)",
                advice: "Give each cluster an archive of its own.")
        }
        guard let segment = WALSegment(name: name, size: identity.segmentSize) else {
            throw .damagedLog(object, "\(name) is no segment's name where segments have \(identity.segmentSize.bytes) bytes")
        }
        guard segment.number == identity.number else {
            let right = WALSegment(timeline: segment.timeline, number: identity.number).name(identity.segmentSize)
            throw .damagedLog(object, "it holds the log from \(identity.start) on, which is \(right)")
        }
        guard bytes.count == identity.segmentSize.bytes || (extent == .beginning && bytes.count < identity.segmentSize.bytes) else {
            throw .damagedLog(object, "it has \(bytes.count) bytes; a segment of this cluster has \(identity.segmentSize.bytes)")
        }
        guard identity.timeline <= segment.timeline else {
            throw .damagedLog(object, "its first page is of timeline \(identity.timeline), later than its name's")
        }
        let contents = try read(bytes, object: object, highestTimeline: segment.timeline)
        switch contents.end {
        case .full, .switched: break
        case .cut: break
        case .zeros(let fault), .leftovers(let fault):
            guard extent == .partial else {
                throw .damagedLog(object, "the log ends in it \(fault)")
            }
        case .damaged(let fault): throw .damagedLog(object, fault.description)
        }
        if extent == .complete, contents.highestTimeline < segment.timeline, !couldBegin(segment.timeline, contents) {
            throw .damagedLog(
                object, "nothing in it is of timeline \(segment.timeline); its last page is of timeline \(contents.highestTimeline)")
        }
        return contents
    }

    /// Whether a timeline could begin so close to the segment's end that only the first bytes of its first record are in it.
    ///
    /// A server that ends recovery may note a change of `full_page_writes` first; then it writes `XLOG_END_OF_RECOVERY` or a checkpoint of
    /// shutdown (`StartupXLOG`, access/transam/xlog.c), on a page that still has the old timeline.
    private static func couldBegin(_ timeline: UInt32, _ contents: WALSegmentContents) -> Bool {
        guard contents.end == .full, let open = contents.facts.openRecord else { return false }
        guard open.head.count > 17 else { return true }
        guard open.head[17] == WALRecord.xlogManager else { return false }
        return [WALRecord.checkpointShutdown, WALRecord.endOfRecovery, WALRecord.fullPageWritesChange]
            .contains(WALRecord.kind(open.head[16]))
    }
}
