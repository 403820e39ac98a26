public import RepoBase

/// The directories of several packs, merged and sorted by id (format.md, 6).
public struct IndexSegment: Sendable {
    /// Segments that this one takes the place of.
    public var replaces: [ObjectID]
    public var packs: [PackRecord]
    /// Sorted by id, then by pack; `pack` is a place in `packs`.
    public var blobs: [(pack: UInt32, record: BlobRecord)]

    public static let maximumBlobs = 1 << 20
    public static let maximumSize = 256 << 20
    static let magic = Array("repoindx".utf8)
    static let version: UInt32 = 1
    /// Bytes that the seal and the signature cover as they are.
    static let headerLength = 44
    static let bodyOffset = 108
    static let signatureContext = Array("repo index v1\0".utf8)

    public init(replaces: [ObjectID], packs: [PackRecord], blobs: [(pack: UInt32, record: BlobRecord)]) {
        self.replaces = replaces
        self.packs = packs
        self.blobs = blobs
    }

    /// The object: sealed with the epoch's index key, signed. Traps beyond 2^20 blobs or 256 MiB.
    public func encode(epoch: EpochKeys, signer: SigningKey) -> [UInt8] {
        var writer = ByteWriter()
        writer.raw(Self.magic)
        writer.u32(Self.version)
        writer.u32(epoch.epoch)
        let nonce = SealingNonce.random()
        writer.raw(nonce.bytes)
        writer.raw(signer.id.bytes)
        let header = writer.bytes
        // One buffer from the first byte to the last: a segment may have 60 MB.
        var object = encodeBody(after: Self.bodyOffset, room: AuthenticatedCipher.tagByteCount)
        precondition(object.count <= Self.maximumSize)
        let cipher = AuthenticatedCipher(key: epoch.indexKey)
        object.withUnsafeMutableBytes { object in
            object.copyBytes(from: header)
            let start = object.baseAddress! + Self.bodyOffset
            let plain = UnsafeRawBufferPointer(
                start: start, count: object.count - Self.bodyOffset - AuthenticatedCipher.tagByteCount)
            header.withUnsafeBytes { associated in
                cipher.seal(nonce: nonce, associated: associated, plaintext: plain, into: start)
            }
            let signature = signer.sign(Self.message(UnsafeRawBufferPointer(object)))
            UnsafeMutableRawBufferPointer(rebasing: object[Self.headerLength..<Self.bodyOffset])
                .copyBytes(from: signature)
        }
        return object
    }

    /// What is signed.
    private static func message(_ object: UnsafeRawBufferPointer) -> [UInt8] {
        let body = UnsafeRawBufferPointer(rebasing: object[bodyOffset...])
        return signatureContext + ObjectHasher.hash(body).bytes + Array(object[..<headerLength])
    }

    /// Checks who signed it, authenticates it, and checks every bound. Throws `.damaged`.
    public static func decode(
        _ bytes: [UInt8], object: String, keys: (UInt32) -> EpochKeys?, verifyingKey: (KeyID) -> [UInt8]?
    ) throws(RepoError) -> (segment: IndexSegment, signer: KeyID) {
        var reader = ByteReader(bytes, object: object)
        guard bytes.count <= maximumSize else { throw reader.fail("it is larger than 256 MiB") }
        guard try reader.raw(8) == magic[...] else {
            throw reader.fail("it does not begin as an index segment")
        }
        guard try reader.u32() == version else { throw reader.fail("its version is unknown") }
        let epoch = try reader.u32()
        let nonce = SealingNonce(try reader.raw(12))
        guard let signer = KeyID(bytes: try reader.raw(16)) else {
            throw reader.fail("its signer is missing")
        }
        let signature = try reader.raw(64)
        guard let key = verifyingKey(signer) else {
            throw reader.fail("it was signed by a key \(signer) that this repository does not know")
        }
        guard Signature.isValid(signature, of: bytes.withUnsafeBytes(message), by: key) else {
            throw reader.fail("its signature is wrong")
        }
        guard let keys = keys(epoch) else { throw reader.fail("its key epoch \(epoch) is unknown") }
        guard
            let plain = AuthenticatedCipher(key: keys.indexKey).open(
                nonce: nonce, associated: Array(bytes[..<headerLength]), bytes[bodyOffset...])
        else { throw reader.fail("it does not authenticate") }
        return (try decodeBody(plain, object: object), signer)
    }
}
