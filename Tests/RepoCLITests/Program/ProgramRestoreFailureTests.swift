import Testing

/// The program on a target whose device, or server, takes what is written and loses it.
@Suite("Restores onto a failing target")
struct ProgramRestoreFailureTests {
    private struct Restore {
        let folder: ProgramFolder
        let failing: FailingFiles
        let target: String

        init() throws {
            folder = try ProgramFolder()
            target = "\(folder.path)/target"
            failing = try FailingFiles(in: folder.path, concerned: target)
            var random = SeededNumbers(seed: 5)
            // More files than are kept open at once, and a large one among them.
            for number in 0..<100 { try FileTree.write("\(folder.path)/tree/\(number)", random.bytes(number == 50 ? 3 << 20 : 5000)) }
            let made = try folder.program.run("snapshot", "files", "\(folder.path)/tree")
            try #require(made.status == 0, "\(made)")
        }

        func run(_ harm: FailingFiles.Harm, after calls: Int, _ arguments: String...) throws -> ProgramUnderTest.Outcome {
            try folder.program.with(failing.environment(harm, after: calls)).run(["restore", "latest", "--target", target] + arguments)
        }

        /// Every file that is there is what it was; how many there are.
        func wholeFiles() throws -> Int {
            let files = FileTree.files(target)
            for file in files { #expect(try FileTree.read(file) == FileTree.read("\(folder.path)/tree/\(file.split(separator: "/").last!)")) }
            return files.count
        }
    }

    @Test("emulated: a file that is refused when it is closed is named, and is not left as if it were whole", arguments: [0, 1, 40, 99])
    func closing(calls: Int) throws {
        let restore = try Restore()
        let failed = try restore.run(.closing, after: calls)
        #expect(failed.status == 1, "\(failed)")
        #expect(failed.errors.contains("cannot write: Disk quota exceeded") && failed.errors.contains("Make room"), "\(failed)")
        #expect(try restore.wholeFiles() < 100)
        let resumed = try restore.run(.closing, after: .max, "--overwrite", "if-changed")
        #expect(resumed.status == 0, "\(resumed)")
        #expect(try restore.wholeFiles() == 100)
    }

    @Test("emulated: what the disk does not take in the end is no restore")
    func flushing() throws {
        let restore = try Restore()
        let failed = try restore.run(.flushing, after: 0)
        #expect(failed.status == 1, "\(failed)")
        #expect(failed.errors.contains("'\(restore.target)': cannot bring everything to the disk: Input/output error"), "\(failed)")
        #expect(failed.errors.contains("--overwrite always"))
        #expect(try restore.run(.flushing, after: 0, "--overwrite", "always", "--dry-run").status == 0)
        #expect(try restore.run(.flushing, after: .max, "--overwrite", "always").status == 0)
    }

    @Test("emulated: output that is refused when it is closed is no success")
    func output() throws {
        let folder = try ProgramFolder()
        let id = try folder.snapshot("stream", [UInt8](repeating: 7, count: 100_000))
        // Where `ProgramUnderTest` keeps outputs.
        let failing = try FailingFiles(in: folder.path, concerned: "\(folder.path)/output-")
        let failed = try folder.program.with(failing.environment(.closing, after: 0)).run("cat", id, "stream")
        #expect(failed.status == 1, "\(failed)")
        #expect(failed.errors.contains("cannot write to standard output: Disk quota exceeded"), "\(failed)")
        let object = try folder.program.with(failing.environment(.closing, after: 0)).run("cat", id, "stream", "--json")
        #expect(object.status == 1 && object.errors.hasPrefix("{\"advice\":\"What was written there is not whole."), "\(object)")
        #expect(try folder.program.with(failing.environment(.closing, after: .max)).run("cat", id, "stream").status == 0)
    }
}
