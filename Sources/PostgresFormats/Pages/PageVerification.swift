import CChecksums

/// Verifies the pages of a relation's file while it is read for a backup, as `BASE_BACKUP` does (`sendFile`, backup/basebackup.c).
public struct PageVerification: Sendable {
    /// What a page turned out to be.
    public enum Verdict: Hashable, Sendable {
        case intact
        /// All zeros: given to the relation and never written.
        case new
        /// The checksum is wrong, and the page was changed after the backup began: it may have been copied while it was written, and replay of
        /// the log makes it whole. No damage.
        case changedSince(LogSequenceNumber)
        /// The checksum is wrong.
        case damaged(expected: UInt16, found: UInt16)
        /// It says that nothing was ever written to it, and something was.
        case halfEmpty

        public var isDamage: Bool {
            switch self {
            case .damaged, .halfEmpty: true
            case .intact, .new, .changedSince: false
            }
        }
    }

    /// Bytes of a page.
    public let blockSize: Int
    /// Where the backup began; nil for a cluster at rest, where no page may be wrong.
    public let start: LogSequenceNumber?

    /// - Parameter blockSize: a power of two from 1,024 to 32,768 (`BLCKSZ`).
    public init(blockSize: Int = 8192, start: LogSequenceNumber?) {
        precondition((1024...32_768).contains(blockSize) && blockSize & (blockSize - 1) == 0)
        self.blockSize = blockSize
        self.start = start
    }

    /// - Parameters:
    ///   - page: `blockSize` bytes.
    ///   - block: its number in the relation's fork, not in the file.
    public func verify(_ page: UnsafeRawBufferPointer, block: UInt32) -> Verdict {
        precondition(page.count == blockSize)
        // PageHeaderData (storage/bufpage.h): 0 pd_lsn, high half first · 8 pd_checksum · 14 pd_upper, 0 on new pages.
        if page.u16(14) == 0 { return page.isZero(0..<blockSize) ? .new : .halfEmpty }
        let expected = repo_page_checksum(page.baseAddress, blockSize, block)
        let found = page.u16(8)
        if expected == found { return .intact }
        let changed = LogSequenceNumber(UInt64(page.u32(0)) << 32 | UInt64(page.u32(4)))
        // A position that no log of a cluster reached yet would excuse any damage; the caller knows where the log ends and compares.
        if let start, changed >= start { return .changedSince(changed) }
        return .damaged(expected: expected, found: found)
    }

    /// Verifies whole pages that follow each other and calls `body` for each that is neither intact nor new. Bytes behind the last whole page
    /// are left out; the caller tells of a file that ends inside a page.
    ///
    /// - Parameter first: the number of the first page in the relation's fork.
    public func verify(
        pages: UnsafeRawBufferPointer, first: UInt32, _ body: (_ block: UInt32, _ verdict: Verdict) -> Void
    ) {
        var offset = 0
        var block = first
        while offset + blockSize <= pages.count {
            let verdict = verify(UnsafeRawBufferPointer(rebasing: pages[offset..<offset + blockSize]), block: block)
            switch verdict {
            case .intact, .new: break
            case .changedSince, .damaged, .halfEmpty: body(block, verdict)
            }
            offset += blockSize
            block &+= 1
        }
    }
}
