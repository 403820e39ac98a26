import BlobEngine
import RepoBase
import Storage

/// Keeps the index short: puts small segments together, and drops packs that are gone.
///
/// A new segment names those that it replaces and is stored before they are deleted, so at every moment each blob of a pack that stays is in
/// a segment that counts. One merged segment is in memory at a time.
struct IndexMaintenance {
    /// Blobs of a merged segment, at most, where it comes of several.
    static let mergedBlobLimit = 1 << 18
    /// A segment below this many blobs is small; more of them than `smallSegmentLimit` are put together.
    static let smallBlobCount = 1 << 14
    static let smallSegmentLimit = 16

    private let repository: OpenRepository

    init(_ repository: OpenRepository) { self.repository = repository }

    /// Deletes segments that others have replaced and that an interrupted collection left.
    func removeReplaced(_ index: IndexView) throws {
        let replaced = Set(
            zip(index.names, index.tables).flatMap { name, table in counts(table) ? table.replaces : [] })
        guard !replaced.isEmpty else { return }
        for object in try repository.store.list(IndexLoader.prefix) {
            guard let id = ObjectID(object.key.description.dropFirst(IndexLoader.prefix.count)),
                replaced.contains(id), !index.segments.contains(id)
            else { continue }
            try repository.store.delete(object.key)
        }
    }

    private func counts(_ table: IndexTable) -> Bool { repository.role(of: table.signer) == .full }

    /// Rewrites segments that name packs of `gone`, and small ones. Returns how many were replaced.
    func rewrite(_ index: IndexView, without gone: Set<ObjectID>) throws -> Int {
        var due: [Int] = []
        var small: [Int] = []
        for (number, table) in index.tables.enumerated() {
            if table.packs.contains(where: { gone.contains($0.id) }) {
                due.append(number)
            } else if table.count < Self.smallBlobCount {
                small.append(number)
            }
        }
        if small.count > Self.smallSegmentLimit { due += small }
        // What a writer says of packs that are not its own must not gain this key's signature.
        due.removeAll { number in
            let table = index.tables[number]
            return !counts(table) && table.packs.contains { $0.seal.signer != table.signer }
        }
        var batch: [Int] = []
        var blobs = 0
        for number in due.sorted(by: { index.tables[$0].count < index.tables[$1].count }) {
            let count = index.tables[number].count
            if !batch.isEmpty, blobs + count > Self.mergedBlobLimit {
                try replace(batch, index, without: gone)
                (batch, blobs) = ([], 0)
            }
            batch.append(number)
            blobs += count
        }
        if !batch.isEmpty { try replace(batch, index, without: gone) }
        return due.count
    }

    private func replace(_ batch: [Int], _ index: IndexView, without gone: Set<ObjectID>) throws {
        let tables = batch.map { index.tables[$0] }
        let names = batch.map { index.names[$0] }
        let segment = merge(tables, replacing: names, without: gone)
        if !segment.packs.isEmpty { try IndexSegmentStore.store(segment, in: repository) }
        index.releaseResident()
        for name in names { try repository.store.delete(StoreKey("\(IndexLoader.prefix)\(name)")) }
    }

    private func merge(_ tables: [IndexTable], replacing names: [ObjectID], without gone: Set<ObjectID>)
        -> IndexSegment
    {
        var packs: [PackRecord] = []
        var numbers: [ObjectID: UInt32] = [:]
        var places: [[UInt32?]] = []
        for table in tables {
            let isFull = counts(table)
            places.append(
                table.packs.map { pack in
                    if gone.contains(pack.id) { return nil }
                    // That a pack was verified counts from a full key alone.
                    let isVerified = isFull && pack.isVerified
                    if let number = numbers[pack.id] {
                        if isVerified { packs[Int(number)].isVerified = true }
                        return number
                    }
                    var pack = pack
                    pack.isVerified = isVerified
                    numbers[pack.id] = UInt32(packs.count)
                    packs.append(pack)
                    return UInt32(packs.count - 1)
                })
        }
        var blobs: [(pack: UInt32, record: BlobRecord)] = []
        blobs.reserveCapacity(tables.reduce(0) { $0 + $1.count })
        var entries = MergedEntries(tables)
        var found: [IndexPlace] = []
        while entries.next(&found) != nil {
            var group: [(pack: UInt32, record: BlobRecord)] = []
            for place in found {
                let table = tables[Int(place.table)]
                guard let pack = table.pack(at: Int(place.position)),
                    let number = places[Int(place.table)][pack],
                    let record = table.record(at: Int(place.position)),
                    !group.contains(where: { $0.pack == number && $0.record.ordinal == record.ordinal })
                else { continue }
                group.append((number, record))
            }
            blobs += group.sorted { $0.pack < $1.pack }
        }
        return IndexSegment(replaces: names, packs: packs, blobs: blobs)
    }
}
