import BlobEngine
import RepoBase
import Storage
import Testing

@testable import Repository

/// What the check of the structure says of indexes that are made up: a snapshot leads to files of one chunk each, and rows of the index say what
/// these chunks are. Chunk `n` has the prefix `n`.
@Suite("Check of the structure") struct StructureCheckTests {
    struct Row: Sendable {
        var number: UInt64
        var type = BlobType.chunk
        var bases: [UInt64] = []
    }

    struct Case: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var rows: [Row]
        /// What the snapshot leads to.
        var needed: [UInt64]
        var hasProblems: Bool
        /// Of those that are needed, how many are there.
        var found: UInt64
    }

    /// Chunks from 1 on, each of which rests on the next; the last on nothing.
    private static func chain(_ links: UInt64) -> [Row] {
        (1...links).map { Row(number: $0, bases: [$0 + 1]) } + [Row(number: links + 1)]
    }

    static let cases = [
        Case(testDescription: "chunks that rest on nothing", rows: (1...3).map { Row(number: $0) }, needed: [1, 2, 3, 2], hasProblems: false, found: 3),
        Case(testDescription: "a chunk that no row names", rows: [Row(number: 1)], needed: [1, 2], hasProblems: true, found: 1),
        Case(testDescription: "a chunk that is a tree in the index", rows: [Row(number: 1, type: .tree)], needed: [1], hasProblems: true, found: 1),
        Case(testDescription: "a delta with its bases", rows: [Row(number: 1, bases: [2, 3]), Row(number: 2), Row(number: 3)], needed: [1], hasProblems: false, found: 1),
        Case(testDescription: "a delta without one of them", rows: [Row(number: 1, bases: [2, 3]), Row(number: 2)], needed: [1], hasProblems: true, found: 1),
        Case(testDescription: "a base that lacks its own", rows: [Row(number: 1, bases: [2]), Row(number: 2, bases: [9])], needed: [1], hasProblems: true, found: 1),
        Case(testDescription: "the longest chain", rows: chain(15), needed: [1], hasProblems: false, found: 1),
        Case(testDescription: "the longest chain, every link needed", rows: chain(15), needed: Array(1...16), hasProblems: false, found: 16),
        Case(testDescription: "a chain that readers refuse", rows: chain(16), needed: [1], hasProblems: true, found: 1),
        Case(testDescription: "such a chain, every link needed", rows: chain(16), needed: Array(1...17), hasProblems: true, found: 17),
        Case(testDescription: "deltas that rest on each other", rows: [Row(number: 1, bases: [2]), Row(number: 2, bases: [1])], needed: [1], hasProblems: true, found: 1),
        Case(testDescription: "damage in what nobody needs", rows: [Row(number: 1), Row(number: 2, bases: [9])], needed: [1], hasProblems: false, found: 1),
    ]

    @Test("the structure is told whole or damaged, whatever the index says", arguments: cases) func structure(_ test: Case) throws {
        let made = try CheckedRepository()
        defer { made.remove() }
        let repository = try made.open()
        try Self.store(test.rows, in: repository)
        let root = try Self.snapshot(test.needed, in: repository)
        let numbering = PackNumbering(try repository.reloadIndex())
        var check = StructureCheck(repository, numbering, CheckProgress())
        try check.run([root, root])
        #expect(check.hasProblems == test.hasProblems)
        #expect(check.blobs == test.found + 1, "and the tree")
        let packs = check.neededPacks()
        #expect(packs.count == numbering.packs.count && packs.allSatisfy { $0 })
    }

    private static func id(_ number: UInt64) -> BlobID { BlobID(words: number, 0, 0, 0) }

    /// One segment with one pack that does not exist.
    private static func store(_ rows: [Row], in repository: OpenRepository) throws {
        _ = try repository.index()
        let keys = repository.keys
        var blobs: [BlobRecord] = []
        var offset: UInt32 = 8
        for (ordinal, row) in rows.enumerated() {
            var bases = BlobBases()
            for base in row.bases { bases.append(id(base).prefix) }
            blobs.append(
                BlobRecord(
                    id: id(row.number), type: row.type, encoding: row.bases.isEmpty ? .zstd : .delta, offset: offset, ordinal: UInt32(ordinal),
                    storedLength: 100, rawLength: 200, bases: bases))
            offset += 116
        }
        let seal = PackSeal(
            epoch: keys.currentEpoch.epoch, envelope: [UInt8](repeating: 0, count: PackSeal.envelopeLength), signer: keys.signer.id)
        let pack = PackRecord(id: BlobID(words: 1, 1, 1, 1), size: 1 << 20, seal: seal, isVerified: false)
        try IndexSegmentStore.store(packs: [(pack, blobs)], replacing: [], in: repository)
    }

    private static func snapshot(_ needed: [UInt64], in repository: OpenRepository) throws -> SnapshotCatalog.Entry {
        let time = FileTime(seconds: 1, nanoseconds: 0)
        func metadata(_ type: FileType) -> FileMetadata {
            FileMetadata(
                type: type, permissions: 0o700, userID: 1, groupID: 1, size: 200, linkCount: 1, device: 1, inode: 1, modificationTime: time,
                changeTime: time)
        }
        let writer = try SnapshotWriter(repository)
        try writer.enterDirectory([], metadata(.directory))
        for (place, number) in needed.enumerated() {
            let name = [UInt8(ascii: "a") + UInt8(place / 10), UInt8(ascii: "0") + UInt8(place % 10)]
            try writer.add(TreeEntry(name: name, metadata: metadata(.regular), payload: .file(.chunk(id(number)))))
        }
        try writer.leaveDirectory()
        let stored = try writer.commit { root, _ in Snapshot(time: time, source: "made up", kind: "files", root: root) }
        return SnapshotCatalog.Entry(id: stored.id, snapshot: stored.snapshot)
    }
}
