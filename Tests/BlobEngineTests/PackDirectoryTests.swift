import RepoBase
import Testing

@testable import BlobEngine

@Suite("A directory of a pack")
struct PackDirectoryTests {
    static let ids = (1...3).map { Hash256(bytes: [UInt8](repeating: UInt8($0) * 0x11, count: 32))! }

    /// Version 1, written out from format.md, 5.2, for good.
    static let golden = [
        String(repeating: "11", count: 32), String(repeating: "22", count: 32),
        String(repeating: "33", count: 32),
        "00", "11", "22",  // chunk plain, list zstd, tree delta
        "03", "c801", "05",  // stored: 3, 200, 5
        "03", "d00f", "808001",  // raw: 3, 2000, 16384
        "02", "0102030405060708", "fffefdfcfbfaf9f8",
    ].joined()

    static var blobs: [BlobRecord] {
        var bases = BlobBases()
        bases.append(0x0102_0304_0506_0708)
        bases.append(0xFFFE_FDFC_FBFA_F9F8)
        return [
            BlobRecord(
                id: ids[0], type: .chunk, encoding: .plain, offset: 8, ordinal: 0, storedLength: 3,
                rawLength: 3,
                bases: BlobBases()),
            BlobRecord(
                id: ids[1], type: .list, encoding: .zstd, offset: 27, ordinal: 1, storedLength: 200,
                rawLength: 2000, bases: BlobBases()),
            BlobRecord(
                id: ids[2], type: .tree, encoding: .delta, offset: 243, ordinal: 2, storedLength: 5,
                rawLength: 16384, bases: bases),
        ]
    }
    static let end: UInt64 = 264

    @Test("has the bytes of version 1")
    func bytes() throws {
        #expect(Hexadecimal.encode(PackDirectory.encode(Self.blobs)) == Self.golden)
        let decoded = try PackDirectory.decode(
            Hexadecimal.decode(Self.golden)!, count: 3, end: Self.end, object: "x")
        #expect(decoded == Self.blobs)
    }

    @Test("is refused when its blobs do not fill the pack exactly", arguments: [0, 8, 263, 265, UInt64.max])
    func filled(end: UInt64) {
        expectDamage("end") {
            _ = try PackDirectory.decode(Hexadecimal.decode(Self.golden)!, count: 3, end: end, object: "x")
        }
    }

    @Test(
        "is refused with another count than it has",
        arguments: [-1, 0, 1, 2, 4, 1 << 20, (1 << 20) + 1, .max])
    func counted(count: Int) {
        expectDamage("count") {
            _ = try PackDirectory.decode(
                Hexadecimal.decode(Self.golden)!, count: count, end: Self.end, object: "x")
        }
    }

    static let impossibleColumns = [
        ("type", "00 31 22 03c80105 03d00f808001 01 0102030405060708"),
        ("encoding", "00 13 22 03c80105 03d00f808001 01 0102030405060708"),
        ("two lengths of a plain blob", "00 11 22 03c80105 04d00f808001 01 0102030405060708"),
        ("raw length over 16 MiB", "00 11 22 03c80105 03d00f81808008 01 0102030405060708"),
        ("delta without bases", "00 11 22 03c80105 03d00f808001 00"),
        ("nine bases", "00 11 22 03c80105 03d00f808001 09" + String(repeating: "01", count: 72)),
        ("long varint", "00 11 22 03c80105 8300d00f808001 01 0102030405060708"),
        ("trailing byte", "00 11 22 03c80105 03d00f808001 01 0102030405060708 00"),
    ]

    @Test("with the columns of these tests is accepted when they are possible")
    func possible() throws {
        let hex =
            Self.golden.prefix(192)
            + "00 11 22 03c80105 03d00f808001 01 0102030405060708".replacing(" ", with: "")
        #expect(
            try PackDirectory.decode(Hexadecimal.decode(hex)!, count: 3, end: Self.end, object: "x").count
                == 3)
    }

    @Test("is refused with values that cannot be", arguments: impossibleColumns)
    func impossible(what: String, columns: String) {
        let hex = Self.golden.prefix(192) + columns.replacing(" ", with: "")
        expectDamage(what) {
            _ = try PackDirectory.decode(Hexadecimal.decode(hex)!, count: 3, end: Self.end, object: "x")
        }
    }

    @Test("of any bytes is refused or describes the pack")
    func fuzz() {
        var generator = GeneratedBytes(seed: 3)
        let golden = Hexadecimal.decode(Self.golden)!
        for _ in 0..<20_000 {
            var bytes = golden
            for _ in 0..<Int.random(in: 1...BlobBases.maximumCount, using: &generator) {
                bytes[Int.random(in: 90..<bytes.count, using: &generator)] = UInt8.random(
                    in: 0...255, using: &generator)
            }
            let length = Int.random(in: 90...bytes.count, using: &generator)
            if Bool.random(using: &generator) { bytes.removeLast(bytes.count - length) }
            expectDamageOrSuccess("\(bytes)") {
                let blobs = try PackDirectory.decode(bytes, count: 3, end: Self.end, object: "x")
                var offset: UInt32 = 8
                for blob in blobs {
                    #expect(blob.offset == offset)
                    offset += blob.storedLength + 16
                }
                #expect(UInt64(offset) == Self.end)
            }
        }
    }
}
