/// Tells the end of the log in a segment from damage, by what lies behind.
struct WALSegmentTail {
    private let bytes: UnsafeRawBufferPointer
    private let identity: WALSegmentIdentity

    init(_ bytes: UnsafeRawBufferPointer, identity: WALSegmentIdentity) {
        self.bytes = UnsafeRawBufferPointer(rebasing: bytes.prefix(identity.segmentSize.bytes))
        self.identity = identity
    }

    /// - Parameters:
    ///   - offset: of what is no valid page or record.
    ///   - page: where that turned out.
    func classify(offset: Int, page: Int, reason: String) -> WALSegmentEnd {
        let fault = fault(offset, reason)
        if bytes.isZero(max(offset, page)..<bytes.count) { return .zeros(fault) }
        return belongs(behind: page) ? .damaged(fault) : .leftovers(fault)
    }

    /// Behind `XLOG_SWITCH` PostgreSQL writes zeros, page headers too. A crash in the middle of that leaves whole pages as they were before
    /// the file was recycled, which are of an older place in the log; anything else was not PostgreSQL.
    func faultBehindSwitch(_ offset: Int) -> WALFault? {
        let pageEnd = min((offset + identity.blockSize - 1) / identity.blockSize * identity.blockSize, bytes.count)
        if offset < pageEnd, !bytes.isZero(offset..<pageEnd) {
            return fault(offset, "the rest of the page is not empty, though the record before it gave up the rest of the segment")
        }
        var page = pageEnd
        while page < bytes.count {
            let end = min(page + identity.blockSize, bytes.count)
            if !bytes.isZero(page..<end), !isOlder(page) {
                return fault(page, "the page is not empty, though the rest of the segment was given up before it")
            }
            page = end
        }
        return nil
    }

    private func fault(_ offset: Int, _ reason: String) -> WALFault {
        WALFault(offset: offset, position: LogSequenceNumber(identity.start.value &+ UInt64(offset)), reason: reason)
    }

    /// Whether a page behind `page` belongs where it stands.
    private func belongs(behind page: Int) -> Bool {
        var next = page + identity.blockSize
        while next + WALPageHeader.shortSize <= bytes.count {
            let header = WALPageHeader(bytes, at: next)
            if header.magic == identity.version.rawValue, header.address == identity.start.value &+ UInt64(next), header.timeline > 0 {
                return true
            }
            next += identity.blockSize
        }
        return false
    }

    private func isOlder(_ page: Int) -> Bool {
        guard page + WALPageHeader.shortSize <= bytes.count else { return false }
        let header = WALPageHeader(bytes, at: page)
        return header.magic == identity.version.rawValue && header.address < identity.start.value
            && header.address % UInt64(identity.blockSize) == 0 && !header.hasUnknownFlags
    }
}
