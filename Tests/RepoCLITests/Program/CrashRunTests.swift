import Glibc
import RepoBase
import StorageTesting
import Testing

/// The real program, whatever it does, killed at random moments, on a disk that is full at random moments, whose writes, synchronisations and
/// renames fail, or take less than they were given; and on a real S3 server.
///
/// `REPO_CRASHES=N` runs so many rounds at each place (`tools/verify crashes`), `REPO_CRASHES_SEED=N` draws others.
@Suite("Real crashes")
struct CrashRunTests {
    private static let rounds = getenv("REPO_CRASHES").flatMap { Int(String(cString: $0)) } ?? 30
    private static let seed = getenv("REPO_CRASHES_SEED").flatMap { UInt64(String(cString: $0)) } ?? 20_261_122

    @Test("Nothing that was reported is lost, whatever ends the program: on a small local disk")
    func local() throws {
        var template = Array("/tmp/crashes-XXXXXX".utf8CString)
        try #require(mkdtemp(&template) != nil)
        let place = template.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
        defer { FileTree.remove(place) }
        let disk = SmallDisk("\(place)/disk", mebibytes: 400)
        defer { disk?.unmount() }
        if disk == nil { print("no file system may be mounted here, so none is filled up") }
        try run(CrashWorld(place, disk))
    }

    @Test("Nothing that was reported is lost, whatever ends the program: on S3")
    func seaweed() throws { try run(CrashWorld(SeaweedServer.running())) }

    private func run(_ world: CrashWorld) throws {
        defer { world.end() }
        var numbers = SeededNumbers(seed: Self.seed)
        for round in 0..<Self.rounds { try world.round(round, &numbers) }
        try world.expectAll()
        #expect(world.ends["killed", default: 0] >= Self.rounds / 5, "too few were killed to mean anything: \(world.ends)")
        print("\(world.name): \(Self.rounds) rounds: \(world.ends.sorted { $0.key < $1.key })")
    }
}

/// A repository, a copy of it, sources that change, and what was reported of them.
private final class CrashWorld {
    private enum Harm {
        case kill
        case fullDisk
        case calls(FailingFiles.Harm)
    }

    private enum Work: CaseIterable { case stream, files, prune, forget, copy, rotate, check }

    let name: String
    /// How often what ended the program.
    private(set) var ends: [String: Int] = [:]
    private let folder: ProgramFolder
    private let program: ProgramUnderTest
    private let disk: SmallDisk?
    private let failing: FailingFiles?
    private let copy: String
    private var numbers = SeededNumbers(seed: 3)
    private var stream: [UInt8]
    private var tree: String { folder.path + "/tree" }
    private var reported: [(id: String, path: String, bytes: [UInt8])] = []
    /// How long the last whole run of a work took, in microseconds.
    private var spans: [Work: Int] = [:]

    init(_ place: String, _ disk: SmallDisk?) throws {
        name = "a local disk"
        self.disk = disk
        folder = try ProgramFolder(repository: (disk?.path ?? place) + "/repository")
        failing = try FailingFiles(in: folder.path, concerned: folder.repository)
        program = folder.program
        copy = folder.path + "/copy"
        stream = numbers.bytes(2 << 20)
        try begin()
    }

    init(_ server: SeaweedServer) throws {
        name = "S3"
        (disk, failing) = (nil, nil)
        folder = try ProgramFolder()
        let environment = SeaweedServer.environment.mapValues { Optional($0) }
        let local = try folder.program.with(environment)
        program = try local.with(["REPO_URL": server.location(SeaweedServer.uniquePrefix())])
        copy = server.location(SeaweedServer.uniquePrefix())
        stream = numbers.bytes(2 << 20)
        let first = try program.with(["REPO_KEY_FILE": nil, "REPO_PASSWORD": ProgramFolder.password])
        for command in [["init"], ["key", "add", "--out", folder.path + "/machine.key"]] {
            unlink(folder.path + "/machine.key")
            let outcome = try first.run(command)
            try #require(outcome.status == 0, "\(command): \(outcome)")
        }
        try begin()
    }

    private func begin() throws {
        for number in 0..<12 { try FileTree.write("\(tree)/\(number)/file", numbers.bytes(2000 + 30_000 * number)) }
        let first = try program.with(["REPO_KEY_FILE": nil, "REPO_PASSWORD": ProgramFolder.password])
        let origin = try #require(program.environment["REPO_URL"])
        let outcome = try first.with(["REPO_URL": nil]).run("init", "--repo", copy, "--copy-of", origin)
        try #require(outcome.status == 0, "\(outcome)")
        for work in [Work.stream, .files, .copy, .check, .prune, .rotate] { try whole(work) }
    }

    func end() {}

    /// A work that is harmed; then a snapshot that was reported is read, and now and then all of it goes through unharmed.
    func round(_ number: Int, _ choice: inout SeededNumbers) throws {
        let work = Work.allCases[Int.random(in: 0..<Work.allCases.count, using: &choice)]
        try harmed(work, harm(&choice), &choice)
        disk?.empty()
        if let probe = reported.randomElement(using: &choice) { try expect(probe) }
        if number % 6 == 5 { try whole(Work.allCases[(number / 6) % Work.allCases.count]) }
        if number % 12 == 11 { try expectClean() }
    }

    private func harm(_ choice: inout SeededNumbers) -> Harm {
        let number = Int.random(in: 0..<(failing == nil ? 1 : 10), using: &choice)
        switch number {
        case 0..<5: return .kill
        case 5 where disk != nil: return .fullDisk
        default: return .calls(FailingFiles.Harm.ofStores.randomElement(using: &choice)!)
        }
    }

    private func harmed(_ work: Work, _ harm: Harm, _ choice: inout SeededNumbers) throws {
        var program = self.program
        switch harm {
        case .kill: break
        case .fullDisk: try disk?.fill(leaving: Int.random(in: 0..<100 << 10, using: &choice))
        case .calls(let harm): program = try program.with(failing!.environment(harm, after: Int.random(in: 0..<5, using: &choice)))
        }
        let (arguments, input, path) = try begin(work, &choice)
        let process = try program.start(arguments)
        process.feed(input[...])
        process.endInput()
        if case .kill = harm {
            // Real time, since a random moment of a real process is what this is about.
            usleep(UInt32(Int.random(in: 0...(spans[work] ?? 200_000), using: &choice)))
            process.kill()
        }
        let outcome = try process.wait()
        switch (outcome.status, harm) {
        case (nil, .kill): count("killed")
        case (nil, _): Issue.record("\(arguments) died of signal \(outcome.signal): \(outcome.errors)")
        case (0, .kill): count("done before it was killed")
        case (0, .calls(let harm)): count("done with \(harm)")
        case (0, .fullDisk): count("done on a full disk")
        case (_, .kill): Issue.record("\(arguments): \(outcome)")
        // Half a write is one that goes on.
        case (_, .calls(.shortWrites)): Issue.record("\(arguments) with short writes: \(outcome)")
        case (_, .fullDisk): count("disk full")
        case (_, .calls(let harm)): count("\(harm) failed")
        }
        // It may have said that it is done before the signal came.
        if let path, outcome.text.utf8.count == 64 { reported.append((outcome.text, path, path == "stream" ? stream : try FileTree.read(path))) }
    }

    private func whole(_ work: Work) throws {
        var none = numbers
        let (arguments, input, path) = try begin(work, &none)
        let clock = ContinuousClock.now
        let outcome = try program.run(arguments, input: input)
        spans[work] = Int((ContinuousClock.now - clock) / .microseconds(1))
        #expect(outcome.status == 0, "\(arguments): \(outcome) \(outcome.text)")
        if let path { reported.append((outcome.text, path, path == "stream" ? stream : try FileTree.read(path))) }
    }

    /// The command for a work, its input, and the path of what it stores.
    private func begin(_ work: Work, _ choice: inout SeededNumbers) throws -> (arguments: [String], input: [UInt8], path: String?) {
        switch work {
        case .stream:
            numbers.edit(&stream, places: 4)
            stream += numbers.bytes(32 << 10)
            return (["snapshot", "stdin", "--name", "stream", "--quiet"], stream, "stream")
        case .files:
            let path = "\(tree)/\(Int.random(in: 0..<12, using: &numbers))/file"
            try FileTree.write(path, numbers.bytes(Int.random(in: 1000..<400_000, using: &numbers)))
            return (["snapshot", "files", tree, "--quiet"], [], path)
        case .prune: return (["prune", "--max-unused", "0%", "--min-age", "0s", "--quiet"], [], nil)
        case .forget:
            // From now on nobody may rely on it.
            guard reported.count > 4 else { return (["snapshots", "--quiet"], [], nil) }
            let gone = reported.remove(at: Int.random(in: 0..<reported.count, using: &choice))
            return (["forget", gone.id, "--quiet"], [], nil)
        case .copy: return (["copy", "--to", copy, "--quiet"], [], nil)
        case .rotate: return (["key", "rotate"], [], nil)
        case .check: return (["check", "--read-data", "--quiet"], [], nil)
        }
    }

    private func count(_ end: String) { ends[end, default: 0] += 1 }

    private func expect(_ entry: (id: String, path: String, bytes: [UInt8]), _ program: ProgramUnderTest? = nil) throws {
        let read = try (program ?? self.program).run("cat", entry.id, entry.path)
        #expect(read.status == 0 && read.output == entry.bytes, "\(entry.id): \(read.errors)")
    }

    /// A key change that was interrupted is finished by a prune.
    private func expectClean() throws {
        try whole(.prune)
        let checked = try program.run("check", "--read-data")
        #expect(checked.status == 0, "\(checked) \(checked.text)")
    }

    /// Everything that was reported is there, here and in the copy, to the byte.
    func expectAll() throws {
        try expectClean()
        try whole(.copy)
        let there = try program.with(["REPO_URL": copy])
        let checked = try there.run("check", "--read-data")
        #expect(checked.status == 0, "\(checked) \(checked.text)")
        for entry in reported {
            try expect(entry)
            try expect(entry, there)
        }
    }
}
