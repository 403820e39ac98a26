/// Where the main data of a record lies: behind the headers of its block references and their data (access/xlogrecord.h).
struct WALRecordContent {
    /// Offsets in the record, the record's header included.
    var mainData: Range<Int>
    /// How many blocks the record refers to.
    var blocks = 0

    /// Reads the headers that follow the record's own in `bytes`, of which the beginning may suffice: the main data can lie beyond them, and
    /// then `mainData` does too. Nil where they are cut off, contradict themselves, or do not add up to `totalLength`.
    ///
    /// Source: `DecodeXLogRecord`, access/transam/xlogreader.c.
    init?(_ bytes: UnsafeRawBufferPointer, totalLength: Int, version: WALVersion) {
        var offset = WALRecord.headerSize
        var blockData = 0
        var mainLength = 0
        var highest = -1
        var hasRelation = false
        func has(_ count: Int) -> Bool { offset + count <= bytes.count && offset + count <= totalLength }
        scan: while offset + blockData < totalLength {
            guard has(1) else { return nil }
            let id = bytes[offset]
            offset += 1
            switch id {
            case 255:  // XLR_BLOCK_ID_DATA_SHORT
                guard has(1) else { return nil }
                mainLength = Int(bytes[offset])
                offset += 1
                break scan
            case 254:  // XLR_BLOCK_ID_DATA_LONG
                guard has(4) else { return nil }
                mainLength = Int(bytes.u32(offset))
                offset += 4
                break scan
            case 253: offset += 2  // XLR_BLOCK_ID_ORIGIN
            case 252: offset += 4  // XLR_BLOCK_ID_TOPLEVEL_XID, from 14 on
            case 0...32:  // XLR_MAX_BLOCK_ID
                guard Int(id) > highest, has(3) else { return nil }
                highest = Int(id)
                blocks += 1
                let flags = bytes[offset]
                let dataLength = Int(bytes.u16(offset + 1))
                offset += 3
                // BKPBLOCK_HAS_DATA
                guard (flags & 0x20 != 0) == (dataLength > 0) else { return nil }
                blockData += dataLength
                if flags & 0x10 != 0 {  // BKPBLOCK_HAS_IMAGE
                    guard has(5) else { return nil }
                    blockData += Int(bytes.u16(offset))
                    let image = bytes[offset + 4]
                    offset += 5
                    // BKPIMAGE_HAS_HOLE of a compressed image: XLogRecordBlockCompressHeader.
                    if image & 0x01 != 0, image & version.compressedImage != 0 { offset += 2 }
                }
                if flags & 0x80 == 0 {  // BKPBLOCK_SAME_REL
                    offset += 12
                    hasRelation = true
                } else if !hasRelation {
                    return nil
                }
                offset += 4
            default: return nil
            }
        }
        guard offset + blockData + mainLength == totalLength else { return nil }
        mainData = offset + blockData..<totalLength
    }
}
