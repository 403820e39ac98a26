/// Tablespaces of MySQL and MariaDB: `.ibd` files, `ibdata1`, undo tablespaces.
///
/// Source: `fil0fil.h`, `fsp0types.h` and `fsp0fsp.h` of both servers. Numbers are big-endian.
enum InnoDBTablespace {
    /// The physical page size, or nothing for any other file. Names are not looked at: page 0 of every
    /// tablespace says what it is.
    static func pageSize(_ header: FileHeader, size: UInt64) -> Int? {
        // FIL_PAGE_OFFSET 4: page 0. FIL_PAGE_TYPE 24: FIL_PAGE_TYPE_FSP_HDR. The space's number stands at
        // 34 and again at 38, where the space header begins; its unused field at 42 is 0.
        guard header.bigEndian32(4) == 0, header.bigEndian16(24) == 8,
            header.bigEndian32(34) == header.bigEndian32(38), header.bigEndian32(42) == 0
        else { return nil }
        let flags = header.bigEndian32(54)
        guard let pageSize = pageSize(flags: flags) else { return nil }
        // FSP_SIZE, at 46: pages in the space, one file's worth or more. A file has whole pages.
        let pages = UInt64(header.bigEndian32(46))
        guard pages > 0, size >= UInt64(pageSize), size % UInt64(pageSize) == 0 else { return nil }
        return pageSize
    }

    private static func pageSize(flags: Int) -> Int? {
        // MariaDB's full_crc32 format: bit 4 marks it, bits 0 to 3 are log2(page size) - 9. Elsewhere
        // the bit is the highest of a compressed size that never needs it.
        if flags & 0x10 != 0 { return (512 << (flags & 0xf)).ifPowerOfTwo(in: 4096...65536) }
        // Bits 1 to 4: log2 of a compressed page - 9, if compressed. Bits 6 to 9: of the page, 0 for 16 KiB.
        let compressed = flags >> 1 & 0xf
        let logical = flags >> 6 & 0xf
        if compressed > 0 { return (512 << compressed).ifPowerOfTwo(in: 1024...16384) }
        return logical == 0 ? 16384 : (512 << logical).ifPowerOfTwo(in: 4096...65536)
    }
}
