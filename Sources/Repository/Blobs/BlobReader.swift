public import BlobEngine
public import RepoBase
public import Storage

/// Reads blobs: finds them in the index, fetches, authenticates, decodes, and recomputes their ids.
///
/// One per thread (it owns codec contexts and buffers); the cache of bases is shared through `SharedReading`.
/// No byte is ever delivered whose id was not recomputed.
public final class BlobReader {
    /// What the readers of one operation share.
    public final class SharedReading: Sendable {
        let bases: PlaintextCache
        /// Opening a pack's data key takes 100 µs, and thirty daily snapshots have thirty packs: done once for all threads.
        let dataKeys = PackKeyCache()
        /// Packs that were found to be in an archival tier: each further blob of theirs would cost a request to learn the same.
        let archived = Monitor<[ObjectID: RepoError]>([:])
        /// For a writer key, which can read nothing else.
        let remembered: RememberedBlobs?
        /// Whether lists and trees may come from copies on this machine: not where the store itself is to be proven.
        let usesCopies: Bool

        /// - Parameter baseCacheLimit: bytes of decoded bases kept.
        public convenience init(baseCacheLimit: Int = 32 << 20) { self.init(baseCacheLimit: baseCacheLimit, remembered: nil) }

        init(baseCacheLimit: Int = 32 << 20, remembered: RememberedBlobs? = nil, usesCopies: Bool = true) {
            bases = PlaintextCache(limit: baseCacheLimit)
            self.remembered = remembered
            self.usesCopies = usesCopies
        }
    }

    private let repository: OpenRepository
    private let shared: SharedReading
    private let coder: BlobCoder
    /// With the seal that each was opened by: a segment that lies about a pack's seal must not stand in the way of one that does not.
    private var openers: [ObjectID: OpenedPack] = [:]
    private var window = PackWindow()
    private var sealed = AlignedBuffer(capacity: 1 << 20)
    private var encoded = AlignedBuffer(capacity: 1 << 20)

    private struct OpenedPack {
        let seal: PackSeal
        let opener: BlobOpener
        let key: StoreKey
    }

    /// Chains of deltas are written far shorter than this; a longer one is damage or malice.
    static let maximumChain = 16

    public init(_ repository: OpenRepository, shared: SharedReading = SharedReading()) {
        self.repository = repository
        self.shared = shared
        coder = BlobCoder(level: 3)
    }

    /// For another thread, sharing what can be shared.
    public func another() -> BlobReader { BlobReader(repository, shared: shared) }

    /// The blob's plaintext, verified. Throws `.damaged`, naming the blob and its packs, when none of its copies serves.
    public func read(_ id: BlobID, _ type: BlobType) throws -> AlignedBuffer {
        try read([id], type)[0].get()
    }

    /// Small blobs as an array.
    public func bytes(_ id: BlobID, _ type: BlobType) throws -> [UInt8] {
        let buffer = try read(id, type)
        return withExtendedLifetime(buffer) { Array(buffer.bytes) }
    }

    /// Several blobs of one type, verified side by side, which is three times as fast as one at a time. Those that follow one another in a
    /// pack are fetched together.
    public func read(_ ids: [BlobID], _ type: BlobType) throws -> [Result<AlignedBuffer, RepoError>] {
        try read(ids, type, fetched: [])
    }

    /// - Parameter fetched: where some of them may be found in memory.
    func read(_ ids: [BlobID], _ type: BlobType, fetched: [FetchedRange]) throws -> [Result<AlignedBuffer, RepoError>] {
        try with(fetched) { try read(ids, type, places: places(ids, type)) }
    }

    /// Blobs that lie in `fetched` are taken from there while `body` runs.
    func with<R>(_ fetched: [FetchedRange], _ body: () throws -> R) rethrows -> R {
        window.adopt(fetched)
        defer { window.adopt([]) }
        return try body()
    }

    /// Whether a base's plaintext is in memory.
    func holdsBase(_ id: BlobID) -> Bool { shared.bases.find(id) != nil }

    private func read(_ ids: [BlobID], _ type: BlobType, places: [BlobLocation?]) throws -> [Result<AlignedBuffer, RepoError>] {
        var results: [Result<AlignedBuffer, RepoError>] = []
        results.reserveCapacity(ids.count)
        for position in ids.indices {
            moveWindow(places[position...])
            results.append(try candidate(ids[position], type))
        }
        let hasher = repository.blobHasher
        let computed = withExtendedLifetime(results) {
            hasher.ids(
                type, results.map { (try? $0.get())?.bytes ?? UnsafeRawBufferPointer(start: nil, count: 0) })
        }
        for index in ids.indices where computed[index] != ids[index] {
            guard case .success = results[index] else { continue }
            results[index] = try readEachCopy(ids[index], type)
        }
        return results
    }

    /// The first copy of each, where there are several to fetch.
    private func places(_ ids: [BlobID], _ type: BlobType) throws -> [BlobLocation?] {
        guard ids.count > 1, shared.remembered == nil, copies(type) == nil else { return Array(repeating: nil, count: ids.count) }
        let index = try repository.index()
        return ids.map { index.locations(of: $0).first }
    }

    /// Fetches the first and those that lie behind it, unless it was fetched with one before.
    private func moveWindow(_ places: ArraySlice<BlobLocation?>) {
        guard let first = places.first, let place = first, window.sealed(place) == nil, shared.archived.withLock({ $0[place.pack.id] == nil }),
            let stretch = PackWindow.stretch(places)
        else { return }
        window.move(to: stretch, of: place.pack.id, key: PackObject.key(place.pack.id), in: repository.store)
    }

    /// The first copy that opens, not hashed yet.
    private func candidate(_ id: BlobID, _ type: BlobType) throws -> Result<AlignedBuffer, RepoError> {
        do {
            return .success(try decode(id, type, depth: 0))
        } catch let error as RepoError where error.code == .damaged {
            return .failure(error)
        }
    }

    /// A copy that opens but has other content than its id says: try all.
    private func readEachCopy(_ id: BlobID, _ type: BlobType) throws -> Result<AlignedBuffer, RepoError> {
        for location in try repository.index().locations(of: id) where location.record.type == type {
            guard let buffer = try? decode(location, depth: 0) else { continue }
            let found = withExtendedLifetime(buffer) { repository.blobHasher.id(type, buffer.bytes) }
            if found == id { return .success(buffer) }
        }
        return .failure(.damaged("blob \(id)", "its content does not match its id"))
    }

    /// Authenticated, not hashed: for bases, whose results are hashed. Cached.
    public func base(_ id: BlobID, _ type: BlobType) throws -> AlignedBuffer {
        try base(id, type, depth: 0)
    }

    private func base(_ id: BlobID, _ type: BlobType, depth: Int) throws -> AlignedBuffer {
        if let known = shared.bases.find(id) { return known }
        let buffer = try decode(id, type, depth: depth)
        shared.bases.insert(id, buffer)
        return buffer
    }

    private func decode(_ id: BlobID, _ type: BlobType, depth: Int) throws -> AlignedBuffer {
        if let remembered = shared.remembered { return try remembered.find(id, type) }
        do {
            return try decodeAnyCopy(id, type, depth: depth)
        } catch let error as RepoError where error.code == .damaged || error.code == .notFound {
            guard depth == 0 else { throw error }
            // What came over a network may have been altered on the way.
            for _ in 0..<(repository.isRemote && error.code == .damaged ? OpenRepository.rereads : 0) {
                window = PackWindow()
                if let buffer = try? decodeAnyCopy(id, type, depth: depth) { return buffer }
            }
            // A collector may have moved it to another pack since the index was loaded.
            let before = try repository.index()
            guard
                try repository.reloadIndexIfChanged(since: before)
                    || repository.remakeDamagedTables(of: repository.index())
            else { throw error.asDamage }
            do {
                return try decodeAnyCopy(id, type, depth: depth)
            } catch let error as RepoError {
                throw error.asDamage
            }
        }
    }

    private func decodeAnyCopy(_ id: BlobID, _ type: BlobType, depth: Int) throws -> AlignedBuffer {
        let locations = try repository.index().locations(of: id)
        guard !locations.isEmpty else {
            throw RepoError(
                .damaged, "blob \(id) is missing: no index segment names it",
                advice: "Run 'repo repair index'; if it stays missing, 'repo check' names what is lost.")
        }
        var failure: RepoError?
        for location in locations {
            guard location.record.type == type else {
                failure = .damaged("blob \(id)", "it is a \(location.record.type), not a \(type)")
                continue
            }
            do {
                return try decode(location, depth: depth)
            } catch let error as RepoError where [.damaged, .notFound, .archived].contains(error.code) {
                // What can be brought back is the better advice.
                if failure?.code != .archived { failure = error }
            }
        }
        throw failure!
    }

    /// One copy: authenticated, and not hashed but where bases are not named without doubt.
    func decode(_ location: BlobLocation, depth: Int) throws -> AlignedBuffer {
        let record = location.record
        let object = "blob \(record.id) in \(PackObject.key(location.pack.id))"
        guard depth < Self.maximumChain else { throw RepoError.damaged(object, "its chain of deltas is too long") }
        try fetch(location, object: object)
        let result = AlignedBuffer(capacity: max(1, Int(record.rawLength)))
        switch record.encoding {
        case .plain, .zstd:
            try coder.decode(
                encoded.bytes, encoding: record.encoding, rawLength: Int(record.rawLength), bases: [],
                into: result.base, object: object)
        case .delta:
            // Fetching bases overwrites `encoded`.
            let delta = encoded
            encoded = AlignedBuffer(capacity: 1 << 18)
            defer { encoded = delta }
            let choices = BaseChoices(of: record, in: try repository.index())
            try choices.forEach(object) { ids in
                let bases = try ids.map { try base($0, record.type, depth: depth + 1) }
                try withExtendedLifetime((bases, delta)) {
                    try coder.decode(
                        delta.bytes, encoding: .delta, rawLength: Int(record.rawLength), bases: bases.map(\.bytes),
                        into: result.base, object: object)
                }
                result.count = Int(record.rawLength)
                return choices.isUnique || repository.blobHasher.id(record.type, result.bytes) == record.id
            }
        }
        result.count = Int(record.rawLength)
        return result
    }

    /// Leaves the encoded bytes in `encoded`.
    private func fetch(_ location: BlobLocation, object: String) throws {
        let record = location.record
        if encoded.capacity < record.sealedLength { encoded = AlignedBuffer(capacity: record.sealedLength) }
        let pack = try opened(location.pack)
        encoded.count = Int(record.storedLength)
        if let copies = copies(record.type), let bytes = copied(record, of: location.pack, copies) {
            if (try? pack.opener.open(record, sealed: bytes, into: encoded.base, object: "blob \(record.id)")) != nil { return }
            // Changed since it was verified, or an index that is wrong; the store says which.
            copies.drop(location.pack.id)
        }
        let bytes = try window.sealed(location) ?? read(record, of: pack, location.pack.id, object: object)
        try pack.opener.open(record, sealed: bytes, into: encoded.base, object: "blob \(record.id)")
    }

    /// Where lists and trees are copied on this machine.
    private func copies(_ type: BlobType) -> MetadataPacks? { type == .chunk || !shared.usesCopies ? nil : repository.metadata }

    /// One blob's sealed bytes out of a copy of its pack, valid until the next call.
    private func copied(_ record: BlobRecord, of pack: PackRecord, _ copies: MetadataPacks) -> UnsafeRawBufferPointer? {
        let room = makeRoom(record.sealedLength)
        guard copies.read(record, of: pack, into: room) else { return nil }
        return UnsafeRawBufferPointer(room)
    }

    private func makeRoom(_ size: Int) -> UnsafeMutableRawBufferPointer {
        if sealed.capacity < size { sealed = AlignedBuffer(capacity: size) }
        return UnsafeMutableRawBufferPointer(start: sealed.base, count: size)
    }

    /// One blob's sealed bytes, valid until the next call.
    private func read(_ record: BlobRecord, of pack: OpenedPack, _ id: ObjectID, object: String) throws -> UnsafeRawBufferPointer {
        let room = makeRoom(record.sealedLength)
        if let error = shared.archived.withLock({ $0[id] }) { throw error }
        do {
            sealed.count = try repository.store.read(pack.key, at: UInt64(record.offset), into: room)
        } catch let error as RepoError where error.code == .archived {
            shared.archived.withLock { $0[id] = error }
            throw error
        }
        guard sealed.count == room.count else { throw RepoError.damaged(object, "the pack ends early") }
        return sealed.bytes
    }

    private func opened(_ pack: PackRecord) throws -> OpenedPack {
        if let known = openers[pack.id], known.seal == pack.seal { return known }
        let keys = try repository.epochKeys(pack.seal.epoch, of: "\(PackObject.key(pack.id))")
        let opened = OpenedPack(
            seal: pack.seal, opener: BlobOpener(dataKey: try shared.dataKeys.key(pack.seal, keys)),
            key: PackObject.key(pack.id))
        if openers.count >= 64 { openers.removeAll(keepingCapacity: true) }
        openers[pack.id] = opened
        return opened
    }
}

extension RepoError {
    /// A pack that is gone even after the index was loaded anew is damage, not a missing name.
    var asDamage: RepoError {
        code == .notFound ? RepoError(.damaged, message, advice: "Run 'repo check' to see what this concerns.") : self
    }
}

/// Names and bounds of packs (format.md, 5).
public enum PackObject {
    public static let prefix = "packs/"
    public static let maximumSize = 256 << 20

    /// `packs/<first 2 digits>/<id>`.
    public static func key(_ id: ObjectID) -> StoreKey {
        let text = "\(id)"
        return StoreKey("packs/\(text.prefix(2))/\(text)")
    }

    /// The id in a key of that form.
    public static func id(_ key: StoreKey) -> ObjectID? {
        let parts = key.description.split(separator: "/")
        guard parts.count == 3, parts[0] == "packs", parts[2].hasPrefix(parts[1]) else { return nil }
        return ObjectID(parts[2])
    }

    /// Every pack that is in the store, by one listing. 32 bytes each.
    static func all(in store: any Store) throws -> Set<ObjectID> {
        var ids: Set<ObjectID> = []
        try store.listKeys(prefix) { key in
            if let id = id(key) { ids.insert(id) }
        }
        return ids
    }
}
