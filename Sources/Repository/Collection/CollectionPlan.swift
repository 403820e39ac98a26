import BlobEngine
import RepoBase
import Storage

/// Which packs go, and why. Pure: decides from what a marking counted.
struct CollectionPlan {
    struct Choice {
        /// The place in the census.
        let pack: Int
        let reason: String
    }

    /// Nothing in them is needed.
    private(set) var dead: [Choice] = []
    /// What is needed of them is copied first.
    private(set) var rewritten: [Choice] = []
    /// Sealed bytes that stay unused.
    private(set) var unusedBytes: UInt64 = 0

    /// Packs that have garbage, are small or of an earlier epoch, and are left alone since they are archived.
    private(set) var leftArchived = 0

    /// Small packs are put together when there are more of a kind than this.
    static let smallPackLimit = 20

    /// - Parameters:
    ///   - maximumUnused: see `CollectionOptions`.
    ///   - epoch: the current one; packs of earlier epochs are preferred, so that rewriting goes on with a rotation.
    ///   - endsRotation: all of them are rewritten.
    ///   - isArchived: whether a pack cannot be read without being brought back first. Such packs are not rewritten, and what is unused in them makes no other pack
    ///     be rewritten in their place; where nothing in them is needed they go as any other.
    init(
        _ packs: PackCensus, maximumUnused: Double, epoch: UInt32, endsRotation: Bool = false, isArchived: (ObjectID) -> Bool = { _ in false }
    ) {
        var total: UInt64 = 0
        var unusedArchived: UInt64 = 0
        var archived: Set<Int> = []
        var partly: [Int] = []
        var small: [Bool: [Int]] = [:]
        for (number, use) in packs.uses.enumerated() where !use.isCondemned {
            if use.liveBlobs == 0 {
                dead.append(
                    Choice(pack: number, reason: use.isPresent ? "nothing in it is needed" : "it is gone"))
                continue
            }
            guard use.isPresent else { continue }
            if isArchived(use.pack.id) {
                archived.insert(number)
                unusedArchived += use.deadBytes
                if endsRotation && use.pack.seal.epoch < epoch || use.unusedShare > maximumUnused { leftArchived += 1 }
                continue
            }
            total += use.blobBytes
            unusedBytes += use.deadBytes
            if use.deadBytes > 0 { partly.append(number) }
            let isData = use.chunkBlobs > 0
            if use.pack.size < UInt64(isData ? PackOutput.targetSize : PackOutput.targetSize / 2) / 4 {
                small[isData, default: []].append(number)
            }
        }
        var taken: Set<Int> = []
        // The worst share first: most is freed for what is copied. What earlier keys open counts as half unused on top, since it is better
        // sealed anew. Equal shares by id, so that runs agree.
        func weight(_ use: PackCensus.Use) -> Double {
            use.pack.seal.epoch < epoch ? (1 + use.unusedShare) / 2 : use.unusedShare
        }
        let order = partly.sorted {
            let (left, right) = (packs.uses[$0], packs.uses[$1])
            let (a, b) = (weight(left), weight(right))
            return a == b ? left.pack.id < right.pack.id : a > b
        }
        for number in order {
            guard Double(unusedBytes) > maximumUnused * Double(total) else { break }
            let use = packs.uses[number]
            total -= use.deadBytes
            unusedBytes -= use.deadBytes
            taken.insert(number)
            let percent = max(1, Int(use.unusedShare * 100))
            rewritten.append(
                Choice(pack: number, reason: "\(percent) % of it is not needed; the rest was copied"))
        }
        for (number, use) in packs.uses.enumerated()
        where endsRotation && !use.isCondemned && use.isPresent && use.liveBlobs > 0 && use.pack.seal.epoch < epoch && !archived.contains(number) {
            guard taken.insert(number).inserted else { continue }
            unusedBytes -= use.deadBytes
            rewritten.append(Choice(pack: number, reason: "it is sealed with the keys of epoch \(use.pack.seal.epoch)"))
        }
        for (_, numbers) in small.sorted(by: { $1.key && !$0.key }) where numbers.count > Self.smallPackLimit
        {
            for number in numbers where taken.insert(number).inserted {
                unusedBytes -= packs.uses[number].deadBytes
                rewritten.append(Choice(pack: number, reason: "it is small and was put together with others"))
            }
        }
        unusedBytes += unusedArchived
    }
}

extension PackCensus.Use {
    /// 0 to 1.
    var unusedShare: Double { blobBytes == 0 ? 0 : Double(deadBytes) / Double(blobBytes) }
}
