public import RepoBase

/// Which segment of which cluster some bytes are, as their first page says.
public struct WALSegmentIdentity: Hashable, Sendable {
    public var version: WALVersion
    /// `xlp_sysid`: the cluster's system identifier.
    public var systemIdentifier: UInt64
    /// Of the first page. A timeline's first segment is a copy of the old one's beginning, so this can be lower than the segment's own.
    public var timeline: UInt32
    /// The position of the first byte.
    public var start: LogSequenceNumber
    public var segmentSize: WALSegmentSize
    /// `XLOG_BLCKSZ`, the size of a page of the log, in bytes.
    public var blockSize: Int

    /// Throws `.damaged`, naming `object`, where the bytes do not begin as a segment of PostgreSQL 13 to 18 does. Cost: a look at 40 bytes.
    public init(_ bytes: UnsafeRawBufferPointer, object: String) throws(RepoError) {
        guard bytes.count >= WALPageHeader.longSize else {
            throw .damagedLog(object, "it has \(bytes.count) bytes, fewer than the header of a segment")
        }
        let header = WALPageHeader(bytes, at: 0)
        guard let version = WALVersion(rawValue: header.magic) else {
            let magic = String(header.magic, radix: 16, uppercase: true)
            throw .damagedLog(
                object,
                header.magic & 0xFF00 == 0xD100
                    ? "it has the magic number 0x\(magic) of a version of PostgreSQL that this version of repo does not know (13 to 18)"
                    : "it does not begin as a segment of the log does (magic number 0x\(magic))")
        }
        guard let size = WALSegmentSize(bytes: Int(bytes.u32(32))) else {
            throw .damagedLog(object, "its header tells an impossible segment size of \(bytes.u32(32)) bytes")
        }
        let blockSize = Int(bytes.u32(36))
        // XLOG_BLCKSZ is a power of two from 1 to 64 KiB (configure --with-wal-blocksize).
        guard (1024...65_536).contains(blockSize), blockSize & (blockSize - 1) == 0 else {
            throw .damagedLog(object, "its header tells an impossible page size of \(blockSize) bytes")
        }
        guard header.address % UInt64(size.bytes) == 0, header.address <= UInt64.max - UInt64(size.bytes) else {
            throw .damagedLog(object, "its header says that it begins at \(LogSequenceNumber(header.address)), inside a segment")
        }
        if let fault = header.fault(magic: version.rawValue, address: header.address, isFirst: true) {
            throw .damagedLog(object, "at byte 0 (\(LogSequenceNumber(header.address))) \(fault)")
        }
        self.version = version
        systemIdentifier = bytes.u64(24)
        timeline = header.timeline
        start = LogSequenceNumber(header.address)
        segmentSize = size
        self.blockSize = blockSize
    }

    public var number: UInt64 { start.value / UInt64(segmentSize.bytes) }
}

/// A place in a segment where the log cannot be read on.
public struct WALFault: Hashable, Sendable, CustomStringConvertible {
    /// In the segment, in bytes.
    public var offset: Int
    public var position: LogSequenceNumber
    /// A sentence without a full stop.
    public var reason: String

    public var description: String { "at byte \(offset) (\(position)) \(reason)" }
}

/// How a segment ends.
public enum WALSegmentEnd: Hashable, Sendable {
    /// The log fills it; a record may go on in the next one.
    case full
    /// `XLOG_SWITCH` gave up the rest, which holds nothing.
    case switched
    /// The bytes given end before the segment does, inside a record or between two.
    case cut
    /// From the fault on there are only zeros: the log ended there when this was copied.
    case zeros(WALFault)
    /// From the fault on there is no valid log, and nothing behind it that belongs to this segment: what a recycled file held before, or a
    /// record that was being written. Legal in `.partial` files.
    case leftovers(WALFault)
    /// The log goes on behind the fault, so it did not end there.
    case damaged(WALFault)
}

/// What a segment is, what it holds, and how it ends.
public struct WALSegmentContents: Sendable {
    public var identity: WALSegmentIdentity
    public var facts: WALFacts
    public var end: WALSegmentEnd
    /// The highest timeline of its pages, and of its records of a timeline's beginning.
    public var highestTimeline: UInt32
    /// Records that begin and end here.
    public var records: Int
}
