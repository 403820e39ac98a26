import RepoBase

/// Where the columns of an index table are (format.md, appendix A): all of it follows from four numbers.
struct IndexTableLayout {
    static let magic = Array("repotabl".utf8)
    static let version: UInt32 = 3
    static let headerLength = 128
    /// What the checksum of header and packs covers of the header.
    static let checkedHeaderLength = 96
    static let locatorLength = 28
    /// Entries of a bucket between two fences, on average: their fingerprints fill half a cache line of 64 bytes.
    static let blobsPerBucket = 16

    let packsLength: Int
    let count: Int
    let baseCount: Int

    var buckets: Int { count / Self.blobsPerBucket + 1 }
    var fences: Int { Self.headerLength + packsLength }
    var fingerprints: Int { fences + Self.padded(4 * (buckets + 1)) }
    /// 8 entries more than there are blobs, so that 8 can be loaded at any.
    var ids: Int { fingerprints + Self.padded(2 * (count + 8)) }
    var locators: Int { ids + 32 * count }
    var bases: Int { locators + Self.padded(Self.locatorLength * count) }
    var fileLength: Int { bases + 8 * baseCount }

    static func padded(_ length: Int) -> Int { (length + 7) & ~7 }

    /// - Parameter columns: the bytes from the fences to the end of the file.
    func header(signer: KeyID, packsPart: [UInt8], columns: UnsafeRawBufferPointer) -> [UInt8] {
        var header = ByteWriter(capacity: Self.headerLength)
        header.raw(Self.magic)
        header.u32(Self.version)
        header.u32(0)
        header.u64(UInt64(packsLength))
        header.u64(UInt64(count))
        header.u64(UInt64(baseCount))
        header.raw(signer.bytes)
        header.u64(0)
        header.hash(ObjectHasher.hash(columns))
        header.hash(ObjectHasher.hash(header.bytes + packsPart))
        return header.bytes
    }
}

/// What is read of a table when it is opened: header and packs part, verified by their checksum.
struct IndexTableHead {
    let layout: IndexTableLayout
    let replaces: [ObjectID]
    let packs: [PackRecord]
    let signer: KeyID
    /// The hash of all columns, which opening does not compute.
    let columnsHash: ObjectID

    init(_ bytes: UnsafeRawBufferPointer, object: String) throws(RepoError) {
        guard bytes.count >= IndexTableLayout.headerLength else { throw .damaged(object, "it is too short") }
        let header = Array(bytes[..<IndexTableLayout.headerLength])
        var reader = ByteReader(header, object: object)
        guard try reader.raw(8) == IndexTableLayout.magic[...],
            try reader.u32() == IndexTableLayout.version, try reader.u32() == 0
        else { throw reader.fail("it is not an index table of this version") }
        let packsLength = try reader.u64()
        let count = try reader.u64()
        let baseCount = try reader.u64()
        guard let signer = KeyID(bytes: try reader.raw(16)) else { throw reader.fail("it has no signer") }
        guard try reader.u64() == 0 else { throw reader.fail("it is not an index table of this version") }
        columnsHash = try reader.hash()
        let checksum = try reader.hash()
        guard packsLength <= UInt64(bytes.count), packsLength % 8 == 0,
            count <= UInt64(IndexSegment.maximumBlobs), baseCount <= UInt64(BlobBases.maximumCount) * count
        else { throw reader.fail("its size is wrong") }
        layout = IndexTableLayout(packsLength: Int(packsLength), count: Int(count), baseCount: Int(baseCount))
        guard layout.fileLength == bytes.count else { throw reader.fail("its size is wrong") }
        let packsPart = Array(bytes[IndexTableLayout.headerLength..<layout.fences])
        let computed = ObjectHasher.hash(Array(header[..<IndexTableLayout.checkedHeaderLength]) + packsPart)
        guard computed == checksum else { throw reader.fail("its checksum is wrong") }
        var packsReader = ByteReader(packsPart, object: object)
        replaces = try IndexSegment.readReplaced(&packsReader)
        packs = try IndexSegment.readPacks(&packsReader)
        self.signer = signer
    }
}
