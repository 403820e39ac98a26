/// One record of the log as the reader shows it: valid during the call alone, since `bytes` points into the segment or into the reader.
///
/// `XLogRecord` (access/xlogrecord.h; the same from PostgreSQL 13 to 18): 0 xl_tot_len u32 · 4 xl_xid u32 · 8 xl_prev u64 · 16 xl_info u8 ·
/// 17 xl_rmid u8 · 18 padding · 20 xl_crc u32, of everything behind the header, then of the header up to here.
struct WALRecord {
    static let headerSize = 24

    var position: LogSequenceNumber
    /// Where the next record may begin, but for page headers (`NextRecPtr` of access/xlogreader.c). For `XLOG_SWITCH` the segment's end.
    var end: LogSequenceNumber
    var totalLength: Int
    var transaction: UInt32
    var previous: LogSequenceNumber
    var info: UInt8
    var resourceManager: UInt8
    /// The whole record, header first; of one that crosses pages and whose kind `isGathered` does not name, at least its first 128 bytes.
    var bytes: UnsafeRawBufferPointer

    @inline(__always)
    init(position: LogSequenceNumber, end: LogSequenceNumber, bytes: UnsafeRawBufferPointer) {
        self.position = position
        self.end = end
        self.bytes = bytes
        totalLength = Int(bytes.u32(0))
        transaction = bytes.u32(4)
        previous = LogSequenceNumber(bytes.u64(8))
        info = bytes.u8(16)
        resourceManager = bytes.u8(17)
    }

    /// `RM_XLOG_ID`, `RM_XACT_ID` and `RM_TBLSPC_ID` (access/rmgrlist.h).
    static let xlogManager: UInt8 = 0
    static let transactionManager: UInt8 = 1
    static let tablespaceManager: UInt8 = 5

    /// `XLR_RMGR_INFO_MASK`.
    @inline(__always) static func kind(_ info: UInt8) -> UInt8 { info & 0xF0 }

    static let checkpointShutdown: UInt8 = 0x00
    static let checkpointOnline: UInt8 = 0x10
    static let switchSegment: UInt8 = 0x40
    static let parameterChange: UInt8 = 0x60
    static let restorePoint: UInt8 = 0x70
    static let fullPageWritesChange: UInt8 = 0x80
    static let endOfRecovery: UInt8 = 0x90
    /// Of the tablespaces' manager (commands/tablespace.h).
    static let createTablespace: UInt8 = 0x00

    /// Whether the record is of a kind whose content anybody here reads.
    @inline(__always)
    static func hasNews(resourceManager: UInt8, info: UInt8) -> Bool {
        if resourceManager == transactionManager { return true }
        guard resourceManager == xlogManager else { return false }
        switch kind(info) {
        case checkpointShutdown, checkpointOnline, restorePoint, endOfRecovery: return true
        default: return false
        }
    }

    @inline(__always) var hasNews: Bool { Self.hasNews(resourceManager: resourceManager, info: info) }

    /// Whether it is of a kind that `WALHindrance` reads.
    @inline(__always)
    static func isHindrance(resourceManager: UInt8, info: UInt8) -> Bool {
        resourceManager == tablespaceManager ? kind(info) == createTablespace : resourceManager == xlogManager && kind(info) == parameterChange
    }

    @inline(__always) var isHindrance: Bool { Self.isHindrance(resourceManager: resourceManager, info: info) }

    /// Whether all of it is kept where it stands across pages.
    @inline(__always)
    static func isGathered(resourceManager: UInt8, info: UInt8) -> Bool {
        hasNews(resourceManager: resourceManager, info: info) || isHindrance(resourceManager: resourceManager, info: info)
    }

    @inline(__always)
    var isSwitch: Bool { resourceManager == Self.xlogManager && Self.kind(info) == Self.switchSegment }
}

/// Sees each whole record whose checksum is right, in order.
protocol WALRecordVisitor {
    /// Returns a sentence where the record's content makes no sense, which ends reading; false by `shouldContinue` ends it in peace.
    mutating func visit(_ record: WALRecord) -> String?
    var shouldContinue: Bool { get }
}
