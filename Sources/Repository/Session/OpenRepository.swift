public import BlobEngine
public import RepoBase
public import Storage

/// A repository that was unlocked: its store, its keys, and where this machine caches what it learns.
///
/// Cheap to hold; the index is loaded when first asked for, and again by `reloadIndex`.
public final class OpenRepository: Sendable {
    public let store: any Store
    /// As of the latest generation of config that an object made necessary to know.
    public var keys: KeyRing { ring.keys }
    private let ring: RefreshedKeyRing
    /// A folder of this user's for index tables, safe to delete; nil: a temporary one for this process.
    public let cacheDirectory: String
    /// Copies of small objects on this machine, for a remote store; nil: all is read from the store each time.
    public let objects: ObjectCache?
    let metadata: MetadataPacks?
    /// Whether each call of the store takes a round trip over a network, so that fewer and larger ones, and more at once, are better.
    public let isRemote: Bool
    /// What this machine has seen here before; nil for those that need not know.
    public let freshness: FreshnessWatch?

    public let blobHasher: BlobHasher
    /// For streams and files.
    let chunkProfile: ChunkProfile
    /// Bytes of a page-aligned chunk.
    let pageChunkSize: Int

    private let loaded = Monitor<IndexView?>(nil)
    /// Told of what is left out; nil for those who need the index whole.
    private let onPartialIndex = Monitor<(@Sendable (StoreKey, RepoError) -> Void)?>(nil)
    /// Told, each thing once, what this machine's cache could not keep, and what that means.
    private let onCacheFailure = Monitor<(tell: @Sendable (String) -> Void, told: Set<String>)>(({ _ in }, []))
    /// The view whose tables were last found to be what was written.
    private let verified = Monitor<Set<ObjectID>>([])
    private let looksForPacks = Monitor(false)

    /// Throws `.damaged` when config has no usable chunker profiles.
    /// - Parameters:
    ///   - objects: nil also for those who are to prove what the store holds.
    ///   - freshness: told of every listing of the snapshots. Nil for a dry run, whose objects will never be in the store.
    public init(
        store: any Store, keys: KeyRing, cacheDirectory: String, objects: ObjectCache? = nil, isRemote: Bool = false,
        freshness: FreshnessWatch? = nil
    ) throws {
        self.freshness = freshness
        self.store = store
        self.objects = objects
        self.isRemote = isRemote
        metadata = objects.map { MetadataPacks($0, store) }
        ring = RefreshedKeyRing(keys, store)
        self.cacheDirectory = cacheDirectory
        blobHasher = BlobHasher(idSecret: keys.idSecret)
        var stream: ChunkProfile?
        var page: Int?
        for profile in keys.profiles {
            switch profile {
            case .contentDefined(let minimum, let normal, let maximum, let strictBits, let looseBits):
                stream = try ChunkProfile(
                    minimum: minimum, normal: normal, maximum: maximum, strictBits: strictBits,
                    looseBits: looseBits)
            case .keyedContentDefined(let minimum, let normal, let maximum, let strictBits, let looseBits):
                stream = try ChunkProfile(
                    minimum: minimum, normal: normal, maximum: maximum, strictBits: strictBits,
                    looseBits: looseBits, decision: .keyedHash)
            case .pageAligned(let size): page = try PageProfile(chunkSize: size).chunkSize
            }
        }
        guard let stream, let page else { throw RepoError.damaged("config", "a chunker profile is missing") }
        chunkProfile = stream
        pageChunkSize = page
    }

    /// From now on a damaged index segment is left out instead of failing everything: for readers, which get what the rest of the index
    /// leads to, and for checks and repairs, which name it themselves. Not for writers.
    /// - Parameter onDamaged: told of each damaged segment, each time that the index is loaded, on any thread.
    public func acceptPartialIndex(onDamaged: @escaping @Sendable (StoreKey, RepoError) -> Void = { _, _ in }) {
        onPartialIndex.withLock { $0 = onDamaged }
    }

    /// - Parameter tell: told, each thing once, what this machine's cache cannot keep, and what that means; nothing fails for it.
    public func whenCacheFails(_ tell: @escaping @Sendable (String) -> Void) { onCacheFailure.withLock { $0.tell = tell } }

    func cacheFailed(_ error: RepoError, _ consequence: String) {
        let tell = onCacheFailure.withLock { state in state.told.insert(consequence).inserted ? state.tell : nil }
        tell?("\(error.message); \(consequence). Name another folder with --cache-dir, or free some space there.")
    }

    /// The table of a segment in this machine's cache. Where that has no room or may not be written, one in memory: on a machine whose disk is full a
    /// restore has to work, and so has a snapshot.
    func keptTable(_ segment: IndexSegment, signer: KeyID, named id: ObjectID) throws(RepoError) -> IndexTable {
        do {
            return try cachedTable(segment, signer: signer, named: id)
        } catch {
            guard error.code == .failed || error.code == .storeFull else { throw error }
            cacheFailed(error, "the index is kept in memory for this run")
            return try IndexTable.inMemory(segment, signer: signer)
        }
    }

    /// The table of a segment, made in this machine's cache. Throws `.failed` or `.storeFull` where that is not possible.
    @discardableResult
    func cachedTable(_ segment: IndexSegment, signer: KeyID, named id: ObjectID) throws(RepoError) -> IndexTable {
        let folder = "\(cacheDirectory)/index"
        try LocalFolder.make(folder)
        try IndexTable.write(segment, signer: signer, to: "\(folder)/\(id)")
        return try IndexTable(path: "\(folder)/\(id)")
    }

    private func loadIndex() throws -> IndexView {
        let looksForPacks = looksForPacks.withLock { $0 }
        guard let onDamaged = onPartialIndex.withLock({ $0 }) else {
            return try IndexLoader(self).load(looksForPacks: looksForPacks)
        }
        return try IndexLoader(self).load(looksForPacks: looksForPacks, onDamaged: { onDamaged($0, $1) })
    }

    /// An object that is named by the hash of its bytes, from this machine's copy or the store. Throws `.notFound` where it has to be asked and
    /// does not have it, and `.damaged`.
    func object(_ key: StoreKey, named id: ObjectID, atMost limit: Int) throws -> [UInt8] {
        if let copy = objects?.bytes(of: id, atMost: limit) { return copy }
        let bytes = try store.get(key, atMost: limit)
        guard ObjectHasher.hash(bytes) == id else { throw RepoError.damaged("\(key)", "its content does not match its name") }
        objects?.keep(id, bytes)
        return bytes
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

    /// Loads the index anew: for a reader whose pack is gone, and for a collector after it has registered.
    @discardableResult
    public func reloadIndex() throws -> IndexView {
        let fresh = try loadIndex()
        loaded.withLock { $0 = fresh }
        return fresh
    }

    /// Loads the index anew for one who rests new data on it, and from now on always so: packs that the index names and the store does not
    /// have are absent to it, as condemned ones are. An index segment may have been stored by a process that was fenced long before, after
    /// its packs were swept (docs/collection.md). Costs one listing of the packs on top.
    @discardableResult
    func reloadIndexToRestOn() throws -> IndexView {
        looksForPacks.withLock { $0 = true }
        return try reloadIndex()
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

    /// For a reader whom the index has led astray: where a table of the cache is not what was written into it, it is made again from its
    /// segment. True when one was. Reads every table whole (about 0.7 GB/s), each once in the life of this object.
    func remakeDamagedTables(of view: IndexView) throws -> Bool {
        try loaded.withLock { current in
            if let current, current !== view { return true }
            var isDamaged = false
            for (name, table) in zip(view.names, view.tables) where verified.withLock({ $0.insert(name).inserted }) {
                do {
                    try table.verify()
                } catch {
                    isDamaged = true
                    try LocalFolder.remove("\(cacheDirectory)/index/\(name)")
                }
            }
            guard isDamaged else { return false }
            current = try loadIndex()
            return true
        }
    }

    /// Makes a segment that this process has just stored part of the index.
    func adopt(_ table: IndexTable, named name: ObjectID) throws {
        _ = try index()
        loaded.withLock { $0 = $0?.adding(table, named: name) }
    }

    /// The keys of an epoch; one that is unknown is looked for in later generations of config.
    public func epochKeys(_ epoch: UInt32) -> EpochKeys? { ring.find { $0.epochKeys(epoch) } }

    /// The key that verifies signatures of `id`, looked for likewise.
    public func verifyingKey(_ id: KeyID) -> [UInt8]? { ring.find { $0.verifyingKey(id) } }

    /// What `id` may do, looked for likewise.
    func role(of id: KeyID) -> KeyRole? { ring.role(of: id) }

    /// Runs `body`, and once more where it finds damage and keys have been changed since they were read: what looked damaged may be of a
    /// new epoch or key.
    package func withKeys<R>(_ body: (KeyRing) throws -> R) throws -> R {
        try ring.telling {
            let before = keys
            do {
                return try body(before)
            } catch let error as RepoError where error.code == .damaged {
                guard let later = ring.refresh(after: before) else { throw error }
                return try body(later)
            }
        }
    }

    /// Runs `body`, which looks for keys by `epochKeys` and `verifyingKey`: where the store could not be asked for later ones, nothing is damaged, and
    /// this throws that failure.
    func tellingKeys<R>(_ body: () throws -> R) throws -> R { try ring.telling(body) }

    /// Runs `body`, and `again` where that finds damage in what came over a network: it may have been altered on the way, and is then read anew.
    func readingAgain<R>(_ body: () throws -> R, again: () throws -> R) throws -> R {
        do {
            return try body()
        } catch let error as RepoError where error.code == .damaged && isRemote {
            // What it is called stays what was seen first.
            for _ in 0..<Self.rereads {
                do { return try again() } catch let second as RepoError where second.code == .damaged { continue }
            }
            throw error
        }
    }

    /// How often what came over a network is read again before it is called damaged.
    static let rereads = 3

    /// The keys of an object's epoch. Throws `.damaged` where it is unknown, and what the store throws where it could not be asked.
    func epochKeys(_ epoch: UInt32, of object: @autoclosure () -> String) throws -> EpochKeys {
        try ring.telling {
            guard let keys = epochKeys(epoch) else { throw RepoError.damaged(object(), "its key epoch \(epoch) is unknown") }
            return keys
        }
    }

    /// Whether this key may rest new data on a pack that a segment signed by `signer` tells of.
    func trusts(segmentSigner signer: KeyID, _ pack: PackRecord) -> Bool { ring.trusts(segmentSigner: signer, pack) }

    /// The same for an index, which this holds: it must not hold this.
    var trust: @Sendable (KeyID, PackRecord) -> Bool { { [ring] in ring.trusts(segmentSigner: $0, $1) } }
}
