import BlobEngine
import RepoBase
import Storage
import Testing

@testable import Repository

/// What a lost old pack takes of newer snapshots.
@Suite struct NarrowDamageTests {
    private static func files(_ changed: [UInt8]) -> [String: [UInt8]] {
        var files: [String: [UInt8]] = [:]
        for number in 0..<300 { files["file \(number)"] = Array("content \(number)".utf8) }
        files["file 7"] = changed
        return files
    }

    /// Trees were deltas of the trees before, so with the pack of the first snapshot's trees the newer root was lost, and all below it.
    @Test func aLostPackOfOldTreesLeavesChangedDirectoriesWhole() throws {
        let repository = try CheckedRepository()
        defer { repository.remove() }
        try repository.snapshot(Self.files([1]))
        let old = try Self.packs(of: .tree, repository)
        let newer = try repository.snapshot(Self.files([2]), second: 2000)
        for pack in old { try repository.store.delete(PackObject.key(pack)) }
        let found = try repository.read(newer)
        #expect(found.count == 300)
        #expect(try found.mapValues { try $0.get() } == Self.files([2]))
    }

    @Test func treesRestOnNothingAndListsOnWholeOnes() throws {
        let repository = try CheckedRepository()
        defer { repository.remove() }
        var content = testBytes(9_000_000, seed: 5)
        for second in 1...4 {
            for place in stride(from: 1000 * second, to: content.count, by: 400_000) { content[place] ^= 1 }
            try repository.snapshot(["long": content], second: Int64(second))
        }
        let view = try repository.open().index()
        let records = view.tables.flatMap { table in (0..<table.count).compactMap { table.record(at: $0) } }
        #expect(records.allSatisfy { $0.type != .tree || $0.encoding != .delta })
        let lists = records.filter { $0.type == .list && $0.encoding == .delta }
        #expect(!lists.isEmpty, "lists of a long file are worth a delta")
        for list in lists {
            for base in 0..<list.bases.count {
                let bases = view.candidates(prefix: list.bases[base]).flatMap { view.locations(of: $0) }
                #expect(bases.allSatisfy { $0.record.encoding != .delta })
            }
        }
    }

    private static func packs(of type: BlobType, _ repository: CheckedRepository) throws -> Set<ObjectID> {
        let view = try repository.open().index()
        return Set(
            view.tables.flatMap { table in
                (0..<table.count).filter { table.record(at: $0)!.type == type }.map {
                    table.packs[table.pack(at: $0)!].id
                }
            })
    }
}
