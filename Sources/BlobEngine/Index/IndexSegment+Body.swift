import RepoBase

/// The plaintext of a segment (format.md, 6): replaced segments, packs, and the blobs in columns.
extension IndexSegment {
    /// The body alone.
    func encodeBody() -> [UInt8] { encodeBody(after: 0, room: 0) }

    /// The body with `before` zeros before it and `room` zeros behind it.
    func encodeBody(after before: Int, room: Int) -> [UInt8] {
        precondition(blobs.count <= Self.maximumBlobs)
        var writer = ByteWriter(
            capacity: before + 64 + replaces.count * 32 + packs.count * 140 + blobs.count * 72)
        writer.raw(repeatElement(0, count: before))
        writeReplaced(into: &writer)
        writePacks(into: &writer)
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
        writer.raw(repeatElement(0, count: room))
        return writer.bytes
    }

    func writeReplaced(into writer: inout ByteWriter) {
        writer.varint(replaces.count)
        for id in replaces { writer.hash(id) }
    }

    func writePacks(into writer: inout ByteWriter) {
        writer.varint(packs.count)
        for pack in packs {
            writer.hash(pack.id)
            writer.varint(pack.size)
            writer.u32(pack.seal.epoch)
            writer.raw(pack.seal.envelope)
            writer.raw(pack.seal.signer.bytes)
            writer.u8(pack.isVerified ? 1 : 0)
        }
    }

    static func readReplaced(_ reader: inout ByteReader) throws(RepoError) -> [ObjectID] {
        let count = try reader.count(ofAtLeast: 32)
        var replaced: [ObjectID] = []
        replaced.reserveCapacity(count)
        for _ in 0..<count { replaced.append(try reader.hash()) }
        return replaced
    }

    static func readPacks(_ reader: inout ByteReader) throws(RepoError) -> [PackRecord] {
        let count = try reader.count(ofAtLeast: 134)
        var packs: [PackRecord] = []
        packs.reserveCapacity(count)
        for _ in 0..<count {
            let id = try reader.hash()
            let size = try reader.varint(atMost: PackTrailer.maximumPackSize, "a pack's size")
            let epoch = try reader.u32()
            let envelope = Array(try reader.raw(PackSeal.envelopeLength))
            guard let signer = KeyID(bytes: try reader.raw(16)) else {
                throw reader.fail("a signer is missing")
            }
            let flags = try reader.u8()
            guard flags <= 1 else { throw reader.fail("a pack has unknown flags") }
            packs.append(
                PackRecord(
                    id: id, size: UInt64(size),
                    seal: PackSeal(epoch: epoch, envelope: envelope, signer: signer),
                    isVerified: flags == 1))
        }
        return packs
    }

    static func decodeBody(_ bytes: [UInt8], object: String) throws(RepoError) -> IndexSegment {
        var reader = ByteReader(bytes, object: object)
        let replaces = try readReplaced(&reader)
        let packs = try readPacks(&reader)
        let count = try reader.count(ofAtLeast: 38, atMost: maximumBlobs)
        guard count == 0 || !packs.isEmpty else { throw reader.fail("its blobs are in no pack") }
        var blobs: [(pack: UInt32, record: BlobRecord)] = []
        blobs.reserveCapacity(count)
        for _ in 0..<count { blobs.append((0, BlobRecord(id: try reader.hash()))) }
        for index in blobs.indices {
            blobs[index].pack = UInt32(try reader.varint(atMost: packs.count - 1, "a pack's number"))
        }
        for index in blobs.indices { try BlobColumns.readKind(&reader, into: &blobs[index].record) }
        for index in blobs.indices {
            blobs[index].record.offset = UInt32(
                try reader.varint(atMost: PackTrailer.maximumPackSize, "an offset"))
        }
        for index in blobs.indices {
            blobs[index].record.ordinal = UInt32(
                try reader.varint(atMost: PackDirectory.maximumBlobs - 1, "an ordinal"))
        }
        for index in blobs.indices { blobs[index].record.storedLength = try BlobColumns.readLength(&reader) }
        for index in blobs.indices { blobs[index].record.rawLength = try BlobColumns.readLength(&reader) }
        for index in blobs.indices where blobs[index].record.encoding == .delta {
            blobs[index].record.bases = try BlobColumns.readBases(&reader)
        }
        try reader.expectEnd()
        for index in blobs.indices {
            let (pack, record) = blobs[index]
            if index > 0 {
                let before = blobs[index - 1]
                guard before.record.id < record.id || (before.record.id == record.id && before.pack <= pack)
                else {
                    throw reader.fail("its blobs are out of order")
                }
            }
            if let flaw = record.flaw { throw reader.fail(flaw) }
            guard record.lies(inPackOf: packs[Int(pack)].size) else {
                throw reader.fail("a blob reaches beyond its pack")
            }
        }
        return IndexSegment(replaces: replaces, packs: packs, blobs: blobs)
    }
}
