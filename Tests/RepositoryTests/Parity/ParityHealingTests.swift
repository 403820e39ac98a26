import BlobEngine
import RepoBase
import RepositoryTesting
import Storage
import Testing

@testable import Repository

@Suite struct ParityHealingTests {
    private static let block = ErasureCode.blockSize

    private static func make(_ seed: UInt64, packs: Int? = nil, parity: UInt64? = nil) throws -> (ParityFixture, ParityGroup, SeededNumbers) {
        var random = SeededNumbers(seed: seed)
        let fixture = try ParityFixture()
        let count = packs ?? Int.random(in: 1...30, using: &random)
        try fixture.addPacks((0..<count).map { _ in Int.random(in: 1...5 * block, using: &random) }, &random)
        let group = try fixture.makeGroup(parity: parity ?? UInt64.random(in: 500...5000, using: &random))
        return (fixture, group, random)
    }

    @Test(arguments: 0..<16) func asManyPacksAsThereAreRowsComeBackByteForByte(seed: UInt64) throws {
        var (fixture, group, random) = try Self.make(seed)
        let count = min(group.parityCount, fixture.packs.count)
        let lost = Array(fixture.packs.keys.sorted().shuffled(using: &random).prefix(Int.random(in: 1...count, using: &random)))
        for id in lost { try fixture.store.delete(PackObject.key(id)) }
        let result = try fixture.heal(lost)
        #expect(result.failed.isEmpty && Set(result.healed) == Set(lost))
        for id in fixture.packs.keys { #expect(try fixture.state(id) == .whole) }
    }

    @Test(arguments: 0..<8) func moreThanThereAreRowsIsSaidAndNothingWrongIsDelivered(seed: UInt64) throws {
        var (fixture, group, random) = try Self.make(seed &+ 100, packs: 24)
        // Packs that begin their shards meet at the first block.
        let first = group.members.filter { $0.firstBlock == 0 }.shuffled(using: &random)
        let lost = first.prefix(group.parityCount + 1).map(\.id)
        guard lost.count > group.parityCount else { return }
        for id in lost { try fixture.store.delete(PackObject.key(id)) }
        let result = try fixture.heal(lost)
        #expect(result.healed.isEmpty)
        #expect(Set(result.failed.keys) == Set(lost))
        #expect(result.failed.values.allSatisfy { $0.hasPrefix("\(group.parityCount + 1) blocks are lost") })
        for id in lost { #expect(try fixture.state(id) != .whole) }
    }

    /// Far more packs are damaged than there are rows, but few at any one place.
    @Test func badSectorsHealInManyMorePacksThanThereAreRows() throws {
        var (fixture, group, random) = try Self.make(7, packs: 30, parity: 1000)
        #expect(group.parityCount < 5)
        var hits = [Int](repeating: 0, count: group.shardBlocks)
        var damaged: [ObjectID] = []
        for member in group.members.shuffled(using: &random) {
            guard let block = member.blocks.first(where: { hits[$0] < group.parityCount }) else { continue }
            hits[block] += 1
            damaged.append(member.id)
            try fixture.damage(PackObject.key(member.id)) { $0[min($0.count - 1, (block - member.firstBlock) * Self.block + 77)] ^= 0x40 }
        }
        #expect(damaged.count > 2 * group.parityCount)
        let result = try fixture.heal(damaged)
        #expect(result.failed.isEmpty && result.healed.count == damaged.count)
        for id in fixture.packs.keys { #expect(try fixture.state(id) == .whole) }
        #expect(try fixture.repository.keys("damaged/packs/").count == damaged.count)
    }

    /// Of packs that meet at one block too many, all other blocks come back.
    @Test func whatCannotBeMadeWholeIsMendedAsFarAsItGoes() throws {
        var random = SeededNumbers(seed: 41)
        let fixture = try ParityFixture()
        try fixture.addPacks([Int](repeating: 4 * Self.block, count: 12), &random)
        let group = try fixture.makeGroup(parity: 800)
        #expect(group.parityCount == 1)
        let (one, other) = (group.members[0], group.members[1])
        for (member, blocks) in [(one, [0, 2]), (other, [0, 3])] {
            try fixture.damage(PackObject.key(member.id)) { bytes in for block in blocks { bytes[block * Self.block + 9] ^= 1 } }
        }
        let result = try fixture.heal([one.id, other.id])
        #expect(result.healed.isEmpty && result.mended == [one.id, other.id])
        for (member, block) in [(one, 2), (other, 3)] {
            let bytes = try fixture.store.get(PackObject.key(member.id), atMost: 1 << 30)
            let whole = try #require(fixture.packs[member.id])
            let range = block * Self.block..<(block + 1) * Self.block
            #expect(bytes[range] == whole[range] && bytes[9] != whole[9])
        }
    }

    /// Damage that nobody has told of is found on the way, counts as lost, and is healed as well.
    @Test func packsThatNobodyNamedAreHealedToo() throws {
        let (fixture, group, _) = try Self.make(11, packs: 20, parity: 3000)
        let (named, hidden) = (group.members[0].id, group.members[7].id)
        try fixture.store.delete(PackObject.key(named))
        try fixture.damage(PackObject.key(hidden)) { $0[0] ^= 1 }
        let result = try fixture.heal([named])
        #expect(result.found == [hidden])
        #expect(Set(result.healed) == [named, hidden])
    }

    enum Injury: CaseIterable { case flipped, zeroed, truncated, extended, removed, swapped }

    private static func injure(_ fixture: ParityFixture, _ key: StoreKey, _ injury: Injury, other: StoreKey) throws {
        switch injury {
        case .flipped: try fixture.damage(key) { $0[$0.count / 2] ^= 4 }
        case .zeroed: try fixture.damage(key) { bytes in for place in bytes.indices { bytes[place] = 0 } }
        case .truncated: try fixture.damage(key) { $0.removeLast($0.count / 2 + 1) }
        case .extended: try fixture.damage(key) { $0 += [1, 2, 3] }
        case .removed: try fixture.store.delete(key)
        case .swapped: try fixture.store.put(key, try fixture.store.get(other, atMost: 1 << 30), .replace)
        }
    }

    @Test(arguments: Injury.allCases) func anyInjuryOfPacksAndParityHealsWithinThePromise(injury: Injury) throws {
        let (fixture, group, _) = try Self.make(21, packs: 20, parity: 3000)
        try #require(group.parityCount >= 3)
        // One row, one description, and as many packs as there are rows left.
        try Self.injure(fixture, ParityObject.shard(group.id, row: 0), injury, other: ParityObject.shard(group.id, row: 1))
        try Self.injure(fixture, ParityObject.description(group.id, copy: 0), injury, other: ParityObject.shard(group.id, row: 1))
        try Self.injure(fixture, ParityObject.description(group.id, copy: 1), injury, other: ParityObject.shard(group.id, row: 1))
        let lost = group.members.prefix(group.parityCount - 1).map(\.id)
        let whole = PackObject.key(group.members.last!.id)
        for id in lost { try Self.injure(fixture, PackObject.key(id), injury, other: whole) }
        let result = try fixture.heal(lost)
        #expect(result.failed == [:])
        for id in fixture.packs.keys { #expect(try fixture.state(id) == .whole) }
    }

    /// A group that lies about its members' parity gives nothing back, and spoils nothing.
    @Test func aGroupThatLiesHealsNothingAndHarmsNothing() throws {
        let (fixture, group, _) = try Self.make(31, packs: 6, parity: 5000)
        let victim = group.members[2]
        let open = try fixture.repository.open()
        var forged = group.members
        forged[2].checksums = forged[2].checksums.map { $0 ^ 1 }
        let lie = ParityGroup(
            id: group.id, shardBlocks: group.shardBlocks, shardCount: group.shardCount, members: forged, paritySums: group.paritySums)
        let bytes = SealedRecord.seal(.parity, lie.encoded(), epoch: open.keys.currentEpoch, signer: open.keys.signer)
        for copy in 0..<3 { try fixture.store.put(ParityObject.description(group.id, copy: copy), bytes, .replace) }
        try fixture.store.delete(PackObject.key(victim.id))
        let result = try fixture.heal([victim.id])
        #expect(result.healed.isEmpty && result.failed.count == 1)
        #expect(try fixture.state(victim.id) == .missing, "no block fits its checksum, so none is put")
    }

    @Test func parityIsNotMadeOfPacksThatAreNotWhatTheyAreNamed() throws {
        var random = SeededNumbers(seed: 1)
        let fixture = try ParityFixture()
        try fixture.addPacks([1000, 200_000, 70_000], &random)
        let id = fixture.packs.keys.sorted()[1]
        try fixture.damage(PackObject.key(id)) { $0[5] ^= 1 }
        #expect(throws: ParityEncoding.Unusable.self) { try fixture.makeGroup(parity: 1000) }
        #expect(try fixture.repository.keys(ParityObject.prefix).isEmpty)
    }
}
