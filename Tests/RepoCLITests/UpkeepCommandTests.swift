import Foundation
import Testing

@testable import RepoCLI

@Suite("Upkeep from the command line")
struct UpkeepCommandTests {
    private static func bytes(_ seed: Int) -> [UInt8] {
        var numbers = SeededNumbers(seed: UInt64(seed))
        return numbers.bytes(200_000)
    }

    private static func remove(_ session: CommandSession, _ folder: String) {
        for name in session.names("repository/\(folder)") {
            try? FileManager.default.removeItem(atPath: "\(session.folder)/repository/\(folder)/\(name)")
        }
    }

    @Test func aLostIndexIsSentToItsRepair() throws {
        let session = try CommandSession()
        #expect(session.run("snapshot", "stdin", "--name", "a", input: Self.bytes(1)).status == 0)
        Self.remove(session, "index")
        let checked = session.run("check")
        #expect(checked.status == 12)
        #expect(checked.errors.contains("repo repair index"))
        #expect(!checked.errors.contains("prune"))
        #expect(session.run("repair", "index").status == 0)
        #expect(session.run("check").status == 0)
    }

    @Test func aDryRunOfForgetAndPruneShowsWhatTheTwoWouldFree() throws {
        let session = try CommandSession()
        let gone = session.run("snapshot", "stdin", "--name", "a", input: Self.bytes(1)).id
        #expect(session.run("snapshot", "stdin", "--name", "a", input: Self.bytes(2)).status == 0)
        for arguments in [["forget", "--keep-last", "1"], ["forget", gone]] {
            let outcome = session.run(arguments + ["--dry-run", "--prune"])
            #expect(outcome.status == 0)
            #expect(outcome.lines.last?.contains("would be freed") == true)
            #expect(
                outcome.output.contains("nothing in it is needed")
                    || outcome.output.contains("is not needed"), "\(outcome.output)")
        }
        #expect(session.run("prune", "--dry-run").lines.last?.hasPrefix("dry run: 0 packs") == true)
        #expect(session.names("repository/snapshots").count == 2)
    }

    @Test func anUnreadableSnapshotIsSetAsideByItsRepair() throws {
        let session = try CommandSession()
        #expect(session.run("snapshot", "stdin", "--name", "a", input: Self.bytes(1)).status == 0)
        let bad = session.run("snapshot", "stdin", "--name", "a", input: Self.bytes(2)).id
        try Data([1, 2, 3]).write(to: URL(fileURLWithPath: "\(session.folder)/repository/snapshots/\(bad)"))
        for arguments in [["forget", "--keep-last", "1"], ["prune"]] {
            let blocked = session.run(arguments)
            #expect(blocked.status == 12)
            #expect(blocked.errors.contains("repo repair snapshots \(bad.prefix(8))"))
        }
        let repaired = session.run("repair", "snapshots", String(bad.prefix(8)))
        #expect(repaired.status == 0)
        #expect(repaired.output.contains("damaged/\(bad)"))
        #expect(session.run("forget", "--keep-last", "1").status == 0)
        #expect(session.run("prune").status == 0)
        #expect(session.run("check", "--read-data").status == 0)
        #expect(session.run("repair", "snapshots").output == "no snapshot needs repair\n")
    }

    /// Readers deliver what the rest of the index leads to, and say what they go without.
    @Test func readersGoOnWithoutADamagedSegment() throws {
        let session = try CommandSession()
        let content = Self.bytes(1)
        let before = session.run("snapshot", "stdin", "--name", "a", input: [1, 2, 3]).id
        #expect(session.run("snapshot", "stdin", "--name", "a", input: content).status == 0)
        let first = session.names("repository/index")
        #expect(session.run("snapshot", "stdin", "--name", "b", input: Self.bytes(2)).status == 0)
        let second = try #require(session.names("repository/index").first { !first.contains($0) })
        try Data([1, 2, 3]).write(to: URL(fileURLWithPath: "\(session.folder)/repository/index/\(second)"))
        try? FileManager.default.removeItem(atPath: "\(session.folder)/cache")
        for arguments in [
            ["cat", "latest:a"], ["ls", "latest:a"], ["find", "a"], ["diff", before, "latest:a"],
            ["restore", "latest:a", "--target", "\(session.folder)/target"],
        ] {
            let outcome = session.run(arguments)
            #expect(
                outcome.errors.contains("index/\(second)") && outcome.errors.contains("repo repair index"),
                "\(arguments)")
            if arguments[0] != "find" { #expect(outcome.status == 0, "\(arguments): \(outcome.errors)") }
        }
        #expect(FileManager.default.contents(atPath: "\(session.folder)/target/a") == Data(content))
        #expect(session.run("cat", "latest:b").status == 12)
        #expect(
            session.run("snapshot", "stdin", "--name", "a", input: [1]).status == 12,
            "writers need the index whole")
    }

    @Test func aDryRunOfRestoreCounts() throws {
        let session = try CommandSession()
        #expect(session.run("snapshot", "stdin", "--name", "a", input: Self.bytes(1)).status == 0)
        let outcome = session.run("restore", "latest", "--target", "\(session.folder)/target", "--dry-run")
        #expect(outcome.status == 0)
        #expect(
            outcome.lines.last?.contains("1 file, 0 unchanged; 195.3 KiB, 195.3 KiB to be written")
                == true, "\(outcome.output)")
    }
}
