import BlobEngine
import RepoBase
import Storage

/// Takes over what a full key has verified: packs of writers that it has read in whole are marked so in a segment that the full key
/// signs, and from then on every key may rest new data on them (design, signatures).
struct PackEndorsement {
    private let repository: OpenRepository

    init(_ repository: OpenRepository) { self.repository = repository }

    /// Only what was verified is signed, and condemned packs are left out. A segment all of whose packs are good now is replaced; of others the
    /// verified packs are named a second time. Returns how many packs were taken over.
    func endorse(_ verified: Set<ObjectID>) throws -> UInt64 {
        let keys = repository.keys
        guard keys.role == .full else { return 0 }
        func isDue(_ pack: PackRecord) -> Bool {
            verified.contains(pack.id) && keys.role(of: pack.seal.signer) != .full
        }
        func isTrusted(_ table: IndexTable, _ pack: PackRecord) -> Bool {
            keys.role(of: table.signer) == .full
                && (pack.isVerified || keys.role(of: pack.seal.signer) == .full)
        }
        // Without a lock: the common case of nothing to do must not write.
        let known = try repository.index()
        var trusted: Set<ObjectID> = []
        for table in known.tables {
            for pack in table.packs where isTrusted(table, pack) { trusted.insert(pack.id) }
        }
        guard known.tables.contains(where: { $0.packs.contains { isDue($0) && !trusted.contains($0.id) } })
        else { return 0 }

        let registration = try WriterRegistration.begin(repository)
        defer { registration.end() }
        let view = try repository.reloadIndex()
        var endorsed: Set<ObjectID> = []
        for (number, table) in view.tables.enumerated() {
            let due = table.packs.indices.filter {
                let pack = table.packs[$0]
                return isDue(pack) && !trusted.contains(pack.id) && !endorsed.contains(pack.id)
                    && !view.condemned.contains(pack.id)
            }
            guard !due.isEmpty else { continue }
            let isWhole = table.packs.allSatisfy {
                verified.contains($0.id) && !view.condemned.contains($0.id)
            }
            let segment = Self.segment(
                table, packs: isWhole ? Array(table.packs.indices) : due,
                replacing: isWhole ? [view.names[number]] + table.replaces : [])
            try registration.checkFence()
            try IndexSegmentStore.store(segment, in: repository)
            for id in segment.replaces { try repository.store.delete(StoreKey("\(IndexLoader.prefix)\(id)")) }
            for place in due { endorsed.insert(table.packs[place].id) }
        }
        if !endorsed.isEmpty { try repository.reloadIndex() }
        return UInt64(endorsed.count)
    }

    /// The rows of some packs of a table, these packs marked as verified.
    static func segment(_ table: IndexTable, packs places: [Int], replacing: [ObjectID]) -> IndexSegment {
        var numbers: [Int: UInt32] = [:]
        for (number, place) in places.enumerated() { numbers[place] = UInt32(number) }
        var blobs: [(pack: UInt32, record: BlobRecord)] = []
        for position in 0..<table.count {
            guard let place = table.pack(at: position), let number = numbers[place],
                let record = table.record(at: position)
            else { continue }
            blobs.append((number, record))
        }
        let packs = places.map { place in
            var pack = table.packs[place]
            pack.isVerified = true
            return pack
        }
        return IndexSegment(replaces: replacing, packs: packs, blobs: blobs)
    }
}
