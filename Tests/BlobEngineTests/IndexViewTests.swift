import RepoBase
import Testing

@testable import BlobEngine

@Suite("A view of the index")
struct IndexViewTests {
    let folder = TemporaryFolder()

    func table(_ number: UInt64, _ segment: IndexSegment, signer: KeyID = IndexFixture.signer) throws
        -> (name: ObjectID, table: IndexTable)
    {
        let path = "\(folder.path)/\(number)"
        try IndexTable.write(segment, signer: signer, to: path)
        return (Hash256(words: number, 0, 0, 0), try IndexTable(path: path))
    }

    @Test("tells every place of a blob, those in condemned packs last, and rests nothing on these")
    func condemned() throws {
        let id = Hash256(words: 42, 1, 1, 1)
        let packs = (1...3).map { IndexFixture.pack(UInt64($0)) }
        let first = try table(1, IndexFixture.segment([id], packs: [packs[0]]))
        let second = try table(2, IndexFixture.segment([id], packs: [packs[1]]))
        let third = try table(3, IndexFixture.segment([Hash256(words: 43, 1, 1, 1)], packs: [packs[2]]))
        func view(_ condemned: Set<ObjectID>) -> IndexView {
            IndexView(tables: [first, second, third], condemned: condemned) { _, _ in true }
        }
        #expect(view([]).locations(of: id).map(\.pack) == [packs[0], packs[1]])
        #expect(view([packs[0].id]).locations(of: id).map(\.pack) == [packs[1], packs[0]])
        #expect(view([packs[0].id]).containsForDeduplication(id))
        let all = view([packs[0].id, packs[1].id])
        #expect(all.locations(of: id).count == 2 && all.contains(id) && !all.containsForDeduplication(id))
        #expect(
            !all.contains(Hash256(words: 44, 1, 1, 1))
                && all.locations(of: Hash256(words: 44, 1, 1, 1)).isEmpty)
        #expect(all.blobCount == 3)
    }

    @Test("rests new data on what the rule trusts alone")
    func trust() throws {
        let id = Hash256(words: 42, 1, 1, 1)
        let stranger = KeyID(bytes: [UInt8](repeating: 0xBB, count: 16))!
        let theirs = try table(
            1, IndexFixture.segment([id], packs: [IndexFixture.pack(1, signer: stranger)]), signer: stranger)
        let mine = try table(2, IndexFixture.segment([id]))
        let view = IndexView(tables: [theirs], condemned: []) { signer, pack in
            signer == IndexFixture.signer && pack.seal.signer == IndexFixture.signer
        }
        #expect(view.contains(id) && !view.containsForDeduplication(id))
        let both = view.adding(mine.table, named: mine.name)
        #expect(both.containsForDeduplication(id))
        #expect(both.segments == [theirs.name, mine.name])
    }

    @Test("finds the ids of a prefix in all tables once, and at most 64")
    func candidates() throws {
        let ids = (0..<100).map { Hash256(words: 77, UInt64($0), 0, 0) }
        let view = IndexView(
            tables: [
                try table(1, IndexFixture.segment(Array(ids[0..<3]))),
                try table(2, IndexFixture.segment(Array(ids[2..<5]) + [Hash256(words: 78, 0, 0, 0)])),
            ], condemned: []
        ) { _, _ in true }
        #expect(view.candidates(prefix: 77) == Array(ids[0..<5]))
        #expect(view.candidates(prefix: 76).isEmpty)
        let many = try table(3, IndexFixture.segment(ids))
        #expect(view.adding(many.table, named: many.name).candidates(prefix: 77).count == 64)
    }

    @Test("lets entries be marked, each once")
    func bitmap() throws {
        let ids = IndexFixture.distributions[0].make(200)
        let view = IndexView(
            tables: [
                try table(1, IndexFixture.segment(ids)),
                try table(2, IndexFixture.segment(Array(ids[50..<60]))),
            ],
            condemned: []
        ) { _, _ in true }
        var marked = BlobBitmap(view)
        var other = BlobBitmap(view)
        #expect(marked.count == 0)
        for id in ids[40..<70] {
            view.forEachEntry(of: id) { table, position in
                #expect(!marked.contains(table: table, position: position))
                let isNew = marked.insert(table: table, position: position)
                let isNewAgain = marked.insert(table: table, position: position)
                #expect(isNew && !isNewAgain)
                #expect(marked.contains(table: table, position: position))
            }
        }
        #expect(marked.count == 40)
        for id in ids[0..<45] { view.forEachEntry(of: id) { other.insert(table: $0, position: $1) } }
        marked.formUnion(other)
        #expect(marked.count == 80)
        var found: Set<BlobID> = []
        for table in view.tables.indices {
            var last = -1
            marked.forEach(inTable: table) { position in
                #expect(position > last)
                last = position
                found.insert(view.tables[table].id(at: position))
            }
        }
        #expect(found == Set(ids[0..<70]))
    }
}
