import BlobEngine
import RepoBase

/// Which groups stay, which are made, and which may go. Pure: decides from a listing.
///
/// What no group covers goes into a new one, together with every group that is not larger than what has gathered so far: so a pack is coded anew at most
/// as often as the size of its group can double, and of small groups, which cost a row of parity each, there are few.
struct ParityPlan {
    struct Input {
        var entries: [ParityCatalog.Entry]
        /// Packs that are to be covered, and their sizes: those that the index names.
        var wanted: [ObjectID: UInt64]
        /// Packs in the store.
        var present: Set<ObjectID>
        /// Of these, those that are about to be deleted.
        var leaving: Set<ObjectID> = []
        /// Packs that do not read: no new group may count on them, and no old one that has them may go.
        var damaged: Set<ObjectID> = []
        /// Groups whose parity does not read.
        var unreadable: Set<[UInt8]> = []
        /// Bytes of parity for 10,000 of packs.
        var parity: UInt64
        /// Whether what is there may be replaced: a writer key only adds.
        var mayReplace = true
        /// Whether this key may count on the group of a signer.
        var counts: (KeyID) -> Bool
    }

    private(set) var jobs: [ParityEncoding.Job] = []
    private(set) var kept: [ParityCatalog.Entry] = []
    /// Groups that hold what can be had nowhere else.
    private var pinned: Set<[UInt8]> = []
    /// Packs that are wanted and that `kept` covers.
    private(set) var covered: Set<ObjectID> = []
    private let input: Input

    init(_ input: Input) {
        self.input = input
        var changing: [ParityCatalog.Entry] = []
        var candidates: [ParityCatalog.Entry] = []
        for entry in input.entries where input.counts(entry.signer) {
            switch judge(entry) {
            case .stays: candidates.append(entry)
            case .isPinned(let counts):
                pinned.insert(entry.group.id)
                if counts { candidates.append(entry) } else { kept.append(entry) }
            case .changes: changing.append(entry)
            case .ends: break
            }
        }
        keep(candidates)
        var waiting = input.wanted.filter { isUsable($0.key) && !covered.contains($0.key) }
        for entry in changing where input.mayReplace {
            // One that others cover already only goes.
            guard entry.group.members.contains(where: { waiting[$0.id] != nil }) else { continue }
            change(entry, &waiting)
        }
        if input.mayReplace, !waiting.isEmpty { absorb(&waiting) }
        divide(waiting)
    }

    // MARK: What there is

    private enum Verdict {
        case stays
        /// Something that is wanted can come from it alone; `counts` when it still protects all else that it names.
        case isPinned(counts: Bool)
        /// Packs are to be taken out of it.
        case changes
        case ends
    }

    private func isUsable(_ id: ObjectID) -> Bool {
        input.present.contains(id) && !input.leaving.contains(id) && !input.damaged.contains(id)
    }

    private func judge(_ entry: ParityCatalog.Entry) -> Verdict {
        let group = entry.group
        let isWhole = entry.rows.count == group.parityCount && !input.unreadable.contains(group.id)
        var (isNeeded, isEroded, leaves) = (false, false, false)
        var stays = 0
        for member in group.members {
            if input.leaving.contains(member.id) {
                leaves = true
                continue
            }
            stays += member.blocks.count
            if input.wanted[member.id] != nil {
                if !isUsable(member.id) { isNeeded = true }
            } else if !input.present.contains(member.id) {
                isEroded = true
            }
        }
        if isNeeded { return .isPinned(counts: isWhole && !isEroded && !leaves) }
        let fits = ParityLayout.fits(group.parityCount, filled: stays, shardBlocks: group.shardBlocks, parity: input.parity)
        guard isWhole, !isEroded, fits else { return .ends }
        guard leaves else { return .stays }
        // Taking out reads what leaves; coding anew reads what stays.
        return stays * 2 > group.filledBlocks ? .changes : .ends
    }

    /// The largest first, so that all who look decide alike; one that adds nothing is not needed.
    private mutating func keep(_ candidates: [ParityCatalog.Entry]) {
        let order = candidates.sorted {
            let (one, other) = ($0.group.bytes, $1.group.bytes)
            return one == other ? $0.group.id.lexicographicallyPrecedes($1.group.id) : one > other
        }
        for entry in order {
            let new = entry.group.members.map(\.id).filter { input.wanted[$0] != nil && !covered.contains($0) }
            guard !new.isEmpty || pinned.contains(entry.group.id) else { continue }
            kept.append(entry)
            covered.formUnion(new)
        }
    }

    // MARK: What is made

    /// Takes out of a group what leaves, and puts what is to be covered into the room that gives.
    private mutating func change(_ entry: ParityCatalog.Entry, _ waiting: inout [ObjectID: UInt64]) {
        let group = entry.group
        var places = group.members.filter { !input.leaving.contains($0.id) }.map {
            ParityLayout.Place(id: $0.id, size: $0.size, shard: $0.shard, firstBlock: $0.firstBlock)
        }
        for place in places { waiting[place.id] = nil }
        var filled = places.reduce(0) { $0 + $1.blocks.count }
        var gaps: [(shard: Int, blocks: Range<Int>)] = []
        let byShard = Dictionary(grouping: places, by: \.shard)
        for shard in 0..<group.shardCount {
            var at = 0
            for place in (byShard[shard] ?? []).sorted(by: { $0.firstBlock < $1.firstBlock }) {
                if place.firstBlock > at { gaps.append((shard, at..<place.firstBlock)) }
                at = place.blocks.upperBound
            }
            if at < group.shardBlocks { gaps.append((shard, at..<group.shardBlocks)) }
        }
        for (id, size) in waiting.sorted(by: { $0.value == $1.value ? $0.key < $1.key : $0.value > $1.value }) {
            let blocks = ParityGroup.blockCount(size)
            let grown = filled + blocks
            guard ParityLayout.fits(group.parityCount, filled: grown, shardBlocks: group.shardBlocks, parity: input.parity),
                let gap = gaps.firstIndex(where: { $0.blocks.count >= blocks })
            else { continue }
            places.append(ParityLayout.Place(id: id, size: size, shard: gaps[gap].shard, firstBlock: gaps[gap].blocks.lowerBound))
            gaps[gap].blocks = gaps[gap].blocks.lowerBound + blocks..<gaps[gap].blocks.upperBound
            waiting[id] = nil
            filled = grown
        }
        let layout = ParityLayout(
            shardBlocks: group.shardBlocks, shardCount: group.shardCount, parityCount: group.parityCount, places: places)
        jobs.append(ParityEncoding.Job(layout: layout, base: group))
    }

    /// Adds the packs of small groups to what waits.
    private mutating func absorb(_ waiting: inout [ObjectID: UInt64]) {
        let limit = UInt64(ParityLayout.shardLimit(parity: input.parity))
        let order = kept.filter { !pinned.contains($0.group.id) }.sorted {
            $0.group.bytes == $1.group.bytes ? $0.group.id.lexicographicallyPrecedes($1.group.id) : $0.group.bytes < $1.group.bytes
        }
        var bytes = waiting.values.reduce(0, +)
        var longest = waiting.values.max() ?? 0
        for entry in order where entry.group.bytes <= bytes {
            let packs = entry.group.members.filter { input.wanted[$0.id] != nil }
            let sum = bytes + packs.reduce(0) { $0 + $1.size }
            let largest = max(longest, packs.map(\.size).max() ?? 0)
            guard sum <= limit * largest else { break }
            (bytes, longest) = (sum, largest)
            kept.removeAll { $0.group.id == entry.group.id }
            for pack in packs {
                waiting[pack.id] = pack.size
                covered.remove(pack.id)
            }
        }
    }

    /// Groups of about the same bytes, none with more shards than a group may have, packs of like sizes together.
    private mutating func divide(_ waiting: [ObjectID: UInt64]) {
        guard !waiting.isEmpty else { return }
        let packs = waiting.map { (id: $0.key, size: $0.value) }.sorted { $0.size == $1.size ? $0.id < $1.id : $0.size > $1.size }
        let bytes = packs.reduce(0) { $0 + $1.size }
        let limit = UInt64(ParityLayout.shardLimit(parity: input.parity)) * packs[0].size
        let parts = (bytes + limit - 1) / limit
        var part: [(id: ObjectID, size: UInt64)] = []
        var done: UInt64 = 0
        for pack in packs {
            part.append(pack)
            done += pack.size
            guard done * parts >= bytes * UInt64(jobs.count { $0.base == nil } + 1) else { continue }
            jobs.append(ParityEncoding.Job(layout: ParityLayout(part, parity: input.parity)))
            part = []
        }
        if !part.isEmpty { jobs.append(ParityEncoding.Job(layout: ParityLayout(part, parity: input.parity))) }
    }

    // MARK: What may go

    /// Groups that nothing rests on once `made` are stored.
    func needless(after made: [ParityGroup]) -> [ParityCatalog.Entry] {
        guard input.mayReplace else { return [] }
        let covered = covered.union(made.flatMap { $0.members.map(\.id) })
        let stays = Set(kept.map(\.group.id))
        return input.entries.filter { entry in
            !stays.contains(entry.group.id) && entry.group.members.allSatisfy { input.wanted[$0.id] == nil || covered.contains($0.id) }
        }
    }
}
