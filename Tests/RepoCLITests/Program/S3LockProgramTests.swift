import Glibc
import PostgresTesting
import StorageTesting
import Testing

/// The program on a bucket that keeps versions and locks them.
@Suite("A repository in a bucket with versions and locks")
struct S3LockProgramTests {
    private let folder: String
    private let program: ProgramUnderTest
    private let prefix = SeaweedServer.uniquePrefix()

    init() throws {
        var template = Array("/tmp/s3-lock-XXXXXX".utf8CString)
        try #require(mkdtemp(&template) != nil)
        folder = template.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
        program = ProgramUnderTest(
            folder: folder,
            environment: SeaweedServer.environment.merging([
                "REPO_URL": try Self.location(prefix), "REPO_CACHE_DIR": folder + "/cache", "REPO_CONFIG": "/dev/null",
                "REPO_KEY_FILE": folder + "/key",
            ]) { $1 })
        let first = try program.with(["REPO_KEY_FILE": nil, "REPO_PASSWORD": "secret"])
        for command in [["init"], ["key", "add", "--out", folder + "/key"]] {
            let outcome = try first.run(command)
            try #require(outcome.status == 0, "\(outcome)")
        }
    }

    private static func location(_ prefix: String, _ options: String = "") throws -> String {
        try SeaweedServer.running().location(prefix, bucket: SeaweedServer.lockingBucket, options: options)
    }

    @discardableResult
    private func run(_ arguments: String..., options: String = "", expecting status: Int32 = 0) throws -> ProgramUnderTest.Outcome {
        let outcome = try program.with(["REPO_URL": try Self.location(prefix, options)]).run(arguments)
        #expect(outcome.status == status, "\(arguments): \(outcome)")
        return outcome
    }

    /// Waits until the second is over, and returns it.
    private func tick() -> Int64 {
        let now = time(nil)
        while time(nil) == now { usleep(20_000) }
        return Int64(now)
    }

    @Test("A prune leaves locked packs alone, says so and until when, and frees them after that; what is needed stays locked")
    func prune() throws {
        defer { FileTree.remove(folder) }
        let store = try SeaweedServer.running().store(prefix, bucket: SeaweedServer.lockingBucket)
        try LockedPruning(folder: folder, program: program, location: { try Self.location(prefix, $0) }, store: store).run("governance")
    }

    @Test("After everything was deleted, what docs/ransomware.md says brings it back, and nothing can write to the past")
    func afterAnAttack() throws {
        defer { FileTree.remove(folder) }
        let tree = try SampleTree(at: folder + "/tree")
        let first = try run("snapshot", "files", tree.path, "--quiet").text
        try tree.change(to: 1)
        try run("snapshot", "files", tree.path, "--quiet")
        let before = try Described.tree(tree.path)
        let moment = SeaweedServer.time(tick())
        let store = try SeaweedServer.running().store(prefix, bucket: SeaweedServer.lockingBucket)
        try store.put(.init("snapshots/\(first)"), Array("overwritten".utf8), .replace)
        try store.delete(store.list("").map(\.key))
        try run("snapshots", expecting: 10)

        let guide = try String(decoding: FileTree.read("\(#filePath)".replacing("Tests/RepoCLITests/Program/S3LockProgramTests.swift", with: "docs/ransomware.md")), as: UTF8.self)
        var lines: [String] = []
        for line in try #require(guide.components(between: "```sh\n", and: "```")).split(separator: "\n") {
            switch line {
            case let line where line.hasPrefix("PAST="): lines.append("PAST='\(try Self.location(prefix, "as-of=" + moment))'")
            case let line where line.hasPrefix("NEW="): lines.append("NEW='\(try Self.location(prefix + "-new"))'")
            default: lines.append(String(line.replacing("/srv/restored", with: folder + "/restored")))
            }
        }
        #expect(lines.count == 8)
        try FileTree.write(folder + "/steps", Array("set -e\nrepo() { \"$REPO_PROGRAM\" \"$@\"; }\n\(lines.joined(separator: "\n"))\n".utf8))
        let shell = ProgramUnderTest(
            folder: folder, environment: program.environment.merging(["REPO_PROGRAM": try #require(ProgramUnderTest.path)]) { $1 }, executable: "/bin/sh")
        let steps = try shell.run(folder + "/steps")
        #expect(steps.status == 0, "\(steps) \(steps.text)")
        #expect(try Described.tree(folder + "/restored" + tree.path) == before)
        let copied = try program.with(["REPO_URL": try Self.location(prefix + "-new")])
        #expect(try copied.run("snapshots", "--json").text.contains(first))
        #expect(try copied.run("restore", "latest", "--target", folder + "/copied").status == 0)
        #expect(try Described.tree(folder + "/copied" + tree.path) == before)

        let past = "as-of=" + moment
        for command in [
            ["snapshot", "files", tree.path], ["forget", first], ["prune"], ["key", "add", "--out", folder + "/other"], ["storage", "probe"], ["drill", "latest"],
        ] {
            let outcome = try program.with(["REPO_URL": try Self.location(prefix, past)]).run(command)
            #expect(outcome.status == 15 && outcome.errors.contains("is the past"), "\(command): \(outcome)")
        }
        #expect(try store.list("").isEmpty)
    }
}

extension String {
    /// What stands between the first of these and what follows it.
    fileprivate func components(between start: String, and end: String) -> Substring? {
        guard let from = ranges(of: start).first?.upperBound, let to = self[from...].ranges(of: end).first?.lowerBound else { return nil }
        return self[from..<to]
    }
}
