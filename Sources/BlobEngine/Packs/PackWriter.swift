public import RepoBase

/// What became of a pack that was finished.
public struct FinishedPack: Sendable {
    public let record: PackRecord
    public let blobs: [BlobRecord]
}

/// Fills one pack in memory (format.md, 5). Not thread-safe: the caller locks.
public final class PackWriter {
    private let buffer: AlignedBuffer
    private let epoch: EpochKeys
    private let cipher: AuthenticatedCipher
    private let envelope: [UInt8]
    private var blobs: [BlobRecord] = []
    private var opened: AlignedBuffer

    /// Bytes kept free for the directory and the trailer, per blob and in all.
    private static let directoryBytesPerBlob = 32 + 1 + 4 + 4 + 1 + 8 * BlobBases.maximumCount
    private static let fixedBytes = PackTrailer.length + 16

    /// Draws the pack's data key and seals it. The buffer is written from its start; what it holds beyond
    /// 256 MiB stays unused.
    public init(buffer: AlignedBuffer, epoch: EpochKeys) {
        self.buffer = buffer
        self.epoch = epoch
        let key = SecretBytes(RandomBytes.make(32))
        cipher = AuthenticatedCipher(key: key.bytes)
        let seal = PackSeal(epoch: epoch.epoch, envelope: [], signer: KeyID.none)
        envelope = Envelope.seal(
            key.bytes, to: epoch.publicKey, info: PackSeal.info, associated: seal.associated)
        buffer.base.copyMemory(from: PackTrailer.packMagic, byteCount: 8)
        buffer.count = 8
        opened = AlignedBuffer(capacity: 1 << 18)
    }

    public var blobCount: Int { blobs.count }

    /// Bytes so far, without directory and trailer.
    public var size: Int { buffer.count }

    private var capacity: Int { min(buffer.capacity, PackTrailer.maximumPackSize) }

    /// Whether another blob of that length has room.
    public func fits(encodedLength: Int) -> Bool {
        let directory = (blobs.count + 1) * Self.directoryBytesPerBlob + Self.fixedBytes
        return blobs.count < PackDirectory.maximumBlobs
            && buffer.count + encodedLength + 16 + directory <= capacity
    }

    /// Seals a blob into the pack; then opens what was sealed and compares, so that a fault of memory or processor
    /// is found before anything is stored. Throws `.failed` then. Traps when the blob does not fit, and for lengths,
    /// encoding and bases that disagree: no reader would accept them.
    @discardableResult
    public func append(
        id: BlobID, type: BlobType, encoding: BlobEncoding, rawLength: UInt32, bases: BlobBases,
        encoded: UnsafeRawBufferPointer
    ) throws(RepoError) -> BlobRecord {
        precondition(fits(encodedLength: encoded.count))
        let record = BlobRecord(
            id: id, type: type, encoding: encoding, offset: UInt32(buffer.count),
            ordinal: UInt32(blobs.count),
            storedLength: UInt32(encoded.count), rawLength: rawLength, bases: bases)
        precondition(record.flaw == nil)
        let place = buffer.base + buffer.count
        if opened.capacity < encoded.count { opened = AlignedBuffer(capacity: encoded.count) }
        let isGood = record.withAssociatedData { associated in
            cipher.seal(
                nonce: .ordinal(record.ordinal), associated: associated, plaintext: encoded, into: place)
            return cipher.open(
                nonce: .ordinal(record.ordinal), associated: associated,
                sealed: UnsafeRawBufferPointer(start: place, count: encoded.count + 16), into: opened.base)
                && memoryIsEqual(opened.base, encoded)
        }
        guard isGood else {
            throw RepoError(
                .failed,
                "blob \(id) did not open to what was sealed: this machine's memory or processor errs",
                advice: "Test the machine's memory; nothing wrong was stored.")
        }
        buffer.count += encoded.count + 16
        blobs.append(record)
        return record
    }

    /// Adds directory and trailer; the buffer then holds the whole object. Reads both back as a reader would, and
    /// throws `.failed` when they do not say what was written.
    public func finish(signer: SigningKey) throws(RepoError) -> FinishedPack {
        let plain = PackDirectory.encode(blobs)
        let nonce = SealingNonce.random()
        let header = PackTrailer.header(
            directoryLength: UInt32(plain.count + 16), blobCount: UInt32(blobs.count), epoch: epoch.epoch,
            envelope: envelope, nonce: nonce.bytes, signer: signer.id)
        let sealed = AuthenticatedCipher(key: epoch.indexKey.bytes).seal(
            nonce: nonce, associated: PackTrailer.directoryContext + header[..<96], plain)
        let signature = signer.sign(PackTrailer.message(sealedDirectory: sealed, header: header))
        let tail = sealed + header + signature + PackTrailer.magic
        precondition(buffer.count + tail.count <= capacity)
        (buffer.base + buffer.count).copyMemory(from: tail, byteCount: tail.count)
        buffer.count += tail.count
        guard (try? readBack(signer)) == blobs else {
            throw RepoError(
                .failed,
                "a pack's directory did not read as it was written: this machine's memory or processor errs",
                advice: "Test the machine's memory; nothing wrong was stored.")
        }
        let record = PackRecord(
            id: ObjectHasher.hash(buffer.bytes), size: UInt64(buffer.count),
            seal: PackSeal(epoch: epoch.epoch, envelope: envelope, signer: signer.id), isVerified: false)
        return FinishedPack(record: record, blobs: blobs)
    }

    private func readBack(_ signer: SigningKey) throws(RepoError) -> [BlobRecord] {
        let object = "a new pack"
        let tail = Array(buffer.bytes.suffix(PackTrailer.length))
        let trailer = try PackTrailer(tail, packSize: UInt64(buffer.count), object: object)
        let range = Int(trailer.directoryRange.lowerBound)..<Int(trailer.directoryRange.upperBound)
        let sealed = Array(buffer.bytes[range])
        return try trailer.openDirectory(
            sealed, keys: { $0 == self.epoch.epoch ? self.epoch : nil },
            verifyingKey: { $0 == signer.id ? signer.publicKey : nil }, object: object)
    }
}

extension KeyID {
    /// Stands where a signer is not known yet; names no key.
    static let none = KeyID(bytes: [UInt8](repeating: 0, count: 16))!
}
