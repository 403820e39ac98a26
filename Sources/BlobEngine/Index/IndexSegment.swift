public import RepoBase

/// The directories of several packs, merged and sorted by id (format.md, 6).
public struct IndexSegment: Sendable {
    /// Segments that this one takes the place of.
    public var replaces: [ObjectID]
    public var packs: [PackRecord]
    /// Sorted by id, then by pack; `pack` is a place in `packs`.
    public var blobs: [(pack: UInt32, record: BlobRecord)]

    public static let maximumBlobs = 1 << 20
    static let magic = Array("repoindx".utf8)
    static let version: UInt32 = 1
    static let headerLength = 108
    static let signatureContext = Array("repo index v1\0".utf8)

    public init(replaces: [ObjectID], packs: [PackRecord], blobs: [(pack: UInt32, record: BlobRecord)]) {
        self.replaces = replaces
        self.packs = packs
        self.blobs = blobs
    }

    public func encode(epoch: EpochKeys, signer: SigningKey) -> [UInt8] {
        var header = ByteWriter()
        header.raw(Self.magic)
        header.u32(Self.version)
        header.u32(epoch.epoch)
        let nonce = SealingNonce.random()
        header.raw(nonce.bytes)
        header.raw(signer.id.bytes)
        let body = AuthenticatedCipher(key: epoch.indexKey.bytes).seal(
            nonce: nonce, associated: header.bytes, encodeBody())
        let signature = signer.sign(Self.signatureContext + ObjectHasher.hash(body).bytes + header.bytes)
        return header.bytes + signature + body
    }

    func encodeBody() -> [UInt8] {
        var writer = ByteWriter(capacity: blobs.count * 60 + packs.count * 160)
        writer.varint(replaces.count)
        for id in replaces { writer.hash(id) }
        writer.varint(packs.count)
        for pack in packs { Self.write(pack, into: &writer) }
        writer.varint(blobs.count)
        for blob in blobs { writer.hash(blob.record.id) }
        for blob in blobs { writer.varint(UInt64(blob.pack)) }
        for blob in blobs { writer.u8(blob.record.type.rawValue << 4 | blob.record.encoding.rawValue) }
        for blob in blobs { writer.varint(UInt64(blob.record.offset)) }
        for blob in blobs { writer.varint(UInt64(blob.record.ordinal)) }
        for blob in blobs { writer.varint(UInt64(blob.record.storedLength)) }
        for blob in blobs { writer.varint(UInt64(blob.record.rawLength)) }
        for blob in blobs where blob.record.encoding == .delta {
            BlobColumns.write(blob.record.bases, into: &writer)
        }
        return writer.bytes
    }

    static func write(_ pack: PackRecord, into writer: inout ByteWriter) {
        writer.hash(pack.id)
        writer.varint(pack.size)
        writer.u32(pack.seal.epoch)
        writer.raw(pack.seal.envelope)
        writer.raw(pack.seal.signer.bytes)
        writer.u8(pack.isVerified ? 1 : 0)
    }

    static func readPack(_ reader: inout ByteReader) throws(RepoError) -> PackRecord {
        let id = try reader.hash()
        let size = try reader.varint()
        let epoch = try reader.u32()
        let envelope = Array(try reader.raw(PackSeal.envelopeLength))
        guard let signer = KeyID(bytes: try reader.raw(16)) else { throw reader.fail("a signer is missing") }
        let flags = try reader.u8()
        guard size <= 256 << 20, flags <= 1 else { throw reader.fail("a pack in it is not possible") }
        return PackRecord(
            id: id, size: size, seal: PackSeal(epoch: epoch, envelope: envelope, signer: signer),
            isVerified: flags == 1)
    }

    /// Checks who signed it, authenticates it, and checks every bound.
    public static func decode(
        _ bytes: [UInt8], object: String, keys: (UInt32) -> EpochKeys?, verifyingKey: (KeyID) -> [UInt8]?
    ) throws(RepoError) -> (segment: IndexSegment, signer: KeyID) {
        var reader = ByteReader(bytes, object: object)
        guard try reader.raw(8) == magic[...] else { throw reader.fail("it does not begin as an index segment") }
        guard try reader.u32() == version else { throw reader.fail("its version is unknown") }
        let epoch = try reader.u32()
        let nonce = try reader.raw(12)
        guard let signer = KeyID(bytes: try reader.raw(16)) else { throw reader.fail("its signer is missing") }
        let signature = try reader.raw(64)
        let body = bytes[headerLength...]
        let header = bytes[..<44]
        guard let key = verifyingKey(signer) else {
            throw reader.fail("it was signed by a key \(signer) that this repository does not know")
        }
        let message = signatureContext + ObjectHasher.hash(Array(body)).bytes + header
        guard Signature.isValid(signature, of: message, by: key) else {
            throw reader.fail("its signature is wrong")
        }
        guard let keys = keys(epoch) else { throw reader.fail("its key epoch \(epoch) is unknown") }
        guard
            let plain = AuthenticatedCipher(key: keys.indexKey.bytes).open(
                nonce: SealingNonce(nonce), associated: Array(header), body)
        else { throw reader.fail("it does not authenticate") }
        return (try decodeBody(plain, object: object), signer)
    }

    static func decodeBody(_ bytes: [UInt8], object: String) throws(RepoError) -> IndexSegment {
        var reader = ByteReader(bytes, object: object)
        var replaces: [ObjectID] = []
        for _ in 0..<(try reader.count(ofAtLeast: 32)) { replaces.append(try reader.hash()) }
        var packs: [PackRecord] = []
        for _ in 0..<(try reader.count(ofAtLeast: 134)) { packs.append(try readPack(&reader)) }
        let count = try reader.count(ofAtLeast: 38, atMost: maximumBlobs)
        var ids: [BlobID] = []
        ids.reserveCapacity(count)
        for _ in 0..<count { ids.append(try reader.hash()) }
        func column<T>(_ read: (inout ByteReader) throws(RepoError) -> T) throws(RepoError) -> [T] {
            var values: [T] = []
            values.reserveCapacity(count)
            for _ in 0..<count { values.append(try read(&reader)) }
            return values
        }
        let ordinalLimit = PackDirectory.maximumBlobs - 1
        let inPacks = try column { reader throws(RepoError) in
            UInt32(try reader.varint(atMost: packs.count - 1, "a pack's number"))
        }
        let kinds = try column(BlobColumns.readKind)
        let offsets = try column { reader throws(RepoError) in
            UInt32(try reader.varint(atMost: 256 << 20, "an offset"))
        }
        let ordinals = try column { reader throws(RepoError) in
            UInt32(try reader.varint(atMost: ordinalLimit, "an ordinal"))
        }
        let stored = try column(BlobColumns.readLength)
        let raw = try column(BlobColumns.readLength)
        var blobs: [(pack: UInt32, record: BlobRecord)] = []
        blobs.reserveCapacity(count)
        for index in 0..<count {
            let (type, encoding) = kinds[index]
            let bases = encoding == .delta ? try BlobColumns.readBases(&reader) : BlobBases()
            if index > 0 {
                let isAscending =
                    ids[index - 1] < ids[index]
                    || (ids[index - 1] == ids[index] && inPacks[index - 1] <= inPacks[index])
                guard isAscending else { throw reader.fail("its blobs are out of order") }
            }
            guard UInt64(offsets[index]) + UInt64(stored[index]) + 16 <= packs[Int(inPacks[index])].size else {
                throw reader.fail("a blob reaches beyond its pack")
            }
            blobs.append(
                (
                    inPacks[index],
                    BlobRecord(
                        id: ids[index], type: type, encoding: encoding, offset: offsets[index],
                        ordinal: ordinals[index], storedLength: stored[index], rawLength: raw[index],
                        bases: bases)
                ))
        }
        try reader.expectEnd()
        return IndexSegment(replaces: replaces, packs: packs, blobs: blobs)
    }
}
