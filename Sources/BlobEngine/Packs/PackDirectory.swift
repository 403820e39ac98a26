public import RepoBase

/// The plaintext of a pack's directory: which blobs are in it, in columns (format.md, 5.2).
public enum PackDirectory {
    /// Where the first blob begins: after the magic.
    static let firstOffset = 8
    public static let maximumBlobs = 1 << 20

    /// - Parameter padding: bytes between the last blob and the directory, at most 256 MiB; nil for version 1, which has none.
    public static func encode(_ blobs: [BlobRecord], padding: Int? = nil) -> [UInt8] {
        var writer = ByteWriter(capacity: blobs.count * 48)
        for blob in blobs { writer.hash(blob.id) }
        for blob in blobs { writer.u8(blob.type.rawValue << 4 | blob.encoding.rawValue) }
        for blob in blobs { writer.varint(UInt64(blob.storedLength)) }
        for blob in blobs { writer.varint(UInt64(blob.rawLength)) }
        for blob in blobs where blob.encoding == .delta { BlobColumns.write(blob.bases, into: &writer) }
        if let padding { writer.u32(UInt32(padding)) }
        return writer.bytes
    }

    /// - Parameters:
    ///   - end: where the blobs and their padding end in the pack; their lengths must add up to it, so that they neither
    ///     overlap nor leave gaps.
    ///   - isPadded: whether the directory tells of padding, as from version 2 on.
    public static func decode(
        _ bytes: [UInt8], count: Int, end: UInt64, isPadded: Bool = false, object: String
    ) throws(RepoError) -> [BlobRecord] {
        var reader = ByteReader(bytes, object: object)
        // 35: an id, a kind, two lengths of at least one byte each.
        guard count >= 0, count <= maximumBlobs, count <= bytes.count / 35 else {
            throw reader.fail("its count of blobs is larger than its directory")
        }
        var blobs: [BlobRecord] = []
        blobs.reserveCapacity(count)
        for _ in 0..<count { blobs.append(BlobRecord(id: try reader.hash())) }
        for index in blobs.indices { try BlobColumns.readKind(&reader, into: &blobs[index]) }
        for index in blobs.indices { blobs[index].storedLength = try BlobColumns.readLength(&reader) }
        for index in blobs.indices { blobs[index].rawLength = try BlobColumns.readLength(&reader) }
        var offset = UInt64(firstOffset)
        for index in blobs.indices {
            if blobs[index].encoding == .delta { blobs[index].bases = try BlobColumns.readBases(&reader) }
            if let flaw = blobs[index].flaw { throw reader.fail(flaw) }
            let next = offset + UInt64(blobs[index].storedLength) + UInt64(BlobRecord.tagLength)
            guard next <= end, offset <= UInt64(UInt32.max) else {
                throw reader.fail("its blobs are longer than the pack")
            }
            blobs[index].offset = UInt32(offset)
            blobs[index].ordinal = UInt32(index)
            offset = next
        }
        if isPadded { offset += UInt64(try reader.u32()) }
        try reader.expectEnd()
        guard offset == end else { throw reader.fail("its blobs do not fill the pack") }
        return blobs
    }
}

/// Columns that directories and index segments share.
enum BlobColumns {
    static func readKind(_ reader: inout ByteReader, into record: inout BlobRecord) throws(RepoError) {
        let kind = try reader.u8()
        guard let type = BlobType(rawValue: kind >> 4), let encoding = BlobEncoding(rawValue: kind & 15)
        else {
            throw reader.fail("a blob is of an unknown kind")
        }
        record.type = type
        record.encoding = encoding
    }

    static func readLength(_ reader: inout ByteReader) throws(RepoError) -> UInt32 {
        UInt32(try reader.varint(atMost: BlobRecord.maximumStoredLength, "a blob's length"))
    }

    static func write(_ bases: BlobBases, into writer: inout ByteWriter) {
        writer.u8(UInt8(bases.count))
        for position in 0..<bases.count { writer.u64(bases[position].bigEndian) }
    }

    static func readBases(_ reader: inout ByteReader) throws(RepoError) -> BlobBases {
        let count = try reader.u8()
        guard (1...BlobBases.maximumCount).contains(Int(count)) else {
            throw reader.fail("a delta has \(count) bases")
        }
        var bases = BlobBases()
        for _ in 0..<count { bases.append(UInt64(bigEndian: try reader.u64())) }
        return bases
    }
}
