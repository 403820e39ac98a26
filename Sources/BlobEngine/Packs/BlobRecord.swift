public import RepoBase

/// How a blob's bytes are stored (format.md, 5.3).
public enum BlobEncoding: UInt8, Hashable, Sendable, CaseIterable, BitwiseCopyable {
    case plain = 0
    case zstd = 1
    /// zstd with other blobs as its prefix.
    case delta = 2
}

/// The blobs that a delta rests on, each by the first 8 bytes of its id: 0 to 4, without allocation.
public struct BlobBases: Hashable, Sendable, BitwiseCopyable {
    public static let maximumCount = 4
    public private(set) var count = 0
    private var prefixes = SIMD4<UInt64>()

    public init() {}

    /// Traps beyond four.
    public mutating func append(_ prefix: UInt64) {
        precondition(count < Self.maximumCount)
        prefixes[count] = prefix
        count += 1
    }

    public subscript(_ position: Int) -> UInt64 {
        precondition(position < count)
        return prefixes[position]
    }
}

/// Where a blob is in its pack, and what it is: one row of a directory.
public struct BlobRecord: Hashable, Sendable, BitwiseCopyable {
    public let id: BlobID
    public let type: BlobType
    public let encoding: BlobEncoding
    /// Bytes from the pack's start to the sealed blob.
    public let offset: UInt32
    /// Its place among the blobs of the pack: its nonce.
    public let ordinal: UInt32
    /// Bytes as encoded, without the tag of 16.
    public let storedLength: UInt32
    /// Bytes of plaintext.
    public let rawLength: UInt32
    public let bases: BlobBases

    public static let maximumRawLength = 16 << 20
    public static let tagLength = 16

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
        writer.u32(PackTrailer.version)
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
