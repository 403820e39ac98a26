import CChecksums

/// Walks the records of consecutive segments, page by page, and checks every page header, link and checksum on the way
/// (`XLogReadRecord`, access/transam/xlogreader.c). Holds what a record across two segments needs, so a log of any length is read in
/// constant memory; only a transaction record that crosses pages is copied, whole.
///
/// Cost: one pass, about 3 GB/s on one core for records of a few hundred bytes.
struct WALRecordReader {
    /// Why reading a segment ended.
    enum Outcome {
        /// At its end; a record may be under way.
        case full
        /// The segment's rest was given up; `offset` is behind the record that says so.
        case switched(offset: Int)
        /// The given bytes end before the segment does; nothing in them is wrong.
        case cut
        /// `offset` holds no valid page or record. `page` is the page on which that turned out.
        case stopped(offset: Int, page: Int, reason: String)
        /// The visitor had seen enough.
        case enough
    }

    /// A record that crosses a page's end.
    struct Pending {
        /// Nil for one that began before the first segment: its checksum cannot be verified.
        var position: UInt64?
        var total: Int
        var got = 0
        var checksum: UInt32 = 0xFFFF_FFFF
        /// Its bytes are all wanted.
        var isGathered = false
    }

    let version: WALVersion
    let segmentSize: Int
    let blockSize: Int
    /// No page may be of a later timeline.
    let highestTimeline: UInt32
    /// Of the last page seen: timelines never descend.
    private(set) var timeline: UInt32 = 0
    /// Where the last whole record began.
    private(set) var previous: UInt64?
    /// Behind the last record that ended.
    private(set) var endOfRecords: UInt64?
    private(set) var pending: Pending?
    /// The first bytes of `pending`, at least 128 where it has them.
    private(set) var scratch: [UInt8] = []
    /// Bytes that were to come of a record from before the first segment, with the first of them.
    private(set) var continuation: (remaining: UInt32, head: [UInt8])?
    /// Where the first record of the segment that was read last began.
    private(set) var firstRecord: UInt64?
    /// The page on which the last whole record of this segment began, as an offset, and the record's kind (rmid, info).
    private(set) var lastPage = 0

    init(version: WALVersion, segmentSize: Int, blockSize: Int, highestTimeline: UInt32 = .max) {
        self.version = version
        self.segmentSize = segmentSize
        self.blockSize = blockSize
        self.highestTimeline = highestTimeline
    }

    /// Reads one segment, which begins at `start` and follows the one before.
    ///
    /// - Parameter bytes: the segment, or its beginning.
    mutating func read<Visitor: WALRecordVisitor>(
        _ bytes: UnsafeRawBufferPointer, start: UInt64, visitor: inout Visitor
    ) -> Outcome {
        let count = min(bytes.count, segmentSize)
        let isFirstSegment = previous == nil && pending == nil && continuation == nil
        firstRecord = nil
        var page = 0
        while page < count {
            guard count - page >= (page == 0 ? WALPageHeader.longSize : WALPageHeader.shortSize) else { return .cut }
            let header = WALPageHeader(bytes, at: page)
            if let fault = header.fault(magic: version.rawValue, address: start &+ UInt64(page), isFirst: page == 0) {
                return .stopped(offset: page, page: page, reason: fault)
            }
            guard header.timeline >= timeline, header.timeline <= highestTimeline else {
                return .stopped(offset: page, page: page, reason: timelineFault(header.timeline))
            }
            if let fault = begin(header, isFirst: isFirstSegment && page == 0, beginsSegment: page == 0) {
                return .stopped(offset: page, page: page, reason: fault)
            }
            timeline = header.timeline
            lastPage = page
            let pageEnd = min(page + blockSize, count)
            let outcome = readPage(bytes, start: start, page: page, from: page + header.size, to: pageEnd, visitor: &visitor)
            if let outcome { return outcome }
            page += blockSize
        }
        return count == segmentSize ? .full : .cut
    }

    private func timelineFault(_ found: UInt32) -> String {
        found > highestTimeline
            ? "the page is of timeline \(found), later than the segment's, \(highestTimeline)"
            : "the page is of timeline \(found), and one before it of timeline \(timeline)"
    }

    /// Whether the page continues what the one before left open; a sentence if not.
    private mutating func begin(_ header: WALPageHeader, isFirst: Bool, beginsSegment: Bool) -> String? {
        if header.isContinuation {
            if let pending {
                let missing = pending.total - pending.got
                return header.remaining == missing
                    ? nil : "the page continues a record by \(header.remaining) bytes, and \(missing) are missing"
            }
            guard isFirst else { return "the page continues a record that did not begin" }
            continuation = (header.remaining, [])
            pending = Pending(position: nil, total: Int(header.remaining))
            scratch.removeAll(keepingCapacity: true)
            return nil
        }
        if pending != nil {
            guard header.replacesContinuation else { return "the page does not continue the record that the one before began" }
            pending = nil
        } else if header.replacesContinuation, !beginsSegment {
            // Set on the page where the rest of a record was missing when recovery ended, and on no other (`AdvanceXLInsertBuffer`, access/transam/xlog.c).
            return "the page replaces the rest of a record, and none was under way"
        }
        return nil
    }

    @inline(__always)
    private mutating func readPage<Visitor: WALRecordVisitor>(
        _ bytes: UnsafeRawBufferPointer, start: UInt64, page: Int, from first: Int, to pageEnd: Int, visitor: inout Visitor
    ) -> Outcome? {
        var offset = first
        if pending != nil {
            offset = take(bytes, from: offset, to: pageEnd)
            guard let done = pending, done.got == done.total else {
                return pageEnd < page + blockSize ? .cut : nil
            }
            let aligned = (offset + 7) & ~7
            let outcome = finish(done, start: start, page: page, end: aligned, visitor: &visitor)
            if let outcome { return outcome }
            if aligned <= pageEnd, !bytes.isZero(offset..<aligned) {
                return .stopped(offset: offset, page: page, reason: "the padding behind a record is not empty")
            }
            offset = aligned
        }
        while offset < pageEnd {
            guard pageEnd - offset >= 8 else { return .cut }
            let total = Int(bytes.u32(offset))
            let position = start &+ UInt64(offset)
            if total < WALRecord.headerSize {
                return .stopped(
                    offset: offset, page: page,
                    reason: total == 0 ? "there is no record" : "the record has an impossible length of \(total) bytes")
            }
            if firstRecord == nil { firstRecord = position }
            guard total <= pageEnd - offset else {
                if pageEnd - offset >= 16, let fault = linkFault(bytes.u64(offset + 8), start: start, position: position) {
                    return .stopped(offset: offset, page: page, reason: fault)
                }
                pending = Pending(position: position, total: total)
                scratch.removeAll(keepingCapacity: true)
                _ = take(bytes, from: offset, to: pageEnd)
                return pageEnd < page + blockSize ? .cut : nil
            }
            let record = UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + total])
            if let fault = linkFault(record.u64(8), start: start, position: position) {
                return .stopped(offset: offset, page: page, reason: fault)
            }
            let base = record.baseAddress.unsafelyUnwrapped
            var checksum = repo_crc32c(0xFFFF_FFFF, base + WALRecord.headerSize, total - WALRecord.headerSize)
            checksum = ~repo_crc32c(checksum, base, 20)
            guard checksum == record.u32(20) else {
                return .stopped(offset: offset, page: page, reason: "the record has a wrong checksum")
            }
            let behind = offset + total
            let aligned = (behind + 7) & ~7
            if let outcome = report(
                WALRecord(position: LogSequenceNumber(position), end: LogSequenceNumber(start &+ UInt64(aligned)), bytes: record),
                start: start, offset: offset, page: page, visitor: &visitor)
            {
                return outcome
            }
            // Zero to seven bytes; behind the given bytes there is nothing to look at.
            if aligned != behind, aligned <= bytes.count, !bytes.isZero(behind..<aligned) {
                return .stopped(offset: behind, page: page, reason: "the padding behind a record is not empty")
            }
            offset = aligned
        }
        return pageEnd < page + blockSize ? .cut : nil
    }

    /// Adds what the page holds of the record under way, and returns the offset behind it.
    private mutating func take(_ bytes: UnsafeRawBufferPointer, from offset: Int, to pageEnd: Int) -> Int {
        guard var record = pending else { return offset }
        pending = nil
        let count = min(record.total - record.got, pageEnd - offset)
        let piece = UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + count])
        // The first bytes are kept whatever the record is: its header, and what the segment's facts keep of it.
        let edge = min(count, max(0, WALFacts.edgeLimit - record.got))
        let wasGathered = record.isGathered
        scratch.append(contentsOf: piece[..<edge])
        if record.position != nil {
            let headerEnd = WALRecord.headerSize
            if record.got < headerEnd, scratch.count >= headerEnd {
                record.isGathered = WALRecord.isGathered(resourceManager: scratch[17], info: scratch[16])
            }
            let body = min(count, max(0, headerEnd - record.got))
            if body < count {
                record.checksum = repo_crc32c(record.checksum, piece.baseAddress.unsafelyUnwrapped + body, count - body)
            }
        }
        if record.isGathered || wasGathered { scratch.append(contentsOf: piece[edge...]) }
        record.got += count
        if record.position == nil, continuation?.head.count ?? 0 < WALFacts.edgeLimit {
            continuation?.head = Array(scratch.prefix(WALFacts.edgeLimit))
        }
        pending = record
        return offset + count
    }

    /// The record under way is whole: checks and reports it.
    private mutating func finish<Visitor: WALRecordVisitor>(
        _ record: Pending, start: UInt64, page: Int, end aligned: Int, visitor: inout Visitor
    ) -> Outcome? {
        pending = nil
        let end = start &+ UInt64(aligned)
        guard let position = record.position else {
            endOfRecords = end
            return nil
        }
        // Where the record began in an earlier segment, the fault is told where it shows.
        let offset = position >= start ? Int(position - start) : page
        let whole = scratch
        return whole.withUnsafeBytes { bytes -> Outcome? in
            if let fault = linkFault(bytes.u64(8), start: start, position: position) {
                return .stopped(offset: offset, page: page, reason: fault)
            }
            let checksum = ~repo_crc32c(record.checksum, bytes.baseAddress, 20)
            guard checksum == bytes.u32(20) else {
                return .stopped(
                    offset: offset, page: page, reason: "the record that begins at \(LogSequenceNumber(position)) has a wrong checksum")
            }
            return report(
                WALRecord(position: LogSequenceNumber(position), end: LogSequenceNumber(end), bytes: bytes),
                start: start, offset: offset, page: page, visitor: &visitor)
        }
    }

    /// `xl_prev` names the record before; of the first record it is only known that the one before lies in an earlier segment.
    @inline(__always)
    private func linkFault(_ link: UInt64, start: UInt64, position: UInt64) -> String? {
        if let previous {
            if link == previous { return nil }
        } else if link < start || position < start {
            return nil
        }
        return "the record says that the one before it is at \(LogSequenceNumber(link))"
            + (previous.map { ", which is at \(LogSequenceNumber($0))" } ?? "")
    }

    @inline(__always)
    private mutating func report<Visitor: WALRecordVisitor>(
        _ record: WALRecord, start: UInt64, offset: Int, page: Int, visitor: inout Visitor
    ) -> Outcome? {
        previous = record.position.value
        if record.isSwitch {
            var last = record
            last.end = LogSequenceNumber(start &+ UInt64(segmentSize))
            endOfRecords = last.end.value
            if let fault = visitor.visit(last) { return .stopped(offset: offset, page: page, reason: fault) }
            return .switched(offset: Int(record.end.value &- start))
        }
        endOfRecords = record.end.value
        if let fault = visitor.visit(record) { return .stopped(offset: offset, page: page, reason: fault) }
        return visitor.shouldContinue ? nil : .enough
    }
}
