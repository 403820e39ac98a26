import RepoBase
import Testing

@Suite struct CodecTests {
    @Test(arguments: [0, 1, 0x7F, 0x80, 0x3FFF, 0x4000, UInt64(UInt32.max), UInt64.max - 1, .max])
    func varintsSurvive(value: UInt64) throws {
        var writer = ByteWriter()
        writer.varint(value)
        var reader = ByteReader(writer.bytes, object: "test")
        #expect(try reader.varint() == value)
        #expect(reader.isAtEnd)
    }

    @Test(arguments: [Int64.min, -1, 0, 1, .max])
    func signedNumbersSurvive(value: Int64) throws {
        var writer = ByteWriter()
        writer.zigzag(value)
        var reader = ByteReader(writer.bytes, object: "test")
        #expect(try reader.zigzag() == value)
    }

    @Test(arguments: [
        [0x80, 0x00], [0xFF, 0x80, 0x00],  // longer than they need be
        [0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x02],  // beyond 64 bits
        [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01], [0x80], [],
    ] as [[UInt8]])
    func malformedVarintsAreDamage(bytes: [UInt8]) {
        var reader = ByteReader(bytes, object: "test")
        #expect(throws: RepoError.self) { try reader.varint() }
    }

    /// Found by fuzzing: an index segment with blobs and no packs asked for a number of at most −1.
    @Test func aNumberBoundedByAnEmptyListIsDamage() {
        var reader = ByteReader([0], object: "test")
        #expect(throws: RepoError.self) { try reader.varint(atMost: -1, "a pack's number") }
    }

    @Test func aCountLargerThanWhatFollowsIsRefusedBeforeAnythingIsAllocated() {
        var writer = ByteWriter()
        writer.varint(UInt64(1) << 60)
        var reader = ByteReader(writer.bytes + [0, 0, 0], object: "test")
        #expect(throws: RepoError.self) { try reader.count(ofAtLeast: 1) }
    }

    @Test func unknownFieldsAreSkippedUnlessTheyAreCritical() throws {
        var writer = ByteWriter()
        writer.field(1) { $0.varint(UInt64(7)) }
        writer.field(99) { $0.text("later") }
        var seen: [UInt64] = []
        var reader = ByteReader(writer.bytes, object: "test")
        try reader.fields { (tag, field) throws(RepoError) -> Bool in
            seen.append(tag)
            guard tag == 1 else { return false }
            _ = try field.varint()
            return true
        }
        #expect(seen == [1, 99])
        var critical = ByteWriter()
        critical.field(15) { $0.u8(1) }
        var other = ByteReader(critical.bytes, object: "test")
        #expect(throws: RepoError.self) {
            try other.fields { (_, _) throws(RepoError) -> Bool in false }
        }
    }

    @Test func hexadecimalHasOneSpelling() {
        let id = Hash256(words: 0x0123_4567_89AB_CDEF, 1, 2, 3)
        #expect(Hash256("\(id)") == id)
        #expect(Hash256("\(id)".uppercased()) == nil)
        #expect(Hash256(String("\(id)".dropLast())) == nil)
    }

    @Test func idsOrderAsTheirBytesDo() {
        let ids = (0..<200).map { _ in Hash256(words: .random(in: 0...3), .random(in: 0...3), 0, .random(in: 0 ... .max)) }
        let sorted = ids.sorted()
        #expect(sorted.map(\.bytes) == ids.map(\.bytes).sorted { $0.lexicographicallyPrecedes($1) })
    }
}
