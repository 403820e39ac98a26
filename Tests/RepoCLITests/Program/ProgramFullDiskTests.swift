import Glibc
import Testing

/// The program on a real file system that fills up.
@Suite("The program on a full disk")
struct ProgramFullDiskTests {
    private static func onSmallDisk(_ body: (SmallDisk, ProgramFolder) throws -> Void) throws {
        var template = Array("/tmp/small-disk-XXXXXX".utf8CString)
        try #require(mkdtemp(&template) != nil)
        let place = template.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
        defer { FileTree.remove(place) }
        guard let disk = SmallDisk("\(place)/disk", mebibytes: 160) else {
            print("skipped: no file system may be mounted here (\(String(cString: strerror(errno))))")
            return
        }
        defer { disk.unmount() }
        try body(disk, try ProgramFolder(repository: "\(disk.path)/repository"))
    }

    /// The one time that people most need to delete something.
    @Test("With no byte free, forget and prune work and make room", arguments: [true, false])
    func freesFromNothing(hasReserve: Bool) throws {
        try Self.onSmallDisk { disk, folder in
            var random = SeededNumbers(seed: 12)
            let gone = try folder.snapshot("a", random.bytes(30 << 20))
            let bytes = random.bytes(4 << 20)
            let kept = try folder.snapshot("b", bytes)
            if !hasReserve { unlink("\(folder.repository)/reserve") }
            try disk.fill(leaving: 0)
            let refused = try folder.program.run(["snapshot", "stdin", "--name", "c"], input: random.bytes(1 << 20))
            #expect(refused.status == 1, "\(refused)")
            let forgotten = try folder.program.run("forget", gone)
            #expect(forgotten.status == 0, "\(forgotten)")
            if !hasReserve {
                let refused = try folder.program.run("prune")
                #expect(refused.status == 1 && refused.errors.contains("space"), "\(refused)")
                try disk.fill(leaving: 200 << 10)
            }
            let pruned = try folder.program.run("prune", "--json")
            #expect(pruned.status == 0, "\(pruned)")
            #expect(pruned.number("bytes_freed") ?? 0 > 30 << 20)
            #expect(FileTree.names("\(folder.repository)/journal").count >= 3, "everything is recorded")
            #expect(FileTree.names(folder.repository).contains("reserve"), "there is a reserve for the next time")
            try folder.expect(kept, "b", bytes)
            try folder.snapshot("c", random.bytes(1 << 20))
            try folder.expectClean()
        }
    }

    /// Half of every pack is needed, and there is no room for copies until what is wholly unused is gone.
    @Test("With no byte free, prune frees unused packs first and then has room for copies")
    func frees() throws {
        try Self.onSmallDisk { disk, folder in
            var random = SeededNumbers(seed: 13)
            var half = random.bytes(12 << 20)
            let mixed = try folder.snapshot("mixed", half + random.bytes(3 << 20))
            let gone = try folder.snapshot("gone", random.bytes(40 << 20))
            half.removeLast(1 << 20)
            let kept = try folder.snapshot("mixed", half)
            try disk.fill(leaving: 0)
            #expect(try folder.program.run("forget", mixed, gone).status == 0)
            let pruned = try folder.program.run("prune", "--max-unused", "0%", "--json")
            #expect(pruned.status == 0, "\(pruned)")
            #expect(pruned.number("bytes_freed") ?? 0 > 40 << 20, "\(pruned.text)")
            #expect(pruned.number("packs_rewritten") ?? 0 > 0, "\(pruned.text)")
            #expect(pruned.number("packs_waiting") == 0)
            try folder.expect(kept, "mixed", half)
            try folder.expectClean()
            #expect(try folder.program.run("prune", "--max-unused", "0%", "--json").number("bytes_freed") == 0)
        }
    }

    @Test("A full disk is named, older snapshots still read, and with space the next snapshot works")
    func fills() throws {
        var template = Array("/tmp/small-disk-XXXXXX".utf8CString)
        try #require(mkdtemp(&template) != nil)
        let place = template.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
        defer { FileTree.remove(place) }
        guard let disk = SmallDisk("\(place)/disk", mebibytes: 160) else {
            print("skipped: no file system may be mounted here (\(String(cString: strerror(errno))))")
            return
        }
        defer { disk.unmount() }
        let folder = try ProgramFolder(repository: "\(disk.path)/repository")
        var random = SeededNumbers(seed: 11)
        var bytes = random.bytes(4 << 20)
        var kept = [(id: try folder.snapshot("stream", bytes), bytes: bytes)]
        var refused = 0
        for round in 0..<12 {
            bytes = random.bytes(4 << 20)
            // From nothing at all to a little more than this snapshot needs.
            try disk.fill(leaving: round == 0 ? 0 : Int.random(in: 0..<5 << 20, using: &random))
            let outcome = try folder.program.run(
                ["snapshot", "stdin", "--name", "stream", "--quiet"], input: bytes)
            if outcome.status == 0 {
                kept.append((outcome.text, bytes))
            } else {
                refused += 1
                #expect(outcome.status == 1, "\(outcome)")
                #expect(outcome.errors.contains("full") || outcome.errors.contains("space"), "\(outcome)")
                #expect(outcome.output.isEmpty, "a snapshot that failed reported \(outcome.text)")
            }
            for entry in kept.suffix(2) { try folder.expect(entry.id, "stream", entry.bytes) }
            disk.empty()
            random.edit(&bytes, places: 3)
            kept.append((try folder.snapshot("stream", bytes), bytes))
        }
        #expect(refused >= 4, "too few rounds ran out of space to mean anything")
        #expect(try folder.snapshotIDs() == Set(kept.map(\.id)))
        for entry in kept { try folder.expect(entry.id, "stream", entry.bytes) }
        try folder.expectClean()
    }
}
