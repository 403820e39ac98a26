import RepoBase
import Testing

@testable import BlobEngine

@Suite("An index segment")
struct IndexSegmentTests {
    let fixture = PackFixture()

    static let small: IndexSegment = {
        var generator = GeneratedBytes(seed: 20)
        return IndexFixture.segment(
            (0..<12).map { _ in generator.hash() }, replaces: [Hash256(words: 9, 9, 9, 9)])
    }()

    func decode(_ bytes: [UInt8]) throws(RepoError) -> IndexSegment {
        try IndexSegment.decode(
            bytes, object: "index/x", keys: fixture.keys, verifyingKey: fixture.verifyingKey
        )
        .segment
    }

    static func areEqual(_ a: IndexSegment, _ b: IndexSegment) -> Bool {
        a.replaces == b.replaces && a.packs == b.packs && a.blobs.elementsEqual(b.blobs) { $0 == $1 }
    }

    @Test("is read as it was written", arguments: IndexFixture.distributions.map(\.name))
    func roundTrip(name: String) throws {
        let ids = IndexFixture.distributions.first { $0.name == name }!.make(500)
        let segment = IndexFixture.segment(
            ids, replaces: [Hash256(words: 1, 1, 1, 1), Hash256(words: 2, 1, 1, 1)])
        let bytes = segment.encode(epoch: fixture.keys, signer: fixture.signer)
        let decoded = try IndexSegment.decode(
            bytes, object: "x", keys: fixture.keys, verifyingKey: fixture.verifyingKey)
        #expect(Self.areEqual(decoded.segment, segment))
        #expect(decoded.signer == fixture.signer.id)
    }

    @Test("may be empty")
    func empty() throws {
        let bytes = IndexSegment(replaces: [], packs: [], blobs: []).encode(
            epoch: fixture.keys, signer: fixture.signer)
        #expect(try decode(bytes).blobs.isEmpty)
    }

    /// Version 1, written out from format.md, 6, for good.
    @Test("has a body with the bytes of version 1")
    func golden() throws {
        let envelope = String(repeating: "ee", count: 80)
        let signer = String(repeating: "aa", count: 16)
        let hex = [
            "01", String(repeating: "99", count: 32),
            "02",
            String(repeating: "a1", count: 32), "80808008", "01000000", envelope, signer, "01",
            String(repeating: "a2", count: 32), "e807", "02000000", envelope, signer, "00",
            "02",
            String(repeating: "11", count: 32), String(repeating: "22", count: 32),
            "01", "00",
            "20", "12",
            "08", "8002",
            "00", "ac02",
            "07", "10",
            "07", "a08d06",
            "01", "0102030405060708",
        ].joined()
        var bases = BlobBases()
        bases.append(0x0102_0304_0506_0708)
        func hash(_ byte: UInt8) -> Hash256 { Hash256(bytes: [UInt8](repeating: byte, count: 32))! }
        func seal(_ epoch: UInt32) -> PackSeal {
            PackSeal(epoch: epoch, envelope: [UInt8](repeating: 0xEE, count: 80), signer: IndexFixture.signer)
        }
        let segment = IndexSegment(
            replaces: [hash(0x99)],
            packs: [
                PackRecord(id: hash(0xA1), size: 16 << 20, seal: seal(1), isVerified: true),
                PackRecord(id: hash(0xA2), size: 1000, seal: seal(2), isVerified: false),
            ],
            blobs: [
                (
                    1,
                    BlobRecord(
                        id: hash(0x11), type: .tree, encoding: .plain, offset: 8, ordinal: 0, storedLength: 7,
                        rawLength: 7, bases: BlobBases())
                ),
                (
                    0,
                    BlobRecord(
                        id: hash(0x22), type: .list, encoding: .delta, offset: 256, ordinal: 300,
                        storedLength: 16,
                        rawLength: 100_000, bases: bases)
                ),
            ])
        #expect(Hexadecimal.encode(segment.encodeBody()) == hex)
        let decoded = try IndexSegment.decodeBody(Hexadecimal.decode(hex)!, object: "x")
        #expect(Self.areEqual(decoded, segment))
    }

    @Test("is refused with any byte flipped, and cut off anywhere")
    func flippedAndTruncated() throws {
        let bytes = Self.small.encode(epoch: fixture.keys, signer: fixture.signer)
        for position in bytes.indices {
            var flipped = bytes
            flipped[position] ^= 1 << UInt8(position & 7)
            expectDamage("byte \(position)") { _ = try decode(flipped) }
        }
        for length in bytes.indices {
            expectDamage("length \(length)") { _ = try decode(Array(bytes[..<length])) }
        }
        expectDamage("one byte more") { _ = try decode(bytes + [0]) }
        expectDamage("another repository") {
            let other = PackFixture()
            _ = try IndexSegment.decode(
                bytes, object: "x", keys: other.keys, verifyingKey: fixture.verifyingKey)
        }
        expectDamage("another signer") {
            let other = SigningKey.generate()
            _ = try IndexSegment.decode(
                bytes, object: "x", keys: fixture.keys, verifyingKey: { _ in other.publicKey })
        }
    }

    /// A key of the repository may be in the wrong hands, so that what is signed is hostile too.
    @Test("with a signed body of any bytes is refused or within its bounds")
    func hostileBody() {
        var generator = GeneratedBytes(seed: 21)
        let body = Self.small.encodeBody()
        func check(_ bytes: [UInt8], _ what: String) {
            expectDamageOrSuccess(what) {
                let segment = try IndexSegment.decodeBody(bytes, object: "x")
                for (index, (pack, record)) in segment.blobs.enumerated() {
                    #expect(Int(pack) < segment.packs.count)
                    #expect(
                        UInt64(record.offset) + UInt64(record.storedLength) + 16
                            <= segment.packs[Int(pack)].size)
                    #expect(record.rawLength <= 16 << 20)
                    #expect(index == 0 || segment.blobs[index - 1].record.id <= record.id)
                }
                // What decodes can be looked up in.
                _ = IndexTable.encode(segment, signer: IndexFixture.signer)
            }
        }
        for position in body.indices {
            for value in [0, 1, 0x7F, 0x80, 0xFF, body[position] ^ 1] as [UInt8] {
                var bytes = body
                bytes[position] = value
                check(bytes, "byte \(position) = \(value)")
            }
        }
        for length in body.indices {
            expectDamage("length \(length)") {
                _ = try IndexSegment.decodeBody(Array(body[..<length]), object: "x")
            }
        }
        for _ in 0..<3000 {
            check(generator.noise(Int.random(in: 0...600, using: &generator)), "noise")
        }
    }

    @Test(
        "is refused when its blobs are in no pack, out of order, beyond their pack, or before its first byte")
    func impossible() {
        let ids = [Hash256(words: 1, 0, 0, 0), Hash256(words: 2, 0, 0, 0)]
        func expectRefused(_ what: String, _ change: (inout IndexSegment) -> Void) {
            var segment = IndexFixture.segment(ids, packs: [IndexFixture.pack(1)])
            change(&segment)
            expectDamage(what) { _ = try IndexSegment.decodeBody(segment.encodeBody(), object: "x") }
        }
        expectRefused("no pack") { $0.packs = [] }
        expectRefused("no such pack") { $0.blobs[0].pack = 1 }
        expectRefused("order") { $0.blobs.reverse() }
        expectRefused("beyond") { $0.blobs[0].record.offset = 100 << 20 }
        expectRefused("magic") { $0.blobs[0].record.offset = 7 }
        expectRefused("trailer") {
            $0.packs[0] = PackRecord(
                id: $0.packs[0].id, size: 1000 + 8 + 1 + 16 + 195, seal: $0.packs[0].seal, isVerified: false)
        }
        expectRefused("ordinal") { $0.blobs[0].record.ordinal = 1 << 20 }
        expectRefused("raw length") { $0.blobs[0].record.rawLength = 16 << 20 + 1 }
        expectRefused("plain") {
            $0.blobs[0].record.encoding = .plain
            $0.blobs[0].record.storedLength = 3
        }
        expectRefused("large pack") {
            $0.packs[0] = PackRecord(
                id: $0.packs[0].id, size: 256 << 20 + 1, seal: $0.packs[0].seal, isVerified: false)
        }
    }
}
