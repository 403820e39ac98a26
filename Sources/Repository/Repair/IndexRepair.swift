import BlobEngine
public import RepoBase
import Storage

/// Makes the index anew from the packs alone.
///
/// The new segments are all stored before the last of them replaces the old, so at every moment there is an index that is at least as good as before.
public struct IndexRepair {
    public struct Result: Sendable {
        public var packs = 0
        public var blobs = 0
        public var segmentsStored = 0
        public var segmentsReplaced = 0
        /// Packs whose directory does not read: what is in them is not in the new index.
        public var damagedPacks: [Damage] = []
        /// Packs that were missing, or whose directory did not read, and that came back from parity first.
        public var healedPacks: [ObjectID] = []
    }

    /// Blobs of a segment, at most, where it comes of several packs.
    static let blobLimit = 1 << 19

    private let repository: OpenRepository
    private let threads: Int

    public init(_ repository: OpenRepository, threads: Int = availableProcessors()) {
        self.repository = repository
        self.threads = max(1, threads)
    }

    private struct Reading {
        var next = 0
        var failure: RepoError?
    }

    /// Reads the end of every pack. Throws `.refused` for a writer key. Memory: the directories of one segment.
    public func run(stamp: JournalStamp = .now()) throws -> Result {
        _ = try repository.keys.requireFull("repair the index")
        repository.acceptPartialIndex()
        let registration = try WriterRegistration.begin(repository)
        defer { registration.end() }
        let healed = try healFromParity()
        let old = try repository.reloadIndex()
        let replaced = try repository.store.list(IndexLoader.prefix).compactMap {
            ObjectID($0.key.description.dropFirst(IndexLoader.prefix.count))
        }
        var packs: [(id: ObjectID, size: UInt64)] = []
        try repository.store.list(PackObject.prefix) { object in
            if let id = PackObject.id(object.key) { packs.append((id, object.size)) }
        }
        packs.sort { $0.id < $1.id }

        var result = Result()
        result.healedPacks = healed
        let verified = verifiedPacks(old)
        var waiting: [(pack: PackRecord, blobs: [BlobRecord])] = []
        var waitingBlobs = 0
        func store(replacing: [ObjectID]) throws {
            try registration.checkFence()
            let present = try waiting.filter { try isThere($0.pack.id, condemned: old.condemned) }
            try IndexSegmentStore.store(packs: present, replacing: replacing, in: repository)
            result.segmentsStored += 1
            result.packs += present.count
            result.blobs += present.reduce(0) { $0 + $1.blobs.count }
            waiting = []
            waitingBlobs = 0
        }
        for start in stride(from: 0, to: packs.count, by: Self.packsAtOnce) {
            for (pack, outcome) in try read(Array(packs[start..<min(start + Self.packsAtOnce, packs.count)]))
            {
                switch outcome {
                case .success(let (seal, blobs)):
                    if waitingBlobs > 0, waitingBlobs + blobs.count > Self.blobLimit {
                        try store(replacing: [])
                    }
                    let record = PackRecord(
                        id: pack.id, size: pack.size, seal: seal, isVerified: verified.contains(pack.id))
                    waiting.append((record, blobs))
                    waitingBlobs += blobs.count
                case .failure(let error) where error.code == .notFound: continue  // swept meanwhile
                case .failure(let error):
                    result.damagedPacks.append(Damage("\(PackObject.key(pack.id))", .pack, error))
                }
            }
        }
        try store(replacing: replaced)
        for id in replaced { try repository.store.delete(StoreKey("\(IndexLoader.prefix)\(id)")) }
        result.segmentsReplaced = replaced.count
        try repository.reloadIndex()
        try Journal.append(
            to: repository.store, by: repository.keys, stamp, action: "repair index",
            subjects: replaced.map { "\($0)" },
            details: ["\(result.packs) packs, \(result.blobs) blobs"]
                + result.healedPacks.map { "from parity: \(PackObject.key($0))" } + result.damagedPacks.map { "left out \($0.object)" })
        return result
    }

    /// A pack whose directory does not read would be in no index, and nobody would miss it; so would one that is gone. Parity knows both.
    private func healFromParity() throws -> [ObjectID] {
        let catalog = try ParityCatalog(repository)
        guard !catalog.entries.isEmpty else { return [] }
        let sizes = try GroupSurvey(repository, threads: threads).sizes
        let condemned = try repository.reloadIndex().condemned
        let members = catalog.entries.flatMap { $0.group.members.map { (id: $0.id, size: $0.size) } }
        let present = Set(members.filter { sizes[$0.id] == $0.size }.map(\.id)).sorted()
        var lost = Set(members.filter { sizes[$0.id] != $0.size && !condemned.contains($0.id) }.map(\.id))
        for start in stride(from: 0, to: present.count, by: Self.packsAtOnce) {
            let some = present[start..<min(start + Self.packsAtOnce, present.count)].map { (id: $0, size: sizes[$0]!) }
            for (pack, outcome) in try read(some) {
                if case .failure(let error) = outcome, error.code == .damaged { lost.insert(pack.id) }
            }
        }
        return lost.isEmpty ? [] : try ParityHealing(repository, threads: threads).run(lost).healed.sorted()
    }

    private static let packsAtOnce = 256

    /// What full keys have vouched for stays so.
    private func verifiedPacks(_ view: IndexView) -> Set<ObjectID> {
        var verified: Set<ObjectID> = []
        for table in view.tables where repository.role(of: table.signer) == .full {
            for pack in table.packs where pack.isVerified { verified.insert(pack.id) }
        }
        return verified
    }

    /// A collector at work may have deleted a condemned pack since it was listed.
    private func isThere(_ id: ObjectID, condemned: Set<ObjectID>) throws -> Bool {
        guard condemned.contains(id) else { return true }
        return try repository.store.stat(PackObject.key(id)) != nil
    }

    private typealias Outcome = Swift.Result<(seal: PackSeal, blobs: [BlobRecord]), RepoError>

    /// The directories of some packs, by all threads.
    private func read(
        _ packs: [(id: ObjectID, size: UInt64)]
    ) throws -> [((id: ObjectID, size: UInt64), Outcome)] {
        let state = Monitor(Reading())
        let outcomes = Monitor([Outcome?](repeating: nil, count: packs.count))
        let reader = PackDirectoryReader(repository)
        let workers = (0..<threads).map { _ in
            WorkerThread { [repository] in
                while let index = state.withLock({ state -> Int? in
                    guard state.failure == nil, state.next < packs.count else { return nil }
                    defer { state.next += 1 }
                    return state.next
                }) {
                    let key = PackObject.key(packs[index].id)
                    do {
                        let directory = try reader.read(key, size: packs[index].size) {
                            try repository.store.readRange(key, at: $0, count: $1)
                        }
                        outcomes.withLock { $0[index] = .success(directory) }
                    } catch let error as RepoError where error.code == .damaged || error.code == .notFound {
                        outcomes.withLock { $0[index] = .failure(error) }
                    } catch {
                        state.withLock {
                            $0.failure = (error as? RepoError) ?? RepoError(.failed, "\(error)")
                        }
                    }
                }
            }
        }
        for worker in workers { worker.join() }
        if let failure = state.withLock({ $0.failure }) { throw failure }
        return zip(packs, outcomes.withLock { $0 }).map { ($0, $1!) }
    }
}
