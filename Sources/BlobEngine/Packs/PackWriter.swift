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

    /// Bytes kept free for the directory and the trailer, for one more blob at most and in all.
    private static let directoryBytesPerBlob = 32 + 1 + 4 + 4 + 1 + 8 * BlobBases.maximumCount
    private static let fixedBytes = PackTrailer.length + 16
    /// The length of the padding in the directory.
    private static let paddingBytes = 4
    /// What the directory takes so far, at most.
    private var directoryBytes = PackWriter.paddingBytes

    /// Draws the pack's data key and seals it. The buffer is written from its start; what it holds beyond
    /// 256 MiB stays unused.
    public init(buffer: AlignedBuffer, epoch: EpochKeys) {
        self.buffer = buffer
        self.epoch = epoch
        let key = SecretBytes.random(32)
        cipher = AuthenticatedCipher(key: key)
        let seal = PackSeal(epoch: epoch.epoch, envelope: [], signer: KeyID.none)
        envelope = Envelope.seal(
            key, to: epoch.publicKey, info: PackSeal.info, associated: seal.associated)
        buffer.base.copyMemory(from: PackTrailer.packMagic, byteCount: 8)
        buffer.count = 8
        opened = AlignedBuffer(capacity: 1 << 18)
    }

    public var blobCount: Int { blobs.count }

    /// Bytes so far, without directory and trailer.
    public var size: Int { buffer.count }

    private var capacity: Int { min(buffer.capacity, PackTrailer.maximumPackSize) }

    /// Whether another blob of that length has room.
    /// - Parameter size: of the whole pack, where that is to be less than the buffer holds.
    public func fits(encodedLength: Int, in size: Int = .max) -> Bool {
        let directory = directoryBytes + Self.directoryBytesPerBlob + Self.fixedBytes
        return blobs.count < PackDirectory.maximumBlobs
            && buffer.count + encodedLength + 16 + directory <= min(capacity, size)
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
        directoryBytes += 32 + 1 + 4 + 4 + (encoding == .delta ? 1 + 8 * bases.count : 0)
        return record
    }

    /// Adds padding, directory and trailer; the buffer then holds the whole object. Reads both back as a reader would, and
    /// throws `.failed` when they do not say what was written.
    /// - Parameter size: the pack is padded to it where it is no larger; otherwise to the least of its class (`PackSize`) that the buffer holds.
    public func finish(signer: SigningKey, paddedTo size: Int = 0) throws(RepoError) -> FinishedPack {
        let padding = pad(to: size, tail: PackDirectory.encode(blobs, padding: 0).count + Self.fixedBytes)
        let plain = PackDirectory.encode(blobs, padding: padding)
        let nonce = SealingNonce.random()
        let header = PackTrailer.header(
            directoryLength: UInt32(plain.count + 16), blobCount: UInt32(blobs.count), epoch: epoch.epoch,
            envelope: envelope, nonce: nonce.bytes, signer: signer.id)
        let sealed = AuthenticatedCipher(key: epoch.indexKey).seal(
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

    /// With random bytes, which look as what is sealed does. Returns how many.
    private func pad(to size: Int, tail: Int) -> Int {
        let whole = buffer.count + tail
        let padding = max(0, min(whole <= size ? size : PackSize.padded(whole), capacity) - whole)
        RandomBytes.fill(UnsafeMutableRawBufferPointer(start: buffer.base + buffer.count, count: padding))
        buffer.count += padding
        return padding
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
