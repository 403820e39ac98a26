import BlobEngine
import RepoBase
import Storage

/// What parity there is, and what of the repository it covers.
public struct ParityStatus: Sendable {
    public struct Group: Hashable, Sendable {
        /// 32 hexadecimal digits.
        public let id: String
        public let packs: Int
        /// Bytes of packs.
        public let bytes: UInt64
        /// Shards that packs fill.
        public let shards: Int
        /// Rows of parity: so many packs of the group may be lost at once, whichever they are.
        public let rows: Int
        /// Rows whose object is missing or has another size.
        public let rowsMissing: Int
        public let parityBytes: UInt64
    }

    /// Bytes of parity for 10,000 of packs, as config says; nil: none is kept.
    public let parity: UInt64?
    /// Groups that count, the largest first.
    public private(set) var groups: [Group] = []
    public private(set) var packsCovered = 0
    /// Packs that the index names and no group covers.
    public private(set) var packsUncovered = 0
    public private(set) var bytesCovered: UInt64 = 0
    public private(set) var bytesUncovered: UInt64 = 0
    /// Of all objects of parity, copies of snapshots and what nothing needs any more included.
    public let parityBytes: UInt64
    public let snapshotCopies: Int
    public let damages: [Damage]

    /// Parity for what it covers: 0.1 for 10 %. Nil where nothing is covered.
    public var overhead: Double? { bytesCovered == 0 ? nil : Double(parityBytes) / Double(bytesCovered) }

    /// Whether anything is kept, whatever config says. One listing.
    public static func exists(in repository: OpenRepository) throws -> Bool {
        try repository.keys.config.parity != nil || !repository.store.folders(in: "parity").isEmpty
    }

    /// For a full key: a writer key's view is of its own packs.
    public init(_ repository: OpenRepository) throws {
        let catalog = try ParityCatalog(repository)
        parity = repository.keys.config.parity
        parityBytes = catalog.bytes
        snapshotCopies = catalog.snapshotCopies.count
        damages = catalog.damages
        guard let parity else { return }
        let input = try ParityPlan.Input(repository, catalog, parity: parity)
        let covered = Set(catalog.entries.filter { repository.countsParity(of: $0.signer) }.flatMap { $0.group.members.map(\.id) })
        for (id, size) in input.wanted {
            if covered.contains(id) {
                packsCovered += 1
                bytesCovered += size
            } else {
                packsUncovered += 1
                bytesUncovered += size
            }
        }
        groups = catalog.entries.filter { repository.countsParity(of: $0.signer) }.map { entry in
            Group(
                id: Hexadecimal.encode(entry.group.id), packs: entry.group.members.count, bytes: entry.group.bytes, shards: entry.group.shardCount,
                rows: entry.group.parityCount, rowsMissing: entry.group.parityCount - entry.rows.count, parityBytes: entry.bytes)
        }.sorted { $0.bytes == $1.bytes ? $0.id < $1.id : $0.bytes > $1.bytes }
    }
}
