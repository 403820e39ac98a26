/// The header of a page of the log: `XLogPageHeaderData`, and `XLogLongPageHeaderData` on a segment's first page
/// (access/xlog_internal.h; the same from PostgreSQL 13 to 18).
///
/// Offsets: 0 xlp_magic u16 · 2 xlp_info u16 · 4 xlp_tli u32 · 8 xlp_pageaddr u64 · 16 xlp_rem_len u32 · 20 padding; long: 24 xlp_sysid u64 ·
/// 32 xlp_seg_size u32 · 36 xlp_xlog_blcksz u32.
struct WALPageHeader {
    static let shortSize = 24
    static let longSize = 40

    var magic: UInt16
    var info: UInt16
    var timeline: UInt32
    var address: UInt64
    /// Bytes of a record that are still to come, this page's included.
    var remaining: UInt32
    var padding: UInt32

    /// `bytes` has at least `shortSize` bytes from `offset`.
    @inline(__always)
    init(_ bytes: UnsafeRawBufferPointer, at offset: Int) {
        magic = bytes.u16(offset)
        info = bytes.u16(offset + 2)
        timeline = bytes.u32(offset + 4)
        address = bytes.u64(offset + 8)
        remaining = bytes.u32(offset + 16)
        padding = bytes.u32(offset + 20)
    }

    /// `XLP_FIRST_IS_CONTRECORD`: the page begins with the rest of a record.
    var isContinuation: Bool { info & 0x0001 != 0 }
    /// `XLP_LONG_HEADER`.
    var isLong: Bool { info & 0x0002 != 0 }
    /// `XLP_FIRST_IS_OVERWRITE_CONTRECORD`: a crash lost the rest of the record before; it is void.
    var replacesContinuation: Bool { info & 0x0008 != 0 }
    /// `XLP_ALL_FLAGS`.
    var hasUnknownFlags: Bool { info & ~0x000F != 0 }

    var size: Int { isLong ? Self.longSize : Self.shortSize }

    /// What is wrong with the header of the page at `address`; nil when nothing is. The timeline is the caller's.
    @inline(__always)
    func fault(magic expected: UInt16, address expectedAddress: UInt64, isFirst: Bool) -> String? {
        if magic == expected, address == expectedAddress, !hasUnknownFlags, isLong == isFirst, padding == 0, timeline > 0,
            isContinuation ? remaining > 0 && !replacesContinuation : remaining == 0
        {
            return nil
        }
        return explain(magic: expected, address: expectedAddress, isFirst: isFirst)
    }

    private func explain(magic expected: UInt16, address expectedAddress: UInt64, isFirst: Bool) -> String {
        func hexadecimal(_ value: UInt16) -> String { "0x" + String(value, radix: 16, uppercase: true) }
        if magic == 0, info == 0, address == 0 { return "the page is empty" }
        if magic != expected { return "the page has magic number \(hexadecimal(magic)), not \(hexadecimal(expected))" }
        if address != expectedAddress {
            return "the page says that it belongs to \(LogSequenceNumber(address))"
        }
        if hasUnknownFlags { return "the page has unknown flags \(hexadecimal(info))" }
        if isLong != isFirst { return "the page has the header of \(isLong ? "a segment's first page" : "a page inside a segment")" }
        if timeline == 0 { return "the page has no timeline" }
        if padding != 0 { return "the padding of the page's header is not empty" }
        return "the page's header contradicts itself: \(remaining) bytes of a record to come, flags \(hexadecimal(info))"
    }
}
