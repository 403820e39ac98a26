public import RepoBase

/// Opens the blobs of one pack. Not thread-safe.
public final class BlobOpener {
    private let cipher: AuthenticatedCipher

    /// Opens the pack's data key: about 100 µs. Throws `.wrongKey` for a key that can write and not read.
    public convenience init(seal: PackSeal, keys: EpochKeys) throws(RepoError) {
        self.init(dataKey: try Self.dataKey(seal: seal, keys: keys))
    }

    /// - Parameter dataKey: of `dataKey(seal:keys:)`.
    public init(dataKey: SecretBytes) { cipher = AuthenticatedCipher(key: dataKey) }

    /// The pack's data key, for openers on several threads. Throws `.wrongKey` for a key that can write and not read.
    public static func dataKey(seal: PackSeal, keys: EpochKeys) throws(RepoError) -> SecretBytes {
        guard let agreement = keys.agreement else {
            throw RepoError(
                .wrongKey, "a writer key can add backups and not read them",
                advice: "Use a password or a machine key with the role 'full'.")
        }
        guard
            let key = Envelope.open(
                seal.envelope, with: agreement, info: PackSeal.info, associated: seal.associated),
            key.count == 32
        else { throw .damaged("a pack's data key", "it does not open with epoch \(seal.epoch)") }
        return key
    }

    /// Authenticates a sealed blob (`storedLength` + 16 bytes) and writes `storedLength` bytes.
    public func open(
        _ record: BlobRecord, sealed: UnsafeRawBufferPointer, into out: UnsafeMutableRawPointer,
        object: String
    ) throws(RepoError) {
        precondition(sealed.count == Int(record.storedLength) + BlobRecord.tagLength)
        let isGood = record.withAssociatedData { associated in
            cipher.open(nonce: .ordinal(record.ordinal), associated: associated, sealed: sealed, into: out)
        }
        guard isGood else { throw .damaged(object, "it does not authenticate") }
    }
}
