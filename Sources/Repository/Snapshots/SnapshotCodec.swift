public import BlobEngine
public import RepoBase

/// Seals snapshots so that full keys alone read them, and opens them (format.md, 7).
public enum SnapshotCodec {
    /// The size that a reader refuses (format.md, 1).
    public static let byteLimit = 64 << 20

    private static let frame = EnvelopedFrame(magic: "reposnap", word: "snapshot", name: "snapshot", byteLimit: byteLimit)

    /// The object's bytes, whose hash is the snapshot's id. Any key can make one, with a data key that it
    /// then forgets.
    ///
    /// Throws `.failed` when the snapshot is larger than a reader takes, or when what was sealed does not
    /// open to what it was.
    public static func encode(
        _ snapshot: Snapshot, epoch: EpochKeys, signer: SigningKey
    ) throws(RepoError) -> [UInt8] {
        try frame.encode(snapshot.encoded(), epoch: epoch, signer: signer)
    }

    /// Verifies, opens and decodes. The caller has compared the object's name with the hash of `bytes`.
    ///
    /// Throws `.wrongKey` for a writer's key ring, `.damaged` naming `object` for the rest; an epoch or
    /// signer that the key ring does not know is damage too, so callers `refresh` it first where keys may
    /// have changed.
    public static func decode(
        _ bytes: [UInt8], object: String, keyRing: KeyRing
    ) throws(RepoError) -> Snapshot {
        try Snapshot(frame.open(bytes, object: object, keyRing: keyRing), object: object)
    }

    /// Who signed it, of bytes that `decode` has verified.
    static func signer(_ bytes: [UInt8]) -> KeyID? { EnvelopedFrame.signer(bytes) }
}
