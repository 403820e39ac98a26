import Foundation
import Testing

/// `repo parity`, and what the other commands do for it and with it.
@Suite("The program with parity")
struct ParityProgramTests {
    private static func packs(_ folder: ProgramFolder) -> [String] { FileTree.files("\(folder.repository)/packs") }

    private static func size(_ path: String) throws -> Int { try FileTree.read(path).count }

    /// A number of an object that was printed for people to look at.
    private static func number(_ outcome: ProgramUnderTest.Outcome, _ field: String) -> UInt64? {
        guard let name = outcome.text.range(of: "\"\(field)\" : ") else { return nil }
        return UInt64(outcome.text[name.upperBound...].prefix { $0.isNumber })
    }

    /// A pack of data of 16 MiB and more, one of 4, and small ones.
    private static func make(share: String = "10%") throws -> (folder: ProgramFolder, id: String, stream: [UInt8]) {
        let folder = try ProgramFolder()
        var random = SeededNumbers(seed: 11)
        let stream = random.bytes(20 << 20)
        let id = try folder.snapshot("stream", stream)
        let set = try folder.program.run("parity", "set", share)
        try #require(set.status == 0, "\(set)")
        return (folder, id, stream)
    }

    @Test("A lost pack is foretold to come back, comes back, and all is clean")
    func wholeWay() throws {
        let (folder, id, stream) = try Self.make()
        let status = try folder.program.run("parity", "status", "--json")
        #expect(status.status == 0)
        #expect(Self.number(status, "packs_uncovered") == 0)
        #expect(Self.number(status, "packs_covered") == UInt64(Self.packs(folder).count))
        let stats = try folder.program.run("stats", "--json")
        #expect(try #require(Self.number(stats, "parity_bytes")) > 16 << 20)

        let victim = try #require(try Self.packs(folder).first { try Self.size($0) >= 16 << 20 })
        let whole = try FileTree.read(victim)
        unlink(victim)
        let checked = try folder.program.run("check")
        #expect(checked.status == 12)
        #expect(checked.errors.contains("parity can make the damaged pack whole: run 'repo repair packs'"), "\(checked.errors)")
        let listed = try folder.program.run("check", "--json")
        #expect(listed.text.contains("\"healable\""))
        let repaired = try folder.program.run("repair", "packs")
        #expect(repaired.status == 0 && repaired.text.contains("1 pack made whole, 0 taken out"), "\(repaired) \(repaired.text)")
        #expect(try FileTree.read(victim) == whole)
        try folder.expectClean()
        try folder.expect(id, "stream", stream)
    }

    @Test("Damage beyond parity is said, what can be healed is, and the rest is salvaged")
    func beyond() throws {
        let (folder, _, _) = try Self.make()
        let large = try Self.packs(folder).sorted { try Self.size($0) > Self.size($1) }.prefix(2)
        for pack in large {
            var bytes = try FileTree.read(pack)
            bytes[100] ^= 1
            // Of one of them another sector too, where the other is whole.
            if pack == large[0] { bytes[9 << 20] ^= 1 }
            try FileTree.write(pack, bytes)
        }
        let checked = try folder.program.run("check", "--read-data")
        #expect(checked.status == 12)
        #expect(checked.errors.contains("parity can make 0 of 2 damaged packs whole; the damage exceeds what it protects against"), "\(checked.errors)")
        let repaired = try folder.program.run("repair", "packs")
        #expect(repaired.status == 0)
        #expect(repaired.errors.contains("2 blocks are lost that share parity, which brings back 1 of them"), "\(repaired)")
        #expect(repaired.text.contains("2 taken out"))
    }

    @Test("Snapshots, forget and prune keep parity up")
    func upkeep() throws {
        let (folder, first, _) = try Self.make()
        var random = SeededNumbers(seed: 12)
        let later = random.bytes(3 << 20)
        let id = try folder.snapshot("stream", later)
        #expect(try Self.number(folder.program.run("parity", "status", "--json"), "packs_uncovered") == 0)
        let forgotten = try folder.program.run("forget", first, "--prune")
        #expect(forgotten.status == 0, "\(forgotten)")
        let status = try folder.program.run("parity", "status", "--json")
        #expect(Self.number(status, "packs_uncovered") == 0)
        #expect(Self.number(status, "packs_covered") == UInt64(Self.packs(folder).count))
        // One row of the longest pack that is left, and descriptions.
        #expect(try #require(Self.number(status, "parity_bytes")) < 4 << 20)
        for pack in Self.packs(folder) {
            unlink(pack)
            let repaired = try folder.program.run("repair", "packs", "--json")
            #expect(repaired.status == 0 && repaired.text.contains("\"lost_blobs\":0"), "\(repaired) \(repaired.text)")
        }
        try folder.expectClean()
        try folder.expect(id, "stream", later)
    }

    @Test("Damaged parity is named with what helps, and made anew")
    func damagedParity() throws {
        let (folder, _, _) = try Self.make()
        let row = try #require(FileTree.files("\(folder.repository)/parity").first { $0.hasSuffix("/00000") })
        var bytes = try FileTree.read(row)
        bytes[1 << 20] ^= 1
        try FileTree.write(row, bytes)
        #expect(try folder.program.run("check").status == 0, "without data only what is there is looked at")
        let checked = try folder.program.run("check", "--read-data")
        #expect(checked.status == 12)
        #expect(checked.text.contains("00000: 1 of its blocks are not what was stored, the first at byte 1048576"), "\(checked.text)")
        #expect(checked.errors.contains("repo parity update --read-data"))
        #expect(try folder.program.run("parity", "update", "--read-data").status == 0)
        try folder.expectClean()
        unlink(FileTree.files("\(folder.repository)/parity").first { $0.hasSuffix("/00000") }!)
        #expect(try folder.program.run("parity", "status").status == 12)
        #expect(try folder.program.run("parity", "update").status == 0)
        try folder.expectClean()
    }

    @Test("Shares are checked, and parity is switched off")
    func usage() throws {
        let folder = try ProgramFolder()
        for share in ["10", "0%", "150%", "x%"] { #expect(try folder.program.run("parity", "set", share).status == 2, "\(share)") }
        #expect(try folder.program.run("parity", "update").status == 2)
        #expect(try folder.program.run("parity", "status").text == "no parity is kept; 'repo parity set 10%' begins")
        try folder.snapshot("stream", [1, 2, 3])
        #expect(try folder.program.run("parity", "set", "2.5%").status == 0)
        #expect(!FileTree.files("\(folder.repository)/parity").isEmpty)
        #expect(try folder.program.run("parity", "off").status == 0)
        #expect(FileTree.files("\(folder.repository)/parity").isEmpty)
        try folder.expectClean()
    }

    @Test("A writer key covers what it stores, and changes nothing else")
    func writerKey() throws {
        let (folder, _, _) = try Self.make()
        let made = try folder.program.run("key", "add", "--writer", "--out", "\(folder.path)/writer.key")
        try #require(made.status == 0)
        let writer = try folder.program.with(["REPO_KEY_FILE": "\(folder.path)/writer.key", "REPO_CACHE_DIR": "\(folder.path)/writer-cache"])
        let stored = try writer.run(["snapshot", "stdin", "--name", "other", "--quiet"], input: [UInt8](repeating: 7, count: 500_000))
        #expect(stored.status == 0 && stored.errors.isEmpty, "\(stored)")
        #expect(try writer.run("parity", "set", "20%").status == 15)
        #expect(try writer.run("parity", "off").status == 15)
        #expect(try folder.program.run("prune").status == 0)
        #expect(try Self.number(folder.program.run("parity", "status", "--json"), "packs_uncovered") == 0)
        try folder.expectClean()
    }
}
