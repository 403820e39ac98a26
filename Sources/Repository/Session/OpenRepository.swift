public import BlobEngine
import RepoBase
public import Storage

/// A repository that was unlocked: its store, its keys, and where this machine caches what it learns.
///
/// Cheap to hold; the index is loaded when first asked for, and again by `reloadIndex`.
public final class OpenRepository: Sendable {
    public let store: any Store
    public let keys: KeyRing
    /// A folder of this user's for index tables, safe to delete; nil: a temporary one for this process.
    public let cacheDirectory: String

    public let blobHasher: BlobHasher
    /// For streams and files.
    let chunkProfile: ChunkProfile
    /// Bytes of a page-aligned chunk.
    let pageChunkSize: Int

    private let loaded = Monitor<IndexView?>(nil)
    private let readsPartialIndex = Monitor(false)

    /// Throws `.damaged` when config has no usable chunker profiles.
    public init(store: any Store, keys: KeyRing, cacheDirectory: String) throws {
        self.store = store
        self.keys = keys
        self.cacheDirectory = cacheDirectory
        blobHasher = BlobHasher(idSecret: keys.idSecret.bytes)
        var stream: ChunkProfile?
        var page: Int?
        for profile in keys.profiles {
            switch profile {
            case .contentDefined(let minimum, let normal, let maximum, let strictBits, let looseBits):
                stream = try ChunkProfile(
                    minimum: minimum, normal: normal, maximum: maximum, strictBits: strictBits,
                    looseBits: looseBits)
            case .pageAligned(let size): page = try PageProfile(chunkSize: size).chunkSize
            }
        }
        guard let stream, let page else { throw RepoError.damaged("config", "a chunker profile is missing") }
        chunkProfile = stream
        pageChunkSize = page
    }

    /// From now on a damaged index segment is left out instead of failing everything: for readers, which get what the rest of the index
    /// leads to, and for checks and repairs, which name it themselves. Not for writers.
    public func acceptPartialIndex() { readsPartialIndex.withLock { $0 = true } }

    private func loadIndex() throws -> IndexView {
        guard readsPartialIndex.withLock({ $0 }) else { return try IndexLoader(self).load() }
        return try IndexLoader(self).load(onDamaged: { _, _ in })
    }

    /// The index as of its last loading, together with what this process has added since.
    public func index() throws -> IndexView {
        try loaded.withLock { view in
            if let view { return view }
            let fresh = try loadIndex()
            view = fresh
            return fresh
        }
    }

    /// Loads the index anew: for a reader whose pack is gone, and for a writer after it has registered.
    @discardableResult
    public func reloadIndex() throws -> IndexView {
        let fresh = try loadIndex()
        loaded.withLock { $0 = fresh }
        return fresh
    }

    /// Loads the index anew unless another thread has done so since `view` was taken. True when it is another one now.
    func reloadIndexIfChanged(since view: IndexView) throws -> Bool {
        try loaded.withLock { current in
            if let current, current !== view { return true }
            let fresh = try loadIndex()
            defer { current = fresh }
            return fresh.segments != view.segments
        }
    }

    /// Makes a segment that this process has just stored part of the index.
    func adopt(_ table: IndexTable, named name: ObjectID) throws {
        _ = try index()
        loaded.withLock { $0 = $0?.adding(table, named: name) }
    }

    public func epochKeys(_ epoch: UInt32) -> EpochKeys? { keys.epochKeys(epoch) }

    public func verifyingKey(_ id: KeyID) -> [UInt8]? { keys.verifyingKey(id) }

    /// Whether this key may rest new data on a pack that a segment signed by `signer` tells of (design, signatures): on its own packs, on those of
    /// full keys, and on what a full key has verified. What a segment says of a pack counts only from the pack's own signer or a full key.
    func trusts(segmentSigner signer: KeyID, _ pack: PackRecord) -> Bool {
        let isFull = keys.role(of: signer) == .full
        guard isFull || signer == pack.seal.signer else { return false }
        if pack.seal.signer == keys.keyID || keys.role(of: pack.seal.signer) == .full { return true }
        return isFull && pack.isVerified
    }
}
