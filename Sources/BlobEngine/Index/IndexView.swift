public import RepoBase

/// A blob's place: where to fetch it and how to open it.
public struct BlobLocation: Hashable, Sendable {
    public let record: BlobRecord
    public let pack: PackRecord

    public init(record: BlobRecord, pack: PackRecord) { (self.record, self.pack) = (record, pack) }
}

/// The index as one process sees it: all segments that count, and which packs are condemned.
///
/// Immutable; lookups need no lock. A miss touches about three memory lines in each table and allocates nothing.
public final class IndexView: Sendable {
    public let tables: [IndexTable]
    /// The segments' names, in the order of `tables`.
    public let names: [ObjectID]
    /// The same as a set, to tell whether another load found the same.
    public let segments: Set<ObjectID>
    public let condemned: Set<ObjectID>
    /// Packs that the tables name and the store does not have, where somebody has looked: to a writer they are as good as condemned.
    public let absent: Set<ObjectID>
    /// For each table and pack: may this key rest new data on it?
    private let usable: [[Bool]]
    private let isUsable: @Sendable (_ signer: KeyID, _ pack: PackRecord) -> Bool

    /// - Parameters:
    ///   - absent: packs that the store does not have; none where nobody has looked.
    ///   - usableForDeduplication: whether what a segment, signed by `signer`, says of a pack is trusted enough to rest new data on it
    ///     (design, signatures).
    public init(
        tables: [(name: ObjectID, table: IndexTable)], condemned: Set<ObjectID>, absent: Set<ObjectID> = [],
        usableForDeduplication: @escaping @Sendable (_ signer: KeyID, _ pack: PackRecord) -> Bool
    ) {
        self.tables = tables.map(\.table)
        names = tables.map(\.name)
        segments = Set(names)
        restable = Monitor(BlobBitmap(counts: tables.map(\.table.count)))
        self.condemned = condemned
        self.absent = absent
        isUsable = usableForDeduplication
        usable = tables.map { entry in
            entry.table.packs.map {
                !condemned.contains($0.id) && !absent.contains($0.id) && usableForDeduplication(entry.table.signer, $0)
            }
        }
    }

    private init(_ other: IndexView, adding table: IndexTable, named name: ObjectID) {
        tables = other.tables + [table]
        restable = Monitor(BlobBitmap(counts: tables.map(\.count)))
        names = other.names + [name]
        segments = other.segments.union([name])
        condemned = other.condemned
        absent = other.absent
        isUsable = other.isUsable
        usable =
            other.usable + [
                table.packs.map {
                    !other.condemned.contains($0.id) && !other.absent.contains($0.id) && other.isUsable(table.signer, $0)
                }
            ]
    }

    /// This view and one more segment.
    public func adding(_ table: IndexTable, named name: ObjectID) -> IndexView {
        IndexView(self, adding: table, named: name)
    }

    /// Every place where the blob is, condemned packs last: they serve readers until they are swept.
    public func locations(of id: BlobID) -> [BlobLocation] {
        var found: [BlobLocation] = []
        var last: [BlobLocation] = []
        for table in tables {
            for position in table.positions(of: id) {
                guard let record = table.record(at: position), let pack = table.pack(at: position) else {
                    continue
                }
                let location = BlobLocation(record: record, pack: table.packs[pack])
                if condemned.contains(location.pack.id) {
                    last.append(location)
                } else {
                    found.append(location)
                }
            }
        }
        return last.isEmpty ? found : found + last
    }

    /// Every entry of the blob, as a table and a position in it: what a `BlobBitmap` marks. Allocates nothing.
    public func forEachEntry(of id: BlobID, _ body: (_ table: Int, _ position: Int) -> Void) {
        for table in tables.indices {
            for position in tables[table].positions(of: id) { body(table, position) }
        }
    }

    /// Deltas whose bases were all found usable: one bit for each entry.
    private let restable: Monitor<BlobBitmap>

    /// Deltas are written with far shorter chains; a longer one is damage or malice, and not rested on.
    private static let maximumChain = 16

    /// Whether a writer may leave the blob out, or rest a delta on it: it is in a pack that is neither condemned nor absent nor of doubtful origin, and
    /// so is everything that it rests on itself. Garbage that was kept may be a delta whose base was not.
    public func containsForDeduplication(_ id: BlobID) -> Bool { hasUsableCopy(id, type: nil, links: 0) }

    private func hasUsableCopy(_ id: BlobID, type: BlobType?, links: Int) -> Bool {
        guard links < Self.maximumChain else { return false }
        for (index, table) in tables.enumerated() {
            for position in table.positions(of: id) {
                guard let pack = table.pack(at: position), usable[index][pack],
                    let record = table.record(at: position), type == nil || record.type == type
                else { continue }
                guard record.encoding == .delta else { return true }
                // Deltas share bases: what was found once is remembered, or unchanged data would be looked up hundreds of times over.
                if restable.withLock({ $0.contains(table: index, position: position) }) { return true }
                guard hasUsableBases(record, links: links) else { continue }
                restable.withLock { _ = $0.insert(table: index, position: position) }
                return true
            }
        }
        return false
    }

    private func hasUsableBases(_ record: BlobRecord, links: Int) -> Bool {
        for base in 0..<record.bases.count {
            let isThere = candidates(prefix: record.bases[base]).contains {
                hasUsableCopy($0, type: record.type, links: links + 1)
            }
            guard isThere else { return false }
        }
        return true
    }

    /// Whether every pack that the index names is there to stay.
    public var isLasting: Bool {
        tables.allSatisfy { $0.packs.allSatisfy { !condemned.contains($0.id) && !absent.contains($0.id) } }
    }

    public func contains(_ id: BlobID) -> Bool { tables.contains { !$0.positions(of: id).isEmpty } }

    /// The ids that begin with these 8 bytes: one, but for chance or malice, and at most 64.
    public func candidates(prefix: UInt64) -> [BlobID] {
        var ids: [BlobID] = []
        for table in tables {
            for position in table.positions(ofPrefix: prefix) {
                let id = table.id(at: position)
                if !ids.contains(id) { ids.append(id) }
                if ids.count == 64 { return ids }
            }
        }
        return ids
    }

    /// Blobs in all segments, duplicates counted.
    public var blobCount: Int { tables.reduce(0) { $0 + $1.count } }

    public func releaseResident() { for table in tables { table.releaseResident() } }
}
