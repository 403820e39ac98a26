public import BlobEngine
import RepoBase
import Storage

/// What a repository holds, and what of it belongs to whom.
public struct RepositoryStatistics: Sendable {
    /// Blobs and their sizes.
    public struct Blobs: Hashable, Sendable {
        public var count = 0
        /// Bytes of plaintext.
        public var rawBytes: UInt64 = 0
        /// Sealed bytes.
        public var storedBytes: UInt64 = 0

        mutating func add(_ record: BlobRecord) {
            count += 1
            rawBytes += UInt64(record.rawLength)
            storedBytes += UInt64(record.sealedLength)
        }
    }

    public struct OfSnapshot: Sendable {
        public let entry: SnapshotCatalog.Entry
        /// Content of its files.
        public var logicalBytes: UInt64
        /// What no other snapshot needs: about what letting it go frees. Bases that only its deltas rest on are not counted.
        public var unique = Blobs()
    }

    public struct OfSource: Sendable {
        public let source: String
        public var snapshots = 0
        /// Content of all its snapshots.
        public var logicalBytes: UInt64 = 0
        /// What no other source needs.
        public var unique = Blobs()
    }

    /// Content of all snapshots together, as if each were stored in full.
    public private(set) var logicalBytes: UInt64 = 0
    /// Content that differs: plaintext of all chunks that snapshots need, each counted once.
    public private(set) var uniqueBytes: UInt64 = 0
    /// Bytes of all objects of the store.
    public private(set) var storedBytes: UInt64 = 0
    /// The same by the day since 1970 on which an object came, by the store's clock.
    public private(set) var storedByDay: [Int64: UInt64] = [:]
    public private(set) var packs = 0
    public private(set) var packBytes: UInt64 = 0
    public private(set) var indexBytes: UInt64 = 0
    /// What guards against damage (docs/adr/0036-parity.md).
    public private(set) var parityBytes: UInt64 = 0
    /// Objects of PostgreSQL's log, and their bytes.
    public private(set) var logObjects = 0
    public private(set) var logBytes: UInt64 = 0
    /// What snapshots need, by type; what is garbage, or only the base of a delta, is not counted.
    public private(set) var blobs: [BlobType: Blobs] = [:]
    /// Blobs in the index, copies and garbage included.
    public private(set) var indexedBlobs = 0
    /// Oldest first.
    public private(set) var snapshots: [OfSnapshot] = []
    /// By name.
    public private(set) var sources: [OfSource] = []

    /// Logical bytes of snapshots per stored byte, the log left out; nil for an empty store.
    public var ratio: Double? { storedBytes == logBytes ? nil : Double(logicalBytes) / Double(storedBytes - logBytes) }

    /// Walks all snapshots, each tree at most three times. 8 bytes for each entry of the index. Throws `.damaged` when something does not
    /// read, `.wrongKey` for a writer key.
    public init(_ repository: OpenRepository) throws {
        let entries = try SnapshotCatalog(repository).all()
        let index = try repository.reloadIndex()
        try repository.store.list("") { object in
            storedBytes += object.size
            storedByDay[max(0, object.modified) / 86_400, default: 0] += object.size
            if object.key.description.hasPrefix(PackObject.prefix) {
                packs += 1
                packBytes += object.size
            } else if object.key.description.hasPrefix(IndexLoader.prefix) {
                indexBytes += object.size
            } else if object.key.description.hasPrefix(ParityObject.prefix) {
                parityBytes += object.size
            } else if object.key.description.hasPrefix("wal/") {
                logObjects += 1
                logBytes += object.size
            }
        }
        indexedBlobs = index.blobCount
        var names: [String: Int] = [:]
        for entry in entries {
            let snapshot = entry.snapshot
            snapshots.append(OfSnapshot(entry: entry, logicalBytes: snapshot.statistics.logicalBytes))
            logicalBytes = logicalBytes.addingClamped(snapshot.statistics.logicalBytes)
            if names[snapshot.source] == nil {
                names[snapshot.source] = sources.count
                sources.append(OfSource(source: snapshot.source))
            }
            let source = names[snapshot.source]!
            sources[source].snapshots += 1
            sources[source].logicalBytes = sources[source].logicalBytes.addingClamped(snapshot.statistics.logicalBytes)
        }
        var owners = BlobOwners(index)
        for (number, entry) in entries.enumerated() {
            let source = names[entry.snapshot.source]!
            try Reachability.walk(roots: [entry.snapshot.root], repository, onProblem: { throw $0.error }) {
                id, type in
                try owners.visit(id, type, snapshot: number, source: source)
            }
        }
        owners.forEach { record, snapshot, source in
            blobs[record.type, default: Blobs()].add(record)
            if record.type == .chunk { uniqueBytes += UInt64(record.rawLength) }
            if let snapshot { snapshots[snapshot].unique.add(record) }
            if let source { sources[source].unique.add(record) }
        }
        sources.sort { $0.source < $1.source }
    }
}

/// For each blob, the only snapshot and the only source that need it, or that several do.
private struct BlobOwners {
    private static let nobody: UInt32 = 0
    private static let several = UInt32.max

    private let index: IndexView
    /// One more than the snapshot's or source's number. A blob's first entry stands for it.
    private var snapshots: [[UInt32]]
    private var sources: [[UInt32]]
    private var lookups = 0

    init(_ index: IndexView) {
        self.index = index
        snapshots = index.tables.map { [UInt32](repeating: Self.nobody, count: $0.count) }
        sources = snapshots
    }

    /// Returns whether to go on below: only where something becomes known that holds for what is below, too.
    mutating func visit(_ id: BlobID, _ type: BlobType, snapshot: Int, source: Int) throws -> Bool {
        lookups += 1
        if lookups % 2048 == 0 { index.releaseResident() }
        for (number, table) in index.tables.enumerated() {
            for position in table.positions(of: id) where table.record(at: position)?.type == type {
                let isNewOfSnapshot = Self.add(UInt32(snapshot + 1), to: &snapshots[number][position])
                let isNewOfSource = Self.add(UInt32(source + 1), to: &sources[number][position])
                return isNewOfSnapshot || isNewOfSource
            }
        }
        throw RepoError.damaged("blob \(id)", "no index segment names it")
    }

    private static func add(_ owner: UInt32, to known: inout UInt32) -> Bool {
        if known == owner || known == several { return false }
        known = known == nobody ? owner : several
        return true
    }

    func forEach(_ body: (BlobRecord, _ snapshot: Int?, _ source: Int?) -> Void) {
        func only(_ owner: UInt32) -> Int? { owner == Self.several ? nil : Int(owner) - 1 }
        for (number, table) in index.tables.enumerated() {
            for position in 0..<table.count where snapshots[number][position] != Self.nobody {
                guard let record = table.record(at: position) else { continue }
                body(record, only(snapshots[number][position]), only(sources[number][position]))
            }
            table.releaseResident()
        }
    }
}
