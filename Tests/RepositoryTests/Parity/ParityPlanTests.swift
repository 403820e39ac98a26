import BlobEngine
import RepoBase
import RepositoryTesting
import Testing

@testable import Repository

/// Plans over packs that exist as numbers alone.
@Suite struct ParityPlanTests {
    private struct World {
        var input = ParityPlan.Input(entries: [], wanted: [:], present: [], parity: 1000, counts: { _ in true })
        var codedBytes: UInt64 = 0
        private var next: UInt64 = 0

        mutating func add(_ size: UInt64) -> ObjectID {
            next += 1
            // Ids as scattered as hashes are.
            let id = ObjectID(words: next &* 0x9e37_79b9_7f4a_7c15, next, 0, 0)
            input.wanted[id] = size
            input.present.insert(id)
            return id
        }

        /// Does what a plan says.
        mutating func update(dropping: Bool = true) -> ParityPlan {
            let plan = ParityPlan(input)
            let made = plan.jobs.map { job -> ParityGroup in
                let old = Set(job.base?.members.map(\.id) ?? [])
                codedBytes += job.layout.places.reduce(0) { old.contains($1.id) ? $0 : $0 + $1.size }
                return ParityGroup(
                    id: [UInt8]((0..<16).map { _ in UInt8.random(in: 0...255) }), shardBlocks: job.layout.shardBlocks,
                    shardCount: job.layout.shardCount,
                    members: job.layout.places.map {
                        ParityGroup.Member(id: $0.id, size: $0.size, shard: $0.shard, firstBlock: $0.firstBlock, checksums: [])
                    }, paritySums: [[UInt32]](repeating: [], count: job.layout.parityCount))
            }
            let needless = dropping ? Set(plan.needless(after: made).map(\.group.id)) : []
            input.entries.removeAll { needless.contains($0.group.id) }
            input.entries += made.map(entry)
            return plan
        }

        func entry(_ group: ParityGroup) -> ParityCatalog.Entry {
            ParityCatalog.Entry(
                group: group, signer: KeyID(bytes: [UInt8](repeating: 1, count: 16))!, rows: Set(0..<group.parityCount), descriptions: [0, 1, 2],
                bytes: group.parityBytes)
        }

        var bytes: UInt64 { input.wanted.values.reduce(0, +) }
        var parityBytes: UInt64 { input.entries.reduce(0) { $0 + $1.group.parityBytes } }

        func expectCovered(sourceLocation: SourceLocation = #_sourceLocation) {
            let covered = Set(input.entries.flatMap { $0.group.members.map(\.id) })
            #expect(covered.isSuperset(of: input.wanted.keys), sourceLocation: sourceLocation)
        }
    }

    /// 400 snapshots that each add a pack of up to 4 MiB and a small one of directories.
    @Test func manySnapshotsCostLittleMoreThanTheShareAndFewRewrites() {
        var random = SeededNumbers(seed: 5)
        var world = World()
        var most = 0
        for round in 1...400 {
            _ = world.add(UInt64.random(in: 1 << 20...4 << 20, using: &random))
            _ = world.add(UInt64.random(in: 10_000...300_000, using: &random))
            _ = world.update()
            world.expectCovered()
            most = max(most, world.input.entries.count)
            // The share, and a few rows of the longest pack.
            let limit = Double(world.bytes) * 0.115 + 5 * Double(4 << 20)
            #expect(Double(world.parityBytes) < limit, "after \(round) snapshots")
        }
        // Each is larger than all smaller ones together.
        #expect(most <= 12)
        let rewrites = Double(world.codedBytes) / Double(world.bytes)
        #expect(rewrites < 9, "each byte was coded \(rewrites) times")
    }

    @Test func aLargeRepositoryIsDividedIntoGroupsOfLikeSize() {
        var world = World()
        for _ in 0..<2500 { _ = world.add(16 << 20) }
        _ = world.update()
        world.expectCovered()
        #expect(world.input.entries.count == 3)
        for entry in world.input.entries {
            #expect(entry.group.shardCount <= 1024 && entry.group.shardCount > 800)
            #expect(entry.group.parityCount >= entry.group.members.count * 8 / 100)
        }
        #expect(ParityPlan(world.input).jobs.isEmpty, "nothing is left to do")
    }

    @Test func aSmallPackTakesNoShardOfItsOwn() {
        let packs = (0..<64).map { (id: ObjectID(words: $0, 1, 1, 1), size: UInt64(65_536)) } + [(ObjectID(words: 99, 1, 1, 1), 16 << 20)]
        let layout = ParityLayout(packs, parity: 1000)
        #expect(layout.shardCount == 2)
        for (one, next) in zip(layout.places, layout.places.dropFirst()) where one.shard == next.shard {
            #expect(one.blocks.upperBound <= next.firstBlock)
        }
    }

    @Test func whatLeavesIsTakenOutAndItsRoomFilled() {
        var world = World()
        let packs = (0..<50).map { _ in world.add(16 << 20) }
        _ = world.update()
        let old = world.input.entries[0].group
        world.input.leaving = Set(packs.prefix(3))
        for id in packs.prefix(3) { world.input.wanted[id] = nil }
        let new = (0..<2).map { _ in world.add(15 << 20) }
        let plan = ParityPlan(world.input)
        #expect(plan.jobs.count == 1 && plan.jobs[0].base?.id == old.id)
        #expect(Set(plan.jobs[0].layout.places.map(\.id)) == Set(packs.dropFirst(3)).union(new))
        _ = world.update()
        world.expectCovered()
        #expect(world.input.entries.count == 1)
    }

    /// It is the way back, whatever else covers what is left of it.
    @Test func aGroupThatKnowsALostPackIsNeverDeleted() {
        var world = World()
        let packs = (0..<20).map { _ in world.add(1 << 20) }
        _ = world.update()
        let old = world.input.entries[0].group.id
        world.input.present.remove(packs[4])
        world.input.parity = 3000
        for _ in 0..<3 { _ = world.update() }
        #expect(world.input.entries.contains { $0.group.id == old })
        world.input.present.insert(packs[4])
        for _ in 0..<3 { _ = world.update() }
        #expect(!world.input.entries.contains { $0.group.id == old })
        world.expectCovered()
    }

    @Test func anotherShareMakesAllGroupsAnew() {
        var world = World()
        for _ in 0..<100 { _ = world.add(1 << 20) }
        _ = world.update()
        #expect(world.input.entries.map(\.group.parityCount) == [10])
        world.input.parity = 500
        _ = world.update()
        #expect(world.input.entries.map(\.group.parityCount) == [5])
        world.expectCovered()
    }

    /// Two runs at once made the same parity twice; whoever looks keeps the same one.
    @Test func ofTwoAlikeOneGoes() {
        var world = World()
        for _ in 0..<10 { _ = world.add(1 << 20) }
        var other = world
        _ = world.update()
        _ = other.update()
        world.input.entries += other.input.entries
        let kept = ParityPlan(world.input).kept.map(\.group.id)
        world.input.entries.reverse()
        #expect(ParityPlan(world.input).kept.map(\.group.id) == kept)
        #expect(kept.count == 1)
        _ = world.update()
        #expect(world.input.entries.count == 1)
    }

    @Test func aWriterOnlyAdds() {
        var world = World()
        _ = world.add(1 << 20)
        _ = world.update()
        world.input.mayReplace = false
        for _ in 0..<5 {
            _ = world.add(1 << 20)
            let plan = world.update()
            #expect(plan.jobs.count == 1 && plan.jobs[0].layout.places.count == 1)
            #expect(plan.needless(after: []).isEmpty)
        }
        #expect(world.input.entries.count == 6)
    }
}
