public import RepoBase

/// The plaintext of a pack's directory: which blobs are in it, in columns (format.md, 5.2).
public enum PackDirectory {
    /// Where the first blob begins: after the magic.
    static let firstOffset = 8
    public static let maximumBlobs = 1 << 20

    public static func encode(_ blobs: [BlobRecord]) -> [UInt8] {
        var writer = ByteWriter(capacity: blobs.count * 48)
        for blob in blobs { writer.hash(blob.id) }
        for blob in blobs { writer.u8(blob.type.rawValue << 4 | blob.encoding.rawValue) }
        for blob in blobs { writer.varint(UInt64(blob.storedLength)) }
        for blob in blobs { writer.varint(UInt64(blob.rawLength)) }
        for blob in blobs where blob.encoding == .delta { BlobColumns.write(blob.bases, into: &writer) }
        return writer.bytes
    }

    /// - Parameter end: where the blobs end in the pack; their lengths must add up to it.
    public static func decode(
        _ bytes: [UInt8], count: Int, end: UInt64, object: String
    ) throws(RepoError) -> [BlobRecord] {
        var reader = ByteReader(bytes, object: object)
        guard count <= maximumBlobs, count <= bytes.count / 35 else {
            throw reader.fail("its count of blobs is larger than its directory")
        }
        var ids: [BlobID] = []
        ids.reserveCapacity(count)
        for _ in 0..<count { ids.append(try reader.hash()) }
        var kinds: [(BlobType, BlobEncoding)] = []
        kinds.reserveCapacity(count)
        for _ in 0..<count { kinds.append(try BlobColumns.readKind(&reader)) }
        var stored: [UInt32] = []
        stored.reserveCapacity(count)
        for _ in 0..<count { stored.append(try BlobColumns.readLength(&reader)) }
        var raw: [UInt32] = []
        raw.reserveCapacity(count)
        for _ in 0..<count { raw.append(try BlobColumns.readLength(&reader)) }
        var blobs: [BlobRecord] = []
        blobs.reserveCapacity(count)
        var offset = UInt64(firstOffset)
        for index in 0..<count {
            let (type, encoding) = kinds[index]
            let bases = encoding == .delta ? try BlobColumns.readBases(&reader) : BlobBases()
            guard encoding != .plain || stored[index] == raw[index] else {
                throw reader.fail("a plain blob has two lengths")
            }
            guard offset + UInt64(stored[index]) + 16 <= end else {
                throw reader.fail("its blobs are longer than the pack")
            }
            blobs.append(
                BlobRecord(
                    id: ids[index], type: type, encoding: encoding, offset: UInt32(offset),
                    ordinal: UInt32(index), storedLength: stored[index], rawLength: raw[index], bases: bases))
            offset += UInt64(stored[index]) + 16
        }
        try reader.expectEnd()
        guard offset == end else { throw reader.fail("its blobs do not fill the pack") }
        return blobs
    }
}

/// Columns that directories and index segments share.
enum BlobColumns {
    static func readKind(_ reader: inout ByteReader) throws(RepoError) -> (BlobType, BlobEncoding) {
        let kind = try reader.u8()
        guard let type = BlobType(rawValue: kind >> 4), let encoding = BlobEncoding(rawValue: kind & 15) else {
            throw reader.fail("a blob is of an unknown kind")
        }
        return (type, encoding)
    }

    static func readLength(_ reader: inout ByteReader) throws(RepoError) -> UInt32 {
        UInt32(try reader.varint(atMost: BlobRecord.maximumRawLength + 4096, "a blob's length"))
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
