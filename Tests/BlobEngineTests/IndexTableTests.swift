import RepoBase
import Testing

@testable import BlobEngine

@Suite("An index table")
struct IndexTableTests {
    let folder = TemporaryFolder()

    func table(_ segment: IndexSegment, _ name: String = "table") throws -> IndexTable {
        try IndexTable.write(segment, signer: IndexFixture.signer, to: "\(folder.path)/\(name)")
        return try IndexTable(path: "\(folder.path)/\(name)")
    }

    @Test(
        "finds what a scan of the segment finds, however ids are distributed",
        arguments: IndexFixture.distributions.map(\.name), [0, 1, 2, 7, 8, 15, 16, 17, 33, 127, 129, 1000])
    func lookups(name: String, count: Int) throws {
        let segment = IndexFixture.segment(IndexFixture.distributions.first { $0.name == name }!.make(count))
        let table = try table(segment)
        try table.verify()
        #expect(table.count == count && table.packs == segment.packs && table.signer == IndexFixture.signer)
        for (position, blob) in segment.blobs.enumerated() {
            #expect(table.id(at: position) == blob.record.id)
            #expect(table.record(at: position) == blob.record)
            #expect(table.pack(at: position) == Int(blob.pack))
            #expect(table.storedLength(at: position) == Int(blob.record.storedLength))
        }
        var wanted: Set<BlobID> = [
            Hash256(words: 0, 0, 0, 0), Hash256(words: .max, .max, .max, .max), Hash256(words: 7, 7, 7, 8),
        ]
        for blob in segment.blobs.prefix(200) {
            let id = blob.record.id
            wanted.insert(id)
            // Neighbours, most of which are absent; some share the fingerprint or the prefix.
            wanted.insert(Hash256(words: id.word0, id.word1 &+ 1, id.word2, id.word3))
            wanted.insert(Hash256(words: id.word0, id.word1 &- 1, id.word2, id.word3))
            wanted.insert(Hash256(words: id.word0 &+ 1, id.word1, id.word2, id.word3))
            wanted.insert(Hash256(words: id.word0 &+ (1 << 16), id.word1, id.word2, id.word3))
        }
        for id in wanted {
            let expected = segment.blobs.indices.filter { segment.blobs[$0].record.id == id }
            #expect(Array(table.positions(of: id)) == expected)
            let sharing = segment.blobs.indices.filter { segment.blobs[$0].record.id.prefix == id.prefix }
            #expect(Array(table.positions(ofPrefix: id.prefix)) == sharing)
        }
    }

    @Test("holds deltas that all have as many bases as a delta may have")
    func manyBases() throws {
        var segment = IndexFixture.segment(IndexFixture.distributions[0].make(50))
        for index in segment.blobs.indices {
            segment.blobs[index].record.encoding = .delta
            var bases = BlobBases()
            for base in 0..<BlobBases.maximumCount { bases.append(UInt64(index * 100 + base)) }
            segment.blobs[index].record.bases = bases
        }
        let table = try table(segment)
        for (position, blob) in segment.blobs.enumerated() {
            #expect(table.record(at: position) == blob.record)
        }
    }

    @Test("is the same after its memory was given back")
    func released() throws {
        let segment = IndexFixture.segment(IndexFixture.distributions[0].make(1000))
        let table = try table(segment)
        table.releaseResident()
        for (position, blob) in segment.blobs.enumerated() {
            #expect(table.positions(of: blob.record.id) == position..<position + 1)
            if position % 100 == 0 { table.releaseResident() }
        }
    }

    @Test("takes the place of the one before it, which whoever has it open may go on using")
    func replaced() throws {
        let old = try table(IndexFixture.segment(IndexFixture.distributions[0].make(100)))
        let new = try table(IndexFixture.segment(IndexFixture.distributions[3].make(50)))
        #expect(old.count == 100 && new.count == 50)
        #expect(old.record(at: 99) != nil)
        try old.verify()
    }

    /// Everything that lookups do; must not trap, whatever the columns hold.
    private func use(_ table: IndexTable, _ ids: [BlobID]) {
        for id in ids {
            for position in table.positions(of: id) { #expect(table.id(at: position) == id) }
            for position in table.positions(ofPrefix: id.prefix) { _ = table.record(at: position) }
        }
        for position in 0..<table.count {
            if let pack = table.pack(at: position) { #expect(pack < table.packs.count) }
            if let record = table.record(at: position) { #expect(record.flaw == nil) }
        }
    }

    @Test("with any byte flipped does not open, or stays in bounds and does not verify")
    func flipped() throws {
        let ids = IndexFixture.distributions[0].make(40)
        _ = try table(IndexFixture.segment(ids, replaces: [Hash256(words: 5, 5, 5, 5)]))
        let bytes = folder.read("table")
        let columns = bytes.count - (40 * (32 + 28) + 8 * 30)  // about where they begin
        for position in bytes.indices {
            for flip in [1, 0x80, 0xFF] as [UInt8] {
                var changed = bytes
                changed[position] ^= flip
                folder.write("flipped", changed)
                var table: IndexTable?
                expectDamageOrSuccess("byte \(position)") {
                    table = try IndexTable(path: "\(folder.path)/flipped")
                }
                guard let table else { continue }
                #expect(position >= columns - 400, "byte \(position) belongs to header or packs")
                use(table, ids)
                expectDamage("byte \(position)") { try table.verify() }
            }
        }
    }

    @Test("with columns of noise stays in bounds")
    func noise() throws {
        var generator = GeneratedBytes(seed: 30)
        let ids = IndexFixture.distributions[0].make(300)
        let segment = IndexFixture.segment(ids)
        _ = try table(segment)
        let bytes = folder.read("table")
        var packsPart = ByteWriter()
        segment.writeReplaced(into: &packsPart)
        segment.writePacks(into: &packsPart)
        let start = IndexTableLayout.headerLength + IndexTableLayout.padded(packsPart.count)
        for round in 0..<40 {
            var changed = bytes
            let noise =
                round == 0 ? [UInt8](repeating: 0xFF, count: bytes.count) : generator.noise(bytes.count)
            // Ids stay in half of the rounds, so that lookups get as far as the locators.
            let end = round % 2 == 0 ? bytes.count : start + 4 * 20 + 2 * 300
            for position in start..<end { changed[position] = noise[position] }
            folder.write("noise", changed)
            use(try IndexTable(path: "\(folder.path)/noise"), ids)
        }
        folder.write("zeros", Array(bytes[..<start]) + [UInt8](repeating: 0, count: bytes.count - start))
        use(try IndexTable(path: "\(folder.path)/zeros"), ids + [Hash256(words: 0, 0, 0, 0)])
    }

    @Test("of another length is refused")
    func truncated() throws {
        _ = try table(IndexFixture.segment(IndexFixture.distributions[0].make(20)))
        let bytes = folder.read("table")
        for length in bytes.indices {
            folder.write("short", Array(bytes[..<length]))
            expectDamage("length \(length)") { _ = try IndexTable(path: "\(folder.path)/short") }
        }
        folder.write("long", bytes + [0])
        expectDamage("long") { _ = try IndexTable(path: "\(folder.path)/long") }
        let error = #expect(throws: RepoError.self) { _ = try IndexTable(path: "\(folder.path)/absent") }
        #expect(error?.code == .failed)
    }
}
