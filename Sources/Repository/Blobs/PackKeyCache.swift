import BlobEngine
import RepoBase

/// The data keys of packs that the threads of one operation have opened (format.md, 5.1).
///
/// By what each was opened from, so that a segment that lies about a pack's seal does not stand in the way of one that does not.
final class PackKeyCache: Sendable {
    /// 32 bytes of key and about 200 of seal each; beyond, all are opened anew.
    private static let limit = 4096

    private let keys = Monitor<[PackSeal: SecretBytes]>([:])

    /// Throws `.wrongKey` for a key that can write and not read, `.damaged` where the seal does not open.
    func key(_ seal: PackSeal, _ epoch: EpochKeys) throws -> SecretBytes {
        if let known = keys.withLock({ $0[seal] }) { return known }
        // Two threads may open the same one at a time; they find the same.
        let key = try BlobOpener.dataKey(seal: seal, keys: epoch)
        keys.withLock { keys in
            if keys.count >= Self.limit { keys.removeAll() }
            keys[seal] = key
        }
        return key
    }
}
