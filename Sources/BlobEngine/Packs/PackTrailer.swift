public import RepoBase

/// The last 196 bytes of a pack (format.md, 5.1).
public struct PackTrailer: Sendable {
    public static let length = 196
    /// format.md, 1: limits.
    public static let maximumPackSize = 256 << 20
    /// Of packs that may have padding before the directory. Those of the first programs are of version 1 and have none.
    static let version: UInt32 = 2
    static let versions: ClosedRange<UInt32> = 1...2
    static let magic = Array("packrepo".utf8)
    static let packMagic = Array("repopack".utf8)
    static let signatureContext = Array("repo pack v1\0".utf8)
    static let directoryContext = Array("repo directory v1".utf8)

    private let version: UInt32
    public let directoryLength: UInt32
    public let blobCount: UInt32
    public let seal: PackSeal
    let nonce: [UInt8]
    let signature: [UInt8]
    /// Bytes 0 to 124: what the signature covers.
    let header: [UInt8]
    public let packSize: UInt64

    /// Where the sealed directory is in the pack.
    public var directoryRange: Range<UInt64> {
        let end = packSize - UInt64(Self.length)
        return end - UInt64(directoryLength)..<end
    }

    static func header(
        directoryLength: UInt32, blobCount: UInt32, epoch: UInt32, envelope: [UInt8], nonce: [UInt8],
        signer: KeyID
    ) -> [UInt8] {
        var writer = ByteWriter(capacity: 124)
        writer.u32(version)
        writer.u32(directoryLength)
        writer.u32(blobCount)
        writer.u32(epoch)
        writer.raw(envelope)
        writer.raw(nonce)
        writer.raw(signer.bytes)
        return writer.bytes
    }

    /// What is signed for a directory.
    static func message(sealedDirectory: [UInt8], header: [UInt8]) -> [UInt8] {
        signatureContext + ObjectHasher.hash(sealedDirectory).bytes + header
    }

    /// - Parameters:
    ///   - bytes: the last 196 of the pack.
    ///   - packSize: bytes of the whole pack.
    public init(_ bytes: [UInt8], packSize: UInt64, object: String) throws(RepoError) {
        var reader = ByteReader(bytes, object: object)
        guard bytes.count == Self.length, bytes.suffix(8) == Self.magic[...] else {
            throw reader.fail("it does not end as a pack does")
        }
        version = try reader.u32()
        guard Self.versions.contains(version) else { throw reader.fail("its version \(version) is unknown; a newer repo may have written it") }
        directoryLength = try reader.u32()
        blobCount = try reader.u32()
        let epoch = try reader.u32()
        let envelope = Array(try reader.raw(PackSeal.envelopeLength))
        nonce = Array(try reader.raw(12))
        guard let signer = KeyID(bytes: try reader.raw(16)) else {
            throw reader.fail("its signer is unknown")
        }
        signature = Array(try reader.raw(64))
        header = Array(bytes[..<124])
        seal = PackSeal(epoch: epoch, envelope: envelope, signer: signer)
        self.packSize = packSize
        let least = UInt64(8 + Self.length) + UInt64(directoryLength)
        guard directoryLength >= 16, packSize >= least, packSize <= UInt64(Self.maximumPackSize) else {
            throw reader.fail("its directory does not fit into it")
        }
    }

    /// Opens the directory: checks who signed it, authenticates it, and checks that it describes the pack.
    public func openDirectory(
        _ sealed: [UInt8], keys: (UInt32) -> EpochKeys?, verifyingKey: (KeyID) -> [UInt8]?, object: String
    ) throws(RepoError) -> [BlobRecord] {
        guard sealed.count == Int(directoryLength) else { throw .damaged(object, "it ends early") }
        guard let key = verifyingKey(seal.signer) else {
            throw .damaged(object, "it was signed by a key \(seal.signer) that this repository does not know")
        }
        guard
            Signature.isValid(signature, of: Self.message(sealedDirectory: sealed, header: header), by: key)
        else { throw .damaged(object, "its signature is wrong") }
        guard let keys = keys(seal.epoch) else {
            throw .damaged(object, "its key epoch \(seal.epoch) is unknown")
        }
        let cipher = AuthenticatedCipher(key: keys.indexKey)
        let associated = Self.directoryContext + header[..<96]
        guard let plain = cipher.open(nonce: SealingNonce(nonce), associated: associated, sealed) else {
            throw .damaged(object, "its directory does not authenticate")
        }
        return try PackDirectory.decode(
            plain, count: Int(blobCount), end: directoryRange.lowerBound, isPadded: version > 1, object: object)
    }
}
