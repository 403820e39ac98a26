import Glibc
import StorageTesting
import Testing

/// `repo copy` as people run it: real programs on real folders.
@Suite("Copies of a repository")
struct CopyProgramTests {
    /// Whether the other repository is made by `init --copy-of`, or has keys of its own.
    enum Keys: CaseIterable { case shared, other }

    private static let password = "another password"

    /// A second repository beside the folder's own, and a program that works on it.
    private func other(_ folder: ProgramFolder, _ keys: Keys, at path: String? = nil) throws -> ProgramUnderTest {
        let path = path ?? "\(folder.path)/other"
        switch keys {
        case .shared:
            let made = try folder.program.run("init", "--repo", path, "--copy-of", folder.repository)
            try #require(made.status == 0, "\(made)")
            return try folder.program.with(["REPO_URL": path])
        case .other:
            let fresh = try folder.program.with(["REPO_URL": path, "REPO_KEY_FILE": nil, "REPO_PASSWORD": Self.password])
            for command in [["init"], ["key", "add", "--out", "\(folder.path)/other.key"]] {
                let outcome = try fresh.run(command)
                try #require(outcome.status == 0, "\(outcome)")
            }
            return try folder.program.with(["REPO_URL": path, "REPO_KEY_FILE": "\(folder.path)/other.key"])
        }
    }

    private func arguments(_ folder: ProgramFolder, _ keys: Keys) -> [String] {
        ["copy", "--to", "\(folder.path)/other", "--json"] + (keys == .other ? ["--to-key-file", "\(folder.path)/other.key"] : [])
    }

    private func size(_ directory: String) -> Int {
        FileTree.files(directory).reduce(0) { $0 + size(of: $1) }
    }

    private func size(of path: String) -> Int {
        var status = stat()
        return lstat(path, &status) == 0 ? Int(status.st_size) : 0
    }

    private func expectClean(_ program: ProgramUnderTest) throws {
        let checked = try program.run("check", "--read-data")
        #expect(checked.status == 0, "\(checked) \(checked.text)")
    }

    @Test("Snapshots arrive and read the same, and a second copy sends nothing", arguments: Keys.allCases)
    func roundTrip(keys: Keys) throws {
        let folder = try ProgramFolder()
        let there = try other(folder, keys)
        var random = SeededNumbers(seed: 7)
        var bytes = random.bytes(6 << 20)
        let tree = try SampleTree(at: "\(folder.path)/tree")
        var streams: [[UInt8]] = []
        for round in 0..<3 {
            random.edit(&bytes, places: 5)
            streams.append(bytes)
            try folder.snapshot("stream", bytes)
            if round > 0 { try tree.change(to: round) }
            let files = try folder.program.run("snapshot", "files", tree.path, "--quiet", "--name", "tree")
            try #require(files.status == 0, "\(files)")
            let copied = try folder.program.run(arguments(folder, keys))
            #expect(copied.status == 0, "\(copied)")
            #expect(copied.number("snapshots_copied") == 2, "\(copied.text)")
            #expect(copied.number("snapshots_present") == UInt64(2 * round))
            // Deltas stay deltas: a few edits are a few kilobytes there, too.
            if round > 0 { #expect(copied.number("bytes_sent")! < 700_000, "\(copied.text)") }
        }
        let again = try folder.program.run(arguments(folder, keys))
        #expect(again.number("snapshots_copied") == 0 && again.number("bytes_sent") == 0, "\(again.text)")
        #expect(try there.run("cat", "latest:stream", "stream").output == streams[2])
        let listed = try there.run("snapshots", "--source", "stream", "--json")
        #expect(listed.text.ranges(of: "\"short_id\"").count == 3)
        let restored = try there.run("restore", "latest:tree", "--target", "\(folder.path)/restored")
        #expect(restored.status == 0, "\(restored)")
        #expect(try Described.tree("\(folder.path)/restored\(tree.path)") == Described.tree(tree.path))
        try expectClean(there)
        try folder.expectClean()
    }

    @Test("A choice of snapshots, a dry run, and what must be refused", arguments: Keys.allCases)
    func choice(keys: Keys) throws {
        let folder = try ProgramFolder()
        _ = try other(folder, keys)
        try folder.snapshot("one", [1, 2, 3])
        let second = try folder.snapshot("one", [1, 2, 4])
        try folder.snapshot("two", [5])
        let before = FileTree.files("\(folder.path)/other")
        let dry = try folder.program.run(arguments(folder, keys) + ["--dry-run"])
        #expect(dry.number("snapshots_copied") == 3, "\(dry) \(dry.text)")
        #expect(FileTree.files("\(folder.path)/other") == before)
        let latest = try folder.program.run(arguments(folder, keys) + ["--latest", "--source", "one"])
        #expect(latest.number("snapshots_copied") == 1, "\(latest) \(latest.text)")
        #expect(latest.text.contains("\"source\":\"\(second)\""))
        #expect(try folder.program.run("copy", "--to", folder.repository).status == 2)
        #expect(try folder.program.run("copy", "--to", "\(folder.path)/nowhere").status == 10)
        #expect(try folder.program.run("copy").status == 2)
    }

    @Test("A copy that is killed again and again arrives whole, and sends hardly anything twice", arguments: Keys.allCases)
    func killed(keys: Keys) throws {
        let folder = try ProgramFolder()
        let there = try other(folder, keys)
        var random = SeededNumbers(seed: 11)
        // Incompressible, so that what is sent is known; ten snapshots with nothing in common.
        let megabytes = getenv("REPO_TEST_COPY_MEGABYTES").flatMap { Int(String(cString: $0)) } ?? 200
        for number in 0..<10 { try folder.snapshot("stream\(number)", random.bytes(megabytes << 20 / 10)) }
        let whole = size("\(folder.repository)/packs")
        var killed = 0
        var span = 200_000
        for _ in 0..<20 {
            let process = try folder.program.start(arguments(folder, keys))
            process.endInput()
            // Real time, since a random moment of a real process is what this is about.
            usleep(UInt32(Int.random(in: 0...span, using: &random)))
            process.kill()
            if try process.wait().status == nil { killed += 1 } else { span /= 2 }
        }
        #expect(killed >= 10, "too few rounds were killed to mean anything")
        let last = try folder.program.run(arguments(folder, keys))
        #expect(last.status == 0, "\(last)")
        // All that was ever sent lies there: packs, of which none comes twice, and what was cut off, two packs each time at most.
        let sent = size("\(folder.path)/other/packs")
        let cut = FileTree.files("\(folder.path)/other/packs").filter { $0.contains("/.tmp-") }
        #expect(cut.count <= 2 * killed)
        #expect(sent - cut.reduce(0) { $0 + size(of: $1) } <= whole + whole / 50, "\(sent) bytes were sent of \(whole)")
        if megabytes >= 2000 { #expect(sent - whole <= whole / 20, "\(sent) bytes were sent of \(whole)") }
        try expectClean(there)
        #expect(try there.run("snapshots", "--json").text.ranges(of: "\"short_id\"").count == 10)
    }

    @Test("Copies count once they have the newest snapshots and were verified in whole", arguments: Keys.allCases)
    func counted(keys: Keys) throws {
        let folder = try ProgramFolder()
        let there = try other(folder, keys)
        let keyFile = keys == .other ? "key-file = \"\(folder.path)/other.key\"\n" : ""
        let configuration = "\(folder.path)/copies.toml"
        try FileTree.write(configuration, Array("[[copy]]\nurl = \"\(folder.path)/other\"\noff-site = true\n\(keyFile)".utf8))
        let here = try folder.program.with(["REPO_CONFIG": configuration])
        func status(_ more: String...) throws -> (status: Int32?, copies: Int, counted: [Bool], problems: String) {
            let outcome = try here.run(["copy", "--status", "--json"] + more)
            let text = outcome.text
            let copies = text.firstMatch(of: /"copies" : (\d+)/).flatMap { Int($0.1) } ?? 0
            let problems = text.matches(of: /"problem" : "(.*)"/).map { String($0.1) }.joined(separator: "; ")
            return (outcome.status, copies, text.matches(of: /"counted" : (true|false)/).map { $0.1 == "true" }, problems)
        }
        var random = SeededNumbers(seed: 21)
        try folder.snapshot("stream", random.bytes(3 << 20))
        var found = try status()
        #expect(found.status == 1 && found.copies == 1 && found.counted == [false, false], "\(found)")
        #expect(found.problems.contains("never verified") && found.problems.contains("run 'repo copy'"), "\(found)")

        #expect(try here.run("copy").status == 0)
        #expect(try here.run("check").status == 0)
        #expect(try status().copies == 1, "a check of the structure verifies no data")
        try expectClean(folder.program)
        for _ in 0..<2 { #expect(try there.run("check", "--read-data-subset", "50%").status == 0) }
        found = try status()
        // Both lie on one disk.
        #expect(found.status == 1 && found.copies == 3 && found.counted == [true, true], "\(found)")
        let told = try here.run("copy", "--status")
        #expect(told.status == 1 && told.text.contains("3 copies with the data itself, 1 storage, 1 elsewhere: a copy on another storage is missing"), "\(told)")
        #expect(try status("--within", "0s").copies == 1, "what was verified is too old")

        // New packs that nobody has read yet.
        try folder.snapshot("stream", random.bytes(3 << 20))
        found = try status("--lag", "0s")
        #expect(found.copies == 2 && found.problems.contains("newest snapshot of a source is missing"), "\(found)")
        #expect(try status().copies == 3, "as long as it may lag")

        let pack = FileTree.files("\(folder.path)/other/packs").max { size(of: $0) < size(of: $1) } ?? ""
        try flip(pack)
        #expect(try there.run("check", "--read-data").status == 12)
        found = try status()
        #expect(found.copies == 2 && found.problems.contains("damaged objects"), "\(found)")
        #expect(try there.run(["check", "--read-data", "--heal-from", folder.repository] + (keys == .other ? ["--heal-key-file", "\(folder.path)/machine.key"] : [])).status == 0)
        #expect(try status().copies == 3)

        FileTree.remove("\(folder.path)/other")
        found = try status()
        #expect(found.status == 10 && found.copies == 2, "\(found)")
        #expect(try here.run("copy", "--status", "--latest").status == 2)
    }

    @Test("Changes of keys reach a copy that shares them; changes on both sides are refused")
    func changedKeys() throws {
        let folder = try ProgramFolder()
        let there = try other(folder, .shared)
        try folder.snapshot("stream", [1, 2, 3])
        #expect(try folder.program.run(arguments(folder, .shared)).status == 0)
        #expect(try folder.program.run("key", "rotate").status == 0)
        #expect(try folder.program.run("key", "add", "--out", "\(folder.path)/new.key").status == 0)
        let id = try folder.snapshot("stream", [4, 5, 6])
        let copied = try folder.program.run(arguments(folder, .shared))
        #expect(copied.status == 0, "\(copied)")
        let opened = try there.with(["REPO_KEY_FILE": "\(folder.path)/new.key"]).run("cat", id, "stream")
        #expect(opened.output == [4, 5, 6], "\(opened)")
        for program in [folder.program, there] { #expect(try program.run("key", "rotate").status == 0) }
        #expect(try folder.program.run(arguments(folder, .shared)).status == 14)
    }

    private func flip(_ path: String) throws {
        var bytes = try FileTree.read(path)
        bytes[bytes.count / 2] ^= 4
        try #require(chmod(path, 0o600) == 0)
        try FileTree.write(path, bytes)
    }

    @Test("Damaged and missing objects of every kind come back from a copy", arguments: Keys.allCases)
    func healed(keys: Keys) throws {
        let folder = try ProgramFolder()
        _ = try other(folder, keys)
        var random = SeededNumbers(seed: 3)
        var bytes = random.bytes(3 << 20)
        var streams: [[UInt8]] = []
        for _ in 0..<3 {
            random.edit(&bytes, places: 3)
            streams.append(bytes)
            let id = try folder.snapshot("stream", bytes)
            try #require(try folder.program.run("hold", "add", id, "--reason", "test").status == 0)
        }
        try #require(try folder.program.run(arguments(folder, keys)).status == 0)
        let heal = ["check", "--read-data", "--heal-from", "\(folder.path)/other"]
            + (keys == .other ? ["--heal-key-file", "\(folder.path)/other.key"] : [])
        // A snapshot that is gone cannot be told from one that was forgotten, and index segments from ones that were never there.
        var kinds = [("packs", true), ("packs", false), ("index", true), ("index", false), ("snapshots", true)]
        if keys == .shared { kinds += [("keys", false), ("configs", true), ("configs", false)] }
        for (kind, isFlipped) in kinds {
            let objects = FileTree.files("\(folder.repository)/\(kind)").filter {
                // The key that this test opens the repository with stays; holds are not snapshots.
                if kind == "keys" { return (try? FileTree.read($0).count > 12 && FileTree.read($0)[12] == 1) ?? false }
                return !$0.hasSuffix(".hold") && !$0.contains("/.")
            }
            let object = try #require(objects.first, "\(kind)")
            if isFlipped { try flip(object) } else { try #require(unlink(object) == 0) }
            let found = try folder.program.run("check", "--read-data")
            #expect(found.status == 12, "\(kind) \(isFlipped): \(found) \(found.text)")
            let outcome = try folder.program.run(heal)
            #expect(outcome.status == 0, "\(kind) \(isFlipped): \(outcome) \(outcome.text)")
            try folder.expectClean()
            #expect(try folder.program.run("snapshots", "--json").text.ranges(of: "\"short_id\"").count == 3, "\(kind)")
            #expect(try folder.program.run("cat", "latest:stream", "stream").output == streams[2], "\(kind)")
            let names = Set(FileTree.files("\(folder.repository)/snapshots"))
            let holds = names.filter { $0.hasSuffix(".hold") }
            #expect(holds.count == 3 && holds.allSatisfy { names.contains(String($0.dropLast(".hold".count))) }, "\(kind): every snapshot is still held")
        }
        #expect(!FileTree.files("\(folder.repository)/damaged").isEmpty)
    }

    @Test("Snapshots arrive whole while prunes run in both places", arguments: Keys.allCases)
    func besideCollection(keys: Keys) throws {
        let folder = try ProgramFolder()
        let there = try other(folder, keys)
        var random = SeededNumbers(seed: 19)
        var bytes = random.bytes(4 << 20)
        for _ in 0..<4 {
            for _ in 0..<3 {
                random.edit(&bytes, places: 40)
                try folder.snapshot("stream", bytes)
            }
            let prune = ["forget", "--keep-last", "2", "--prune", "--max-unused", "0%", "--min-age", "0s"]
            let running = try [folder.program.start(arguments(folder, keys)), folder.program.start(prune), there.start(prune)]
            for process in running { process.endInput() }
            let outcomes = try running.map { try $0.wait() }
            // A snapshot that was forgotten before it was reached is named; nothing else may go wrong.
            #expect(outcomes[0].status == 0 || outcomes[0].errors.contains("snapshots/"), "\(outcomes[0]) \(outcomes[0].text)")
            for outcome in outcomes.dropFirst() { #expect(outcome.status == 0, "\(outcome) \(outcome.text)") }
            let last = try folder.program.run(arguments(folder, keys))
            #expect(last.status == 0, "\(last) \(last.text)")
            #expect(try there.run("cat", "latest:stream", "stream").output == bytes)
            try expectClean(there)
            try folder.expectClean()
        }
    }

    @Test("A bucket in S3 takes a copy, and what was damaged here comes back from it")
    func bucket() throws {
        let folder = try ProgramFolder()
        let location = try SeaweedServer.running().location(SeaweedServer.uniquePrefix())
        let program = try folder.program.with(SeaweedServer.environment.mapValues { Optional($0) })
        var random = SeededNumbers(seed: 23)
        let bytes = random.bytes(3 << 20)
        let id = try folder.snapshot("stream", bytes)
        for arguments in [["init", "--repo", location, "--copy-of", folder.repository], ["copy", "--to", location]] {
            let outcome = try program.run(arguments)
            #expect(outcome.status == 0, "\(arguments): \(outcome)")
        }
        #expect(try program.run("cat", id, "stream", "--repo", location).output == bytes)
        #expect(try program.run("check", "--read-data", "--repo", location).status == 0)
        try flip(try #require(FileTree.files("\(folder.repository)/packs").first))
        let healed = try program.run("check", "--read-data", "--heal-from", location)
        #expect(healed.status == 0, "\(healed) \(healed.text)")
        try folder.expectClean()
    }
}
