import Foundation
import Glibc
import Testing

@testable import RepoCLI

/// What commands say and how they end where the store hides what this machine has seen.
@Suite("Freshness on the command line") struct FreshnessCommandTests {
    private let session: CommandSession
    private let first: String
    private let second: String

    init() throws {
        session = try CommandSession()
        first = session.run(["snapshot", "stdin", "--name", "shop.sql"], input: Array("one".utf8)).id
        second = session.run(["snapshot", "stdin", "--name", "shop.sql"], input: Array("two".utf8)).id
    }

    private func hide(_ id: String) throws {
        try #require(rename("\(session.folder)/repository/snapshots/\(id)", "\(session.folder)/hidden") == 0)
    }

    @Test func everyCommandThatListsSaysWhatIsMissingAndEndsWith12() throws {
        try hide(second)
        // The cache may be deleted; the memory is elsewhere.
        try FileManager.default.removeItem(atPath: session.folder + "/cache")
        let listed = session.run("snapshots")
        #expect(listed.status == 12)
        #expect(listed.errors.contains("WARNING: 1 snapshot that this machine has seen is missing"))
        #expect(listed.errors.contains("\(second.prefix(8)) of shop.sql"))
        #expect(listed.errors.contains("--accept-missing"))
        #expect(listed.output.contains(first.prefix(8)))
        let restored = session.run("restore", "latest", "--target", session.folder + "/out")
        #expect(restored.status == 12 && restored.errors.contains("WARNING"))
        #expect(session.names("out") == ["shop.sql"])
        let named = session.run("restore", first, "--target", session.folder + "/named")
        #expect(named.status == 0 && named.errors.contains("WARNING"))
        let stored = session.run(["snapshot", "stdin", "--name", "shop.sql"], input: Array("three".utf8))
        #expect(stored.status == 12 && stored.errors.contains("WARNING"))
        #expect(stored.id.count == 64, "the snapshot is there all the same")
        let checked = session.run("check", "--json")
        #expect(checked.status == 12 && checked.output.contains("snapshots/\(second)"))
        for refused in [["prune"], ["forget", "--keep-last", "1"]] {
            let outcome = session.run(refused)
            #expect(outcome.status == 12 && outcome.errors.contains("refusing to"), "\(refused): \(outcome.errors)")
        }
        #expect(session.run("forget", stored.id).status == 0, "one that is named")
    }

    @Test func whatIsAcceptedIsNotMissedAnyMore() throws {
        try hide(first)
        let accepted = session.run("snapshots", "--accept-missing")
        #expect(accepted.status == 0 && accepted.errors.contains("accepted: snapshots/\(first)"), "\(accepted.errors)")
        let listed = session.run("snapshots")
        #expect(listed.status == 0 && listed.errors.isEmpty)
        #expect(session.run("prune").status == 0)
    }

    @Test func nothingIsStoredUnderAnOlderConfig() throws {
        let config = session.folder + "/repository/config"
        let generation = session.folder + "/repository/configs/00000003"
        let before = try Data(contentsOf: URL(fileURLWithPath: config))
        #expect(session.run("key", "rotate").status == 0)
        try #require(FileManager.default.fileExists(atPath: generation))
        try before.write(to: URL(fileURLWithPath: config))
        try FileManager.default.removeItem(atPath: generation)
        for words in [["snapshot", "stdin", "--name", "x"], ["key", "rotate"], ["prune"]] {
            let outcome = session.run(words)
            #expect(outcome.status == 12 && outcome.errors.contains("generation 2"), "\(words): \(outcome.errors)")
        }
        #expect(session.run("snapshots").status == 12)
        #expect(session.run("cat", "latest", "shop.sql").output == "two")
    }

    @Test func theMemoryIsReadableByItsOwnerAlone() throws {
        let folder = session.folder + "/.local/state/repo/seen"
        var status = stat()
        #expect(stat(folder, &status) == 0 && status.st_mode & 0o777 == 0o700)
        for name in session.names(".local/state/repo/seen") {
            #expect(stat("\(folder)/\(name)", &status) == 0 && status.st_mode & 0o777 == 0o600, "\(name)")
        }
    }

    @Test func aMemoryThatCannotBeWrittenStopsNothing() throws {
        session.environment["REPO_STATE_DIR"] = "/dev/null/nowhere"
        let stored = session.run(["snapshot", "stdin", "--name", "shop.sql"], input: Array("three".utf8))
        #expect(stored.status == 0 && stored.errors.contains("would not notice"))
    }
}
