public import RepoBase

/// How a blob's bytes are stored (format.md, 5.3).
public enum BlobEncoding: UInt8, Hashable, Sendable, CaseIterable, BitwiseCopyable {
    case plain = 0
    case zstd = 1
    /// zstd with other blobs as its prefix.
    case delta = 2
}

/// The blobs that a delta rests on, each by the first 8 bytes of its id: 0 to 8, without allocation.
public struct BlobBases: Hashable, Sendable, BitwiseCopyable {
    public static let maximumCount = 8
    // Two pairs of pairs and not a SIMD8, whose alignment of 64 would make every record half as large again.
    private struct Four: Hashable, Sendable, BitwiseCopyable {
        var words: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)

        static func == (a: Four, b: Four) -> Bool { a.words == b.words }

        func hash(into hasher: inout Hasher) { hasher.combine(words.0) }
    }
    private var low = Four()
    private var high = Four()
    private var used: UInt8 = 0

    public init() {}

    public var count: Int { Int(used) }

    /// Traps beyond eight.
    public mutating func append(_ prefix: UInt64) {
        precondition(count < Self.maximumCount, "a delta has at most eight bases")
        let place = count
        withUnsafeMutableBytes(of: &self) { bytes in
            bytes.storeBytes(of: prefix, toByteOffset: 8 * place, as: UInt64.self)
        }
        used += 1
    }

    public subscript(_ position: Int) -> UInt64 {
        precondition(position >= 0 && position < count)
        return withUnsafeBytes(of: self) { $0.load(fromByteOffset: 8 * position, as: UInt64.self) }
    }
}

/// Where a blob is in its pack, and what it is: one row of a directory.
///
/// Fields are set one column at a time while a directory is decoded, and never later.
public struct BlobRecord: Hashable, Sendable, BitwiseCopyable {
    public let id: BlobID
    public internal(set) var type: BlobType
    public internal(set) var encoding: BlobEncoding
    /// Bytes from the pack's start to the sealed blob.
    public internal(set) var offset: UInt32
    /// Its place among the blobs of the pack: its nonce.
    public internal(set) var ordinal: UInt32
    /// Bytes as encoded, without the tag of 16.
    public internal(set) var storedLength: UInt32
    /// Bytes of plaintext.
    public internal(set) var rawLength: UInt32
    public internal(set) var bases: BlobBases

    public static let maximumRawLength = 16 << 20
    /// What does not shrink is stored plain; the margin is for a coder that finds so late.
    static let maximumStoredLength = maximumRawLength + 4096
    public static let tagLength = 16

    /// Why no blob can be so, or nil: kinds, lengths and bases must agree (format.md, 5.2).
    var flaw: String? {
        if rawLength > UInt32(Self.maximumRawLength) { return "a blob is longer than 16 MiB" }
        if storedLength > UInt32(Self.maximumStoredLength) { return "a stored blob is longer than 16 MiB" }
        if encoding == .plain, storedLength != rawLength { return "a plain blob has two lengths" }
        if (encoding == .delta) != (bases.count > 0) { return "bases and encoding of a blob disagree" }
        return nil
    }

    public init(
        id: BlobID, type: BlobType, encoding: BlobEncoding, offset: UInt32, ordinal: UInt32,
        storedLength: UInt32, rawLength: UInt32, bases: BlobBases
    ) {
        self.id = id
        self.type = type
        self.encoding = encoding
        self.offset = offset
        self.ordinal = ordinal
        self.storedLength = storedLength
        self.rawLength = rawLength
        self.bases = bases
    }

    /// A record of which only the id is known yet.
    init(id: BlobID) {
        self.init(
            id: id, type: .chunk, encoding: .plain, offset: 0, ordinal: 0, storedLength: 0, rawLength: 0,
            bases: BlobBases())
    }

    /// Whether a pack of `size` bytes has room for it between its magic and its trailer.
    func lies(inPackOf size: UInt64) -> Bool {
        offset >= UInt32(PackDirectory.firstOffset)
            && UInt64(offset) + UInt64(storedLength) + UInt64(Self.tagLength + PackTrailer.length) <= size
    }

    /// What the seal binds the blob to: id, type, encoding and lengths (42 bytes).
    func withAssociatedData<R>(_ body: (UnsafeRawBufferPointer) -> R) -> R {
        withUnsafeTemporaryAllocation(byteCount: 42, alignment: 8) { buffer in
            let base = buffer.baseAddress!
            id.store(to: base)
            base.storeBytes(of: type.rawValue, toByteOffset: 32, as: UInt8.self)
            base.storeBytes(of: encoding.rawValue, toByteOffset: 33, as: UInt8.self)
            base.storeBytes(of: storedLength.littleEndian, toByteOffset: 34, as: UInt32.self)
            base.storeBytes(of: rawLength.littleEndian, toByteOffset: 38, as: UInt32.self)
            return body(UnsafeRawBufferPointer(buffer))
        }
    }
}

/// What opens a pack: its data key, sealed, and who wrote it.
public struct PackSeal: Hashable, Sendable {
    public let epoch: UInt32
    /// 80 bytes (format.md, 5.1).
    public let envelope: [UInt8]
    public let signer: KeyID

    public static let envelopeLength = 80

    public init(epoch: UInt32, envelope: [UInt8], signer: KeyID) {
        self.epoch = epoch
        self.envelope = envelope
        self.signer = signer
    }

    var associated: [UInt8] {
        var writer = ByteWriter()
        // Of every version, so that an index segment's envelope opens without the pack.
        writer.u32(1)
        writer.u32(epoch)
        return writer.bytes
    }

    static let info = "repo pack v1"
}

/// A pack as the index knows it.
public struct PackRecord: Hashable, Sendable {
    public let id: ObjectID
    /// Bytes of the whole object.
    public let size: UInt64
    public let seal: PackSeal
    /// A full key has read and verified it, so that every key may deduplicate against it.
    public var isVerified: Bool

    public init(id: ObjectID, size: UInt64, seal: PackSeal, isVerified: Bool) {
        self.id = id
        self.size = size
        self.seal = seal
        self.isVerified = isVerified
    }
}
