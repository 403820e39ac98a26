import BlobEngine
public import RepoBase
public import Storage

/// The packs in archival tiers that restoring something needs, and bringing them back.
///
/// Lists and trees are in packs of their own, which never go there, so what is needed is known without reading anything archived.
public struct ThawedPacks {
    /// Requests at once, where each pack is one.
    static let threads = 16

    private let repository: OpenRepository
    private let index: IndexView
    /// What the listing tells: some may have been brought back.
    private let listed: [ObjectID: StoredObject]
    private var seen: BlobBitmap
    /// Chunks that need not be read.
    private var passed: BlobBitmap
    private var needed: [ObjectID: StoredObject] = [:]

    /// One listing of the packs, where the store has archives at all.
    public init(_ repository: OpenRepository) throws {
        self.repository = repository
        index = try repository.index()
        seen = BlobBitmap(index)
        passed = BlobBitmap(index)
        var listed: [ObjectID: StoredObject] = [:]
        if repository.store.hasArchive {
            try repository.store.list(PackObject.prefix) { object in
                guard object.availability != .ready, let id = PackObject.id(object.key) else { return }
                listed[id] = object
            }
        }
        self.listed = listed
    }

    /// Nothing of the repository is archived.
    public var isEmpty: Bool { listed.isEmpty }

    /// Adds what of a tree is to be restored. What is missing or damaged adds nothing: the restore names it.
    public mutating func add(
        _ root: BlobID, selection: (_ path: [UInt8], _ isDirectory: Bool) -> RestoreDecision = { _, _ in .restore }
    ) throws {
        try forEachChunk(of: root, selection: selection) { packs, id in packs.add(id, links: 0) }
    }

    /// Chunks of this tree need not be read by what is added from now on, but as bases of others.
    /// - Parameter root: instead of the one before; nil: none.
    mutating func pass(over root: BlobID?) throws {
        passed = BlobBitmap(index)
        guard let root else { return }
        try forEachChunk(of: root) { packs, id in packs.index.forEachEntry(of: id) { _ = packs.passed.insert(table: $0, position: $1) } }
    }

    /// Adds a pack that is read whatever is in it.
    mutating func add(pack: ObjectID) {
        if let object = listed[pack] { needed[pack] = object }
    }

    private mutating func forEachChunk(
        of root: BlobID, selection: (_ path: [UInt8], _ isDirectory: Bool) -> RestoreDecision = { _, _ in .restore },
        _ body: (inout ThawedPacks, BlobID) -> Void
    ) throws {
        guard !isEmpty else { return }
        let reader = BlobReader(repository)
        // Out of `self` for the length of the walk.
        var packs = self
        defer { self = packs }
        try TreeListing(reader).walk(root, onProblem: { _, _ in }) { path, entry in
            let decision = selection(path, entry.subtree != nil)
            guard decision != .skip else { return .skip }
            if entry.subtree != nil { return .descend }
            guard decision == .restore, let content = entry.content else { return .skip }
            do {
                try ContentWalk.entries(of: content, size: entry.metadata.size, reader) { chunk, _ in
                    if let id = chunk.id { body(&packs, id) }
                    return true
                }
            } catch let error as RepoError where error.code == .damaged {
                return .skip
            }
            return .skip
        }
    }

    /// A chunk, and the bases that it rests on.
    private mutating func add(_ id: BlobID, links: Int) {
        var isNew = false
        index.forEachEntry(of: id) { table, position in
            if links == 0, passed.contains(table: table, position: position) { return }
            if seen.insert(table: table, position: position) { isNew = true }
        }
        let places = index.locations(of: id).filter { $0.record.type == .chunk }
        // A copy that can be read at once comes first, then one in a pack that is needed in any case.
        guard isNew, links <= BlobReader.maximumChain,
            let place = places.first(where: { listed[$0.pack.id] == nil }) ?? places.first(where: { needed[$0.pack.id] != nil }) ?? places.first
        else { return }
        if let object = listed[place.pack.id] { needed[place.pack.id] = object }
        for base in 0..<place.record.bases.count {
            for candidate in index.candidates(prefix: place.record.bases[base]) { add(candidate, links: links + 1) }
        }
    }

    // MARK: - Bringing them back

    /// How the packs stand that are needed.
    public struct State: Sendable {
        public var archived: [StoredObject] = []
        public var thawing: [StoredObject] = []

        /// All can be read.
        public var isReady: Bool { archived.isEmpty && thawing.isEmpty }
        public var bytes: UInt64 { (archived + thawing).reduce(0) { $0 + $1.size } }
        public var count: Int { archived.count + thawing.count }
    }

    /// A request for each pack that the listing tells to be archived, several at once.
    public func state() throws -> State { try Self.state(of: Array(needed.values), in: repository.store) }

    public static func state(of objects: [StoredObject], in store: any Store) throws -> State {
        let state = Monitor(State())
        try ParallelWork.run(objects.count, threads: threads, worker: {}) { number, _ in
            // One that is gone is for the restore to name.
            guard let object = try store.stat(objects[number].key) else { return }
            state.withLock { state in
                switch object.availability {
                case .ready: return
                case .archived: state.archived.append(object)
                case .thawing: state.thawing.append(object)
                }
            }
        }
        return state.withLock { $0 }
    }

    /// Asks for all of them, several at once. Run again, it asks for those that were not asked for.
    public static func request(_ objects: [StoredObject], _ request: ThawRequest, in store: any Store) throws {
        try ParallelWork.run(objects.count, threads: threads, worker: {}) { number, _ in try store.thaw(objects[number].key, request) }
    }

    /// Returns when all can be read. Looks at one after the other, so that waiting costs one request each time.
    /// - Parameters:
    ///   - interval: between two looks.
    ///   - onWait: told how many are not known to be there, before each wait.
    public static func wait(
        for objects: [StoredObject], in store: any Store, every interval: Duration, clock: StoreClock = .system, onWait: (Int) throws -> Void = { _ in }
    ) throws {
        for (number, object) in objects.enumerated() {
            while let found = try store.stat(object.key), found.availability != .ready {
                if found.availability == .archived {
                    throw RepoError(
                        .archived, "\(object.key) was asked for, and is in its archival tier all the same", advice: "Run this again with --thaw.")
                }
                try onWait(objects.count - number)
                clock.sleep(interval)
            }
        }
    }
}
