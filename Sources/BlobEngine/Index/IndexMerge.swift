public import RepoBase

/// Merges segments of the index into fewer, and leaves out packs that are gone (format.md, 6).
///
/// Sources are divided into groups that fit into one segment each; a group becomes one segment, which replaces just
/// its sources. So a crash after any of them leaves an index that is whole, and a pack stays in one segment.
/// Memory: one segment at a time, about 110 bytes a blob of it; the tables are read in order and let go of.
public struct IndexMerge: Sendable {
    public struct Source: Sendable {
        public let name: ObjectID
        public let table: IndexTable

        public init(name: ObjectID, table: IndexTable) {
            self.name = name
            self.table = table
        }
    }

    /// Blobs of a segment that merging makes, unless one source has more.
    public static let targetBlobs = 1 << 19

    /// What becomes one segment each.
    public let groups: [[Source]]
    private let dropped: Set<ObjectID>
    private let present: Set<ObjectID>
    private let admit: @Sendable (_ signer: KeyID, _ pack: PackRecord) -> PackRecord?

    /// - Parameters:
    ///   - sources: segments to be replaced, all of them valid ones.
    ///   - dropping: packs whose blobs are left out.
    ///   - present: the names of all segments in the store. What sources replaced and is still there is named by the
    ///     new segment too, or it would count again once the source is deleted.
    ///   - limit: blobs of a group, at most 2^20. Tables that name dropped packs are read through once to count.
    ///   - admit: how a pack that a segment signed by `signer` tells of is listed, or nil to leave it out. A full
    ///     key vouches for all that it signs, so it must not take over what another key says of a foreign pack, nor that
    ///     key's `isVerified`: see `admission(isFull:)`.
    public init(
        sources: [Source], dropping: Set<ObjectID>, present: Set<ObjectID>, limit: Int = targetBlobs,
        admit: @escaping @Sendable (_ signer: KeyID, _ pack: PackRecord) -> PackRecord?
    ) {
        dropped = dropping
        self.present = present
        precondition(limit <= IndexSegment.maximumBlobs)
        self.admit = admit
        groups = Self.divide(sources, dropping: dropping, limit: limit)
    }

    /// The rule for a full key: all from full keys; from others what they say of their own packs, not verified.
    public static func admission(
        isFull: @escaping @Sendable (KeyID) -> Bool
    ) -> @Sendable (_ signer: KeyID, _ pack: PackRecord) -> PackRecord? {
        { signer, pack in
            if isFull(signer) { return pack }
            guard signer == pack.seal.signer else { return nil }
            var unverified = pack
            unverified.isVerified = false
            return unverified
        }
    }

    /// The sources that are worth it: those that name a pack to drop, and those under half of `limit` when there are
    /// several.
    public static func worthMerging(
        _ sources: [Source], dropping: Set<ObjectID>, limit: Int = targetBlobs
    ) -> [Source] {
        let named = sources.filter { $0.table.packs.contains { dropping.contains($0.id) } }
        let chosen = Set(named.map(\.name))
        let small = sources.filter { $0.table.count < limit / 2 && !chosen.contains($0.name) }
        return named.isEmpty && small.count < 2 ? [] : named + small
    }

    /// First fit, the largest first, by the blobs that stay.
    private static func divide(
        _ sources: [Source], dropping dropped: Set<ObjectID>, limit: Int
    ) -> [[Source]] {
        var groups: [(count: Int, sources: [Source])] = []
        let counted = sources.map { (count: liveCount($0.table, dropping: dropped), source: $0) }
        let ordered = counted.sorted { ($1.count, $0.source.name) < ($0.count, $1.source.name) }
        for (count, source) in ordered {
            if let index = groups.firstIndex(where: { $0.count + count <= limit }) {
                groups[index].count += count
                groups[index].sources.append(source)
            } else {
                groups.append((count, [source]))
            }
        }
        return groups.map(\.sources)
    }

    /// Entries whose packs stay. Reads the table's locators only when it names a pack that does not.
    private static func liveCount(_ table: IndexTable, dropping dropped: Set<ObjectID>) -> Int {
        let stays = table.packs.map { !dropped.contains($0.id) }
        guard stays.contains(false) else { return table.count }
        var count = 0
        for position in 0..<table.count {
            if let pack = table.pack(at: position), stays[pack] { count += 1 }
        }
        table.releaseResident()
        return count
    }

    /// The segment that takes the place of a group's sources. Verifies the tables first, since this goes back into the
    /// repository: throws `.damaged` for one that must be made again from its segment. Reads each table twice.
    public func segment(for group: [Source]) throws(RepoError) -> IndexSegment {
        for source in group { try source.table.verify() }
        var packs: [PackRecord] = []
        var numbers: [PackRecord: Int] = [:]
        var cursors: [MergeCursor] = []
        for source in group {
            let table = source.table
            let places = table.packs.map { pack -> UInt32? in
                guard !dropped.contains(pack.id), let admitted = admit(table.signer, pack) else { return nil }
                // The same pack from two segments is one, verified when one of them says so.
                var key = admitted
                key.isVerified = false
                if let number = numbers[key] {
                    packs[number].isVerified = packs[number].isVerified || admitted.isVerified
                    return UInt32(number)
                }
                numbers[key] = packs.count
                packs.append(admitted)
                return UInt32(packs.count - 1)
            }
            cursors.append(MergeCursor(table: table, places: places))
        }
        let names = Set(group.map(\.name))
        let inherited = Set(group.flatMap(\.table.replaces)).intersection(present).subtracting(names)
        return IndexSegment(
            replaces: (names.union(inherited)).sorted(), packs: packs, blobs: try Self.merge(&cursors))
    }

    /// Entries between two calls that let go of the tables' memory.
    private static let releaseInterval = 1 << 16

    private static func merge(
        _ cursors: inout [MergeCursor]
    ) throws(RepoError) -> [(pack: UInt32, record: BlobRecord)] {
        var blobs: [(pack: UInt32, record: BlobRecord)] = []
        blobs.reserveCapacity(cursors.reduce(0) { $0 + $1.table.count })
        var heap = MergeHeap()
        for index in cursors.indices {
            try cursors[index].advance()
            if let id = cursors[index].id { heap.push(id, index) }
        }
        var read = 0
        // Where the entries of the id at hand begin.
        var run = 0
        while let (id, source) = heap.top {
            if run < blobs.count, blobs[run].record.id != id {
                sortRun(&blobs, from: run)
                run = blobs.count
            }
            blobs.append(try cursors[source].entry())
            try cursors[source].advance()
            heap.replaceTop(with: cursors[source].id)
            read += 1
            if read % releaseInterval == 0 { for cursor in cursors { cursor.table.releaseResident() } }
        }
        sortRun(&blobs, from: run)
        for cursor in cursors { cursor.table.releaseResident() }
        return blobs
    }

    /// Puts the entries of one id in order of packs and drops those that say the same.
    private static func sortRun(_ blobs: inout [(pack: UInt32, record: BlobRecord)], from start: Int) {
        guard blobs.count - start > 1 else { return }
        var run = blobs[start...].sorted { ($0.pack, $0.record.ordinal) < ($1.pack, $1.record.ordinal) }
        var kept = 0
        for index in run.indices where index == 0 || run[index] != run[kept - 1] {
            run[kept] = run[index]
            kept += 1
        }
        blobs.replaceSubrange(start..., with: run[..<kept])
    }
}
