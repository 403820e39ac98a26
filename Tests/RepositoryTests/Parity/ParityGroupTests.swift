import BlobEngine
import RepoBase
import Testing

@testable import Repository

@Suite struct ParityGroupTests {
    private static func group() -> ParityGroup {
        func member(_ number: UInt64, _ size: UInt64, _ shard: Int, _ first: Int) -> ParityGroup.Member {
            ParityGroup.Member(
                id: ObjectID(words: number, 2, 3, 4), size: size, shard: shard, firstBlock: first,
                checksums: (0..<ParityGroup.blockCount(size)).map { UInt32($0) })
        }
        return ParityGroup(
            id: [UInt8](1...16), shardBlocks: 3, shardCount: 2, members: [member(1, 65_536, 0, 0), member(2, 65_537, 0, 1), member(3, 1, 1, 2)],
            paritySums: [[1, 2, 3], [4, 5, 6]])
    }

    private static func decodes(_ change: (ParityGroup) -> ParityGroup) -> Bool {
        (try? ParityGroup(change(group()).encoded(), object: "group")) != nil
    }

    @Test func aDescriptionReadsBack() throws {
        #expect(try ParityGroup(Self.group().encoded(), object: "group") == Self.group())
    }

    /// Version 1 for good: format.md, 13.2.
    @Test func theBytesOfADescriptionStay() {
        let text = Hexadecimal.encode(Self.group().encoded())
        let fields = ["01100102030405060708090a0b0c0d0e0f10", "0203808004", "030103", "040102", "05290000000000000001"]
        let rows = ["060c010000000200000003000000", "060c040000000500000006000000"]
        #expect(text.hasPrefix(fields.joined()))
        #expect(text.hasSuffix(rows.joined()))
    }

    @Test func contradictionsAreRefused() {
        #expect(Self.decodes { $0 })
        func with(_ members: [ParityGroup.Member], _ group: ParityGroup) -> ParityGroup {
            ParityGroup(id: group.id, shardBlocks: 3, shardCount: 2, members: members, paritySums: group.paritySums)
        }
        #expect(!Self.decodes { with($0.members.reversed(), $0) }, "out of order")
        #expect(!Self.decodes { with([$0.members[0], $0.members[0]], $0) }, "overlapping")
        #expect(!Self.decodes { with([], $0) }, "empty")
        #expect(
            !Self.decodes {
                let old = $0.members[2]
                return with([ParityGroup.Member(id: old.id, size: old.size, shard: 2, firstBlock: 0, checksums: old.checksums)], $0)
            }, "beyond the last shard")
        #expect(
            !Self.decodes {
                let old = $0.members[2]
                return with([ParityGroup.Member(id: old.id, size: 65_537, shard: 1, firstBlock: 2, checksums: [1, 2])], $0)
            }, "past the end of its shard")
        #expect(!Self.decodes { ParityGroup(id: $0.id, shardBlocks: 3, shardCount: 2, members: $0.members, paritySums: []) }, "without rows")
        #expect(!Self.decodes { ParityGroup(id: $0.id, shardBlocks: 3, shardCount: 2, members: $0.members, paritySums: [[1, 2]]) }, "short row")
    }

    @Test func noPrefixOfADescriptionReads() {
        let bytes = Self.group().encoded()
        for count in 0..<bytes.count {
            let group = try? ParityGroup(Array(bytes.prefix(count)), object: "group")
            // Cut behind the first row, it is a group of one row.
            #expect(group == nil || group?.parityCount == 1)
        }
    }
}
