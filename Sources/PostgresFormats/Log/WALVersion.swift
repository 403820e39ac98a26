/// The layouts of the log, told by the magic number of its pages (`XLOG_PAGE_MAGIC`, access/xlog_internal.h of each version).
public enum WALVersion: UInt16, Hashable, Sendable, CaseIterable {
    case postgres13 = 0xD106
    case postgres14 = 0xD10D
    case postgres15 = 0xD110
    case postgres16 = 0xD113
    case postgres17 = 0xD116
    case postgres18 = 0xD118

    /// PostgreSQL's major version.
    public var major: Int {
        switch self {
        case .postgres13: 13
        case .postgres14: 14
        case .postgres15: 15
        case .postgres16: 16
        case .postgres17: 17
        case .postgres18: 18
        }
    }

    /// Bits of `bimg_info` that say that a page image is compressed: `BKPIMAGE_IS_COMPRESSED` up to 14, one bit for each method from 15 on
    /// (access/xlogrecord.h). What was "compressed" means "apply" in the newer ones.
    var compressedImage: UInt8 { major <= 14 ? 0x02 : 0x04 | 0x08 | 0x10 }

    /// Bytes of a dropped statistics entry in commit and abort records (`xl_xact_stats_item`, access/xact.h): none before 15; from 18 on the
    /// object's number has 64 bits. Nil where such records have none.
    var droppedStatisticsSize: Int? {
        switch major {
        case ...14: nil
        case ...17: 12
        default: 16
        }
    }
}
