import RepoBase
import Testing

@testable import Ingest

@Suite("Archives taken apart as they come")
struct TarParserTests {
    private struct Collected: TarParser.Visitor {
        var members: [TarMember] = []
        var contents: [[UInt8]] = []
        var ended = 0

        mutating func begin(_ member: TarMember) {
            members.append(member)
            contents.append([])
        }
        mutating func content(_ bytes: UnsafeRawBufferPointer) { contents[contents.count - 1] += bytes }
        mutating func end() { ended += 1 }
    }

    private func header(
        _ name: String, type: Character = "0", size: [UInt8] = Array("00000000000\0".utf8), prefix: String = "", link: String = ""
    ) -> [UInt8] {
        var block = [UInt8](repeating: 0, count: 512)
        func put(_ offset: Int, _ bytes: some Sequence<UInt8>) {
            for (place, byte) in bytes.enumerated() { block[offset + place] = byte }
        }
        put(0, name.utf8)
        put(100, "0000600\0".utf8)
        put(108, "0000145\0".utf8)
        put(116, "0000150\0".utf8)
        put(124, size)
        put(136, "14723500000\0".utf8)
        put(156, [type.asciiValue!])
        put(157, link.utf8)
        put(257, "ustar\u{0}00".utf8)
        put(265, "postgres".utf8)
        put(297, "postgres".utf8)
        put(345, prefix.utf8)
        put(148, "        ".utf8)
        let sum = block.reduce(0) { $0 + Int($1) }
        let digits = String(sum, radix: 8)
        put(148, (String(repeating: "0", count: 6 - digits.count) + digits + "\0 ").utf8)
        return block
    }

    private func octal(_ size: Int) -> [UInt8] {
        let digits = String(size, radix: 8)
        return Array((String(repeating: "0", count: 11 - digits.count) + digits + "\0").utf8)
    }

    private func file(_ name: String, _ content: [UInt8], prefix: String = "") -> [UInt8] {
        header(name, size: octal(content.count), prefix: prefix) + content
            + [UInt8](repeating: 0, count: (512 - content.count % 512) % 512)
    }

    private func parse(_ archive: [UInt8], step: Int) throws -> Collected {
        var parser = TarParser()
        var collected = Collected()
        for start in stride(from: 0, to: archive.count, by: step) {
            let piece = Array(archive[start..<min(start + step, archive.count)])
            try piece.withUnsafeBytes { try parser.take($0, &collected) }
        }
        try parser.finish()
        return collected
    }

    @Test(arguments: [1, 7, 511, 512, 513, 4096])
    func piecesOfAnyLengthGiveTheSame(_ step: Int) throws {
        let content = (0..<1300).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        let archive =
            file("backup_label", Array("x".utf8)) + header("base/", type: "5") + file("base/1", content) + file("empty", [])
            + header("link", type: "2", link: "/elsewhere") + file("512", Array(content.prefix(512))) + [UInt8](repeating: 0, count: 1024)
        let found = try parse(archive, step: step)
        #expect(found.members.map { String(decoding: $0.name, as: UTF8.self) } == ["backup_label", "base", "base/1", "empty", "link", "512"])
        #expect(found.contents == [Array("x".utf8), [], content, [], [], Array(content.prefix(512))])
        #expect(found.members[1].kind == .directory && found.members[4].kind == .symbolicLink(target: Array("/elsewhere".utf8)))
        #expect(found.ended == 6)
        let member = found.members[0]
        #expect((member.permissions, member.userID, member.groupID) == (0o600, 0o145, 0o150))
        #expect(member.userName == Array("postgres".utf8) && member.modified == 0o14723500000)
    }

    @Test func longNamesAndLargeNumbersAreRead() throws {
        let long = String(repeating: "d/", count: 120) + "file"
        let archive = header("././@LongLink", type: "L", size: octal(long.utf8.count + 1)) + Array(long.utf8) + [0]
        let padded = archive + [UInt8](repeating: 0, count: (512 - archive.count % 512) % 512) + file("short", [1, 2])
        #expect(try parse(padded, step: 100).members.map(\.name) == [Array(long.utf8)])
        #expect(try parse(file("name", [1], prefix: "some/where"), step: 512).members[0].name == Array("some/where/name".utf8))
        // 12 GiB in base 256, as PostgreSQL writes sizes of 8 GiB and more.
        let size: [UInt8] = [0x80, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0]
        let header = try header("big", size: size).withUnsafeBytes { try TarHeader($0) }
        #expect(header?.member.size == 12 << 30)
    }

    @Test func whatIsNoArchiveIsRefused() throws {
        var broken = file("a", [1])
        broken[0] ^= 1
        #expect(throws: RepoError.self) { try parse(broken, step: 512) }
        #expect(throws: RepoError.self) { try parse(Array(file("a", [1, 2, 3]).dropLast(512)), step: 512) }
        #expect(throws: RepoError.self) { try parse(Array(header("a").dropLast()), step: 512) }
        #expect(throws: RepoError.self) { try parse(header("a", type: "7"), step: 512) }
        #expect(throws: RepoError.self) { try parse(header("a", size: Array("0000000008z\0".utf8)), step: 512) }
    }

    @Test func entriesComeOutInTheOrderOfTheTree() throws {
        var table = BackupTable()
        let names = ["base/5", "base.old", "base", "a", "base/5/1", "base-x", "base/10"]
        for name in names {
            let header = try header(name, type: "5").withUnsafeBytes { try TarHeader($0) }
            _ = table.add(try #require(header).member, path: Array(name.utf8))
        }
        try table.sort()
        let sorted = table.entries.map { String(decoding: table.path($0), as: UTF8.self) }
        #expect(sorted == ["a", "base", "base/10", "base/5", "base/5/1", "base-x", "base.old"])
        for name in names { #expect(table.find(Array(name.utf8)).map { sorted[$0] } == name) }
        #expect(table.find(Array("base/6".utf8)) == nil && table.find([]) == nil)
        let header = try header("a", type: "5").withUnsafeBytes { try TarHeader($0) }
        _ = table.add(try #require(header).member, path: Array("a".utf8))
        #expect(throws: RepoError.self) { try table.sort() }
    }
}
