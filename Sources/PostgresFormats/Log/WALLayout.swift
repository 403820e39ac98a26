/// Arithmetic on positions: how bytes of records lie between the headers of pages and segments.
enum WALLayout {
    /// Where the byte `count` bytes of record after the beginning of a segment's records lies, rounded up to the next record's alignment.
    ///
    /// - Parameter start: the segment's first byte.
    static func position(after count: UInt64, in start: UInt64, segmentSize: Int, blockSize: Int) -> UInt64 {
        let first = UInt64(blockSize - WALPageHeader.longSize)
        guard count > first else { return (start &+ UInt64(WALPageHeader.longSize) &+ count &+ 7) & ~7 }
        let usable = UInt64(blockSize - WALPageHeader.shortSize)
        let rest = count - first
        // A record that ends with a page ends before the next page's header.
        let pages = (rest - 1) / usable
        let within = rest - pages * usable
        return (start &+ (pages + 1) * UInt64(blockSize) &+ UInt64(WALPageHeader.shortSize) &+ within &+ 7) & ~7
    }

    /// How many bytes of a record that begins at `position` lie before `end`, a later segment's beginning, in the segment that holds `position`.
    static func bytes(from position: UInt64, to end: UInt64, blockSize: Int) -> UInt64 {
        let page = UInt64(blockSize)
        let pageEnd = (position / page + 1) * page
        return pageEnd - position + (end - pageEnd) / page * (page - UInt64(WALPageHeader.shortSize))
    }

    /// How many bytes of records a segment has room for.
    static func capacity(segmentSize: Int, blockSize: Int) -> UInt64 {
        UInt64(segmentSize / blockSize) * UInt64(blockSize - WALPageHeader.shortSize)
            - UInt64(WALPageHeader.longSize - WALPageHeader.shortSize)
    }
}
