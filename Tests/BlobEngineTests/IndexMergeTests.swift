import RepoBase
import Testing

@testable import BlobEngine

@Suite("Merging index segments")
struct IndexMergeTests {
    let folder = TemporaryFolder()

    func source(_ number: UInt64, _ segment: IndexSegment, signer: KeyID = IndexFixture.signer) throws
        -> IndexMerge.Source
    {
        let path = "\(folder.path)/\(number)"
        try IndexTable.write(segment, signer: signer, to: path)
        return IndexMerge.Source(name: Hash256(words: number, 0, 0, 0), table: try IndexTable(path: path))
    }

    struct Entry: Hashable {
        let pack: ObjectID
        let record: BlobRecord
    }

    static func entries(_ segment: IndexSegment) -> Set<Entry> {
        Set(segment.blobs.map { Entry(pack: segment.packs[Int($0.pack)].id, record: $0.record) })
    }

    @Test("keeps every entry of the packs that stay, once, in segments that decode", arguments: 0..<12)
    func keepsEntries(seed: UInt64) throws {
        var generator = GeneratedBytes(seed: 40 + seed)
        let pool = (0..<400).map { _ in generator.hash() }
        var sources: [IndexMerge.Source] = []
        var expected: Set<Entry> = []
        let dropped: Set<ObjectID> = [IndexFixture.pack(3).id, IndexFixture.pack(5).id]
        for number in 0..<UInt64.random(in: 1...9, using: &generator) {
            // Packs and blobs repeat between segments, as after a crash between a merge and the deletion.
            let packs = (0..<3).map { _ in IndexFixture.pack(UInt64.random(in: 1...6, using: &generator)) }
            let ids = (0..<Int.random(in: 0...300, using: &generator)).map { _ in
                pool.randomElement(using: &generator)!
            }
            let segment = IndexFixture.segment(ids, packs: Array(Set(packs)).sorted { $0.id < $1.id })
            expected.formUnion(Self.entries(segment))
            sources.append(try source(number, segment))
        }
        expected = expected.filter { !dropped.contains($0.pack) }
        let merge = IndexMerge(sources: sources, dropping: dropped, present: [], limit: 500) { $1 }
        var merged: Set<Entry> = []
        var replaced: [ObjectID] = []
        for group in merge.groups {
            let segment = try IndexSegment.decodeBody(try merge.segment(for: group).encodeBody(), object: "x")
            #expect(Self.entries(segment).count == segment.blobs.count, "no entry is repeated")
            #expect(segment.blobs.count <= 500)
            #expect(Set(segment.packs.map(\.id)).count == segment.packs.count)
            merged.formUnion(Self.entries(segment))
            replaced += segment.replaces
        }
        #expect(merged == expected)
        #expect(replaced.sorted() == sources.map(\.name).sorted(), "each source is replaced by one segment")
    }

    @Test("fills segments with what stays, not with what is dropped")
    func fullGroups() throws {
        let ids = IndexFixture.distributions[0].make(400)
        var sources: [IndexMerge.Source] = []
        for number in 0..<4 {
            // Half of each is in the pack that goes.
            let packs = [IndexFixture.pack(9), IndexFixture.pack(UInt64(number))]
            let some = Array(ids[number * 100..<number * 100 + 100])
            sources.append(try source(UInt64(number), IndexFixture.segment(some, packs: packs)))
        }
        let merge = IndexMerge(sources: sources, dropping: [IndexFixture.pack(9).id], present: [], limit: 100)
        { $1 }
        #expect(try merge.groups.map { try merge.segment(for: $0).blobs.count } == [100, 100])
    }

    @Test("names what its sources replaced as long as it is in the store")
    func inherited() throws {
        let gone = Hash256(words: 100, 0, 0, 0)
        let there = Hash256(words: 101, 0, 0, 0)
        let ids = IndexFixture.distributions[0].make(10)
        let first = try source(1, IndexFixture.segment(ids, replaces: [gone, there]))
        let second = try source(2, IndexFixture.segment(ids))
        let merge = IndexMerge(
            sources: [first, second], dropping: [], present: [there, first.name, second.name]
        ) { $1 }
        #expect(merge.groups.count == 1)
        let segment = try merge.segment(for: merge.groups[0])
        #expect(segment.replaces == [first.name, second.name, there].sorted())
    }

    @Test("takes over from keys that are not full what they say of their own packs, and as unverified")
    func admission() throws {
        let full = IndexFixture.signer
        let writer = KeyID(bytes: [UInt8](repeating: 0xBB, count: 16))!
        let ids = IndexFixture.distributions[0].make(4)
        let own = IndexFixture.pack(1, signer: writer, isVerified: true)
        let foreign = IndexFixture.pack(2, signer: full, isVerified: true)
        let byWriter = try source(1, IndexFixture.segment(ids, packs: [own, foreign]), signer: writer)
        let merge = IndexMerge(
            sources: [byWriter], dropping: [], present: [],
            admit: IndexMerge.admission(isFull: { $0 == full }))
        let segment = try merge.segment(for: merge.groups[0])
        #expect(segment.packs == [IndexFixture.pack(1, signer: writer, isVerified: false)])
        #expect(segment.blobs.count == 2)
        // What a full key has verified stays so, whoever else tells of the pack.
        let byFull = try source(2, IndexFixture.segment(ids, packs: [own]), signer: full)
        let both = IndexMerge(
            sources: [byWriter, byFull], dropping: [], present: [],
            admit: IndexMerge.admission(isFull: { $0 == full }))
        #expect(try both.segment(for: both.groups[0]).packs == [own])
    }

    @Test("does not put a corrupt table into the repository")
    func corrupt() throws {
        _ = try source(1, IndexFixture.segment(IndexFixture.distributions[0].make(100)))
        var bytes = folder.read("1")
        bytes[bytes.count - 200] ^= 1
        folder.write("2", bytes)
        let corrupt = IndexMerge.Source(
            name: Hash256(words: 2, 0, 0, 0), table: try IndexTable(path: "\(folder.path)/2"))
        let merge = IndexMerge(sources: [corrupt], dropping: [], present: []) { $1 }
        expectDamage("corrupt") { _ = try merge.segment(for: merge.groups[0]) }
    }

    @Test("is worth it for small segments when there are several, and for those with a pack to drop")
    func worth() throws {
        let ids = IndexFixture.distributions[0].make(100)
        let small = try source(1, IndexFixture.segment(Array(ids[..<10])))
        let other = try source(2, IndexFixture.segment(Array(ids[10..<20]), packs: [IndexFixture.pack(9)]))
        let large = try source(3, IndexFixture.segment(ids))
        func names(_ sources: [IndexMerge.Source], _ dropping: Set<ObjectID> = []) -> Set<ObjectID> {
            Set(IndexMerge.worthMerging(sources, dropping: dropping, limit: 100).map(\.name))
        }
        #expect(names([small, large]) == [])
        #expect(names([small, other, large]) == [small.name, other.name])
        #expect(names([large], [IndexFixture.pack(1).id]) == [large.name])
        #expect(names([large, other], [IndexFixture.pack(9).id]) == [other.name])
    }
}
