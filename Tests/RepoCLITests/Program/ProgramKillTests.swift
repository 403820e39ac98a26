import Glibc
import Testing

/// Kill -9 at any moment: what was reported stays, and the next run works.
@Suite("The program, killed")
struct ProgramKillTests {
    private struct Reported {
        let id: String
        let bytes: [UInt8]
    }

    /// A third of the rounds die while the stream is fed, the others in the time that storing takes afterwards.
    @Test("Snapshots that were reported survive snapshots that are killed", arguments: [UInt64(1), 2])
    func snapshots(seed: UInt64) throws {
        let folder = try ProgramFolder()
        var random = SeededNumbers(seed: seed)
        var bytes = random.bytes(3 << 20)
        var reported = [Reported(id: try folder.snapshot("stream", bytes), bytes: bytes)]
        var span = 0
        var killed = 0
        for round in 0..<20 {
            random.edit(&bytes, places: 4)
            bytes += random.bytes(64 << 10)
            let process = try folder.program.start(["snapshot", "stdin", "--name", "stream", "--quiet"])
            if round % 3 == 0 {
                let fed = Int.random(in: 0...bytes.count, using: &random)
                process.feed(bytes[..<fed])
                // The last of it is still on its way through the socket.
                usleep(UInt32.random(in: 0...20_000, using: &random))
                process.kill()
            } else {
                process.feed(bytes[...])
                process.endInput()
                // Real time, since a random moment of a real process is what this is about.
                usleep(UInt32(Int.random(in: 0...span, using: &random)))
                process.kill()
            }
            let outcome = try process.wait()
            if outcome.status == nil { killed += 1 }
            // It may have ended, or said that it is done, before the signal came.
            if outcome.text.utf8.count == 64 { reported.append(Reported(id: outcome.text, bytes: bytes)) }
            let probe = reported[Int.random(in: 0..<reported.count, using: &random)]
            try folder.expect(probe.id, "stream", probe.bytes)
            random.edit(&bytes, places: 1)
            let clock = ContinuousClock.now
            reported.append(Reported(id: try folder.snapshot("stream", bytes), bytes: bytes))
            span = Int((ContinuousClock.now - clock) / .microseconds(1))
        }
        #expect(killed >= 5, "too few rounds were killed to mean anything")
        let listed = try folder.snapshotIDs()
        for entry in reported {
            #expect(listed.contains(entry.id))
            try folder.expect(entry.id, "stream", entry.bytes)
        }
        // One that was killed between its last operation on the store and its report is there whole or not at all.
        for id in listed { #expect(try folder.program.run("cat", id, "stream").status == 0) }
        try folder.expectClean()
    }

    @Test("What a killed snapshot has stored is not stored again")
    func nothingTwice() throws {
        let folder = try ProgramFolder()
        var random = SeededNumbers(seed: 5)
        let bytes = random.bytes(56 << 20)
        let process = try folder.program.start(["snapshot", "stdin", "--name", "stream", "--quiet"])
        process.feed(bytes[...])
        // Real time: it stores packs while it waits for more.
        while FileTree.files("\(folder.repository)/packs").filter({ !$0.contains("/.tmp-") }).count < 2 { usleep(20_000) }
        process.kill()
        #expect(try process.wait().status == nil)
        #expect(FileTree.names("\(folder.repository)/index").isEmpty, "killed before anything was indexed")
        let stored = FileTree.files("\(folder.repository)/packs").filter { !$0.contains("/.tmp-") }
            .reduce(0) { size, path in
                var status = stat()
                return lstat(path, &status) == 0 ? size + Int(status.st_size) : size
            }
        let again = try folder.program.run(["snapshot", "stdin", "--name", "stream", "--json"], input: bytes)
        #expect(again.status == 0, "\(again)")
        let added = Int(again.number("bytes_added") ?? 0)
        #expect(added < bytes.count - stored + (1 << 20), "\(stored) bytes were there, \(added) were added")
        try folder.expectClean()
    }

    @Test("Snapshots survive prunes that are killed", arguments: [UInt64(3), 4])
    func prunes(seed: UInt64) throws {
        let folder = try ProgramFolder()
        var random = SeededNumbers(seed: seed)
        var kept: [Reported] = []
        var span = 300_000
        var killed = 0
        for round in 0..<16 {
            let bytes = random.bytes(256 << 10) + (kept.last?.bytes.prefix(512 << 10) ?? [])
            kept.append(Reported(id: try folder.snapshot("stream", bytes), bytes: bytes))
            while kept.count > 3 {
                let gone = kept.remove(at: Int.random(in: 0..<kept.count, using: &random))
                try #require(try folder.program.run("forget", gone.id).status == 0)
            }
            let process = try folder.program.start(["prune", "--max-unused", "0%", "--min-age", "0s"])
            process.endInput()
            usleep(UInt32(Int.random(in: 0...span, using: &random)))
            process.kill()
            if try process.wait().status == nil { killed += 1 }
            for entry in kept { try folder.expect(entry.id, "stream", entry.bytes) }
            if round % 4 == 3 {
                let clock = ContinuousClock.now
                let whole = try folder.program.run("prune", "--max-unused", "0%", "--min-age", "0s")
                #expect(whole.status == 0, "\(whole)")
                span = Int((ContinuousClock.now - clock) / .microseconds(1))
                for entry in kept { try folder.expect(entry.id, "stream", entry.bytes) }
            }
        }
        #expect(killed >= 4, "too few rounds were killed to mean anything")
        try folder.expectClean()
    }
}
