import Glibc
import Testing

/// Several processes on one repository, and what an interrupted one leaves to the next.
@Suite("The program beside itself")
struct ProgramConcurrencyTests {
    @Test("Two snapshots of different sources at the same time are both whole")
    func together() throws {
        let folder = try ProgramFolder()
        var random = SeededNumbers(seed: 21)
        let shared = random.bytes(2 << 20)
        for _ in 0..<3 {
            let streams = (0..<2).map { _ in random.bytes(1 << 20) + shared + random.bytes(512 << 10) }
            let processes = try (0..<2).map {
                try folder.program.start(["snapshot", "stdin", "--name", "source\($0)", "--quiet"])
            }
            // In turns, so that both have begun before either is done.
            let step = 256 << 10
            for from in stride(from: 0, to: streams[0].count, by: step) {
                for (process, stream) in zip(processes, streams) {
                    #expect(process.feed(stream[from..<min(from + step, stream.count)]))
                }
            }
            for process in processes { process.endInput() }
            let outcomes = try processes.map { try $0.wait() }
            for (number, outcome) in outcomes.enumerated() {
                try #require(outcome.status == 0, "\(outcome)")
                try folder.expect(outcome.text, "source\(number)", streams[number])
            }
        }
        #expect(try folder.snapshotIDs().count == 6)
        #expect(FileTree.names("\(folder.repository)/writers").isEmpty, "both have signed off")
        try folder.expectClean()
    }

    @Test("A snapshot beside prunes is whole")
    func besidePrune() throws {
        let folder = try ProgramFolder()
        var random = SeededNumbers(seed: 22)
        for _ in 0..<4 {
            // Half of the old snapshot is in the new one, so that it wants what the prune would delete.
            let old = random.bytes(1 << 20)
            let new = random.bytes(1 << 20) + old.prefix(1 << 19)
            let gone = try folder.snapshot("old", old)
            let process = try folder.program.start(["snapshot", "stdin", "--name", "new", "--quiet"])
            process.feed(new[..<(1 << 19)])
            try #require(try folder.program.run("forget", gone).status == 0)
            let beside = try folder.program.run("prune", "--max-unused", "0%", "--min-age", "0s")
            #expect(beside.status == 0, "\(beside)")
            process.feed(new[(1 << 19)...])
            process.endInput()
            let outcome = try process.wait()
            try #require(outcome.status == 0, "\(outcome)")
            let after = try folder.program.run("prune", "--max-unused", "0%", "--min-age", "0s")
            #expect(after.status == 0, "\(after)")
            try folder.expect(outcome.text, "new", new)
        }
        try folder.expectClean()
    }

    @Test("The packs that a failing snapshot had finished are used by the next one")
    func resumed() throws {
        let folder = try ProgramFolder()
        var random = SeededNumbers(seed: 23)
        // Packs have 16 MiB.
        let bytes = random.bytes(56 << 20)
        let file = "\(folder.path)/stream"
        try FileTree.write(file, bytes)
        let failed = try folder.program.run(
            "snapshot", "command", "--name", "stream", "--", "sh", "-c", "cat '\(file)'; exit 1")
        #expect(failed.status == 1, "\(failed)")
        #expect(try folder.snapshotIDs().isEmpty)
        let finished = FileTree.files("\(folder.repository)/packs").count
        try #require(finished >= 1, "no pack was finished, and there is nothing to use")
        let second = try folder.program.run(
            "snapshot", "command", "--name", "stream", "--json", "--", "cat", file)
        try #require(second.status == 0, "\(second)")
        let added = try #require(second.number("bytes_added"))
        #expect(
            added <= UInt64(bytes.count - finished * 15 << 20),
            "\(added) bytes were stored again beside \(finished) packs")
        let id = try #require(try folder.snapshotIDs().first)
        try folder.expect(id, "stream", bytes)
    }
}
