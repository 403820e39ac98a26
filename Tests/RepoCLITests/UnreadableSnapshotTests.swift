import Foundation
import Glibc
import Testing

@testable import RepoCLI

/// A snapshot that does not read does not tell what it is of. Whoever asks for the newest may mean it, and the one before is no answer.
@Suite("Choosing the newest while a snapshot is damaged") struct UnreadableSnapshotTests {
    private let session: CommandSession
    private let first: String
    private let second: String

    init() throws {
        session = try CommandSession()
        first = session.run(["snapshot", "stdin", "--name", "shop.sql"], input: Array("one".utf8)).id
        second = session.run(["snapshot", "stdin", "--name", "shop.sql"], input: Array("two".utf8)).id
        let file = try FileHandle(forUpdating: URL(fileURLWithPath: "\(session.folder)/repository/snapshots/\(second)"))
        try file.seek(toOffset: 60)
        let byte = try #require(try file.read(upToCount: 1)?.first)
        try file.seek(toOffset: 60)
        try file.write(contentsOf: Data([byte ^ 1]))
        try file.close()
    }

    @Test(arguments: [
        ["restore", "latest", "--target", "out"], ["restore", "latest:shop.sql", "--target", "out"], ["restore", "--source", "shop.sql", "--target", "out"],
        ["restore", "--source", "shop.sql", "--at", "now", "--target", "out"], ["cat", "latest:shop.sql"], ["ls", "latest"], ["diff", "latest", "latest"],
        ["hold", "add", "latest"], ["forget", "latest"], ["drill", "--source", "shop.sql"], ["copy", "latest", "--to", "elsewhere"],
    ])
    func noCommandTakesTheOneBeforeForTheNewest(_ words: [String]) throws {
        let outcome = session.run(words.map { $0 == "out" ? "\(session.folder)/out" : $0 })
        #expect(outcome.status == 12 || words[0] == "copy" && outcome.status == 10, "\(outcome.errors)")
        #expect(outcome.output.isEmpty)
        #expect(session.names("out").isEmpty)
        #expect(session.names("repository/snapshots").count == 2)
        guard words[0] != "copy" else { return }
        #expect(outcome.errors.contains("snapshots/\(second) is damaged"))
        #expect(outcome.errors.contains("it may be the newest"))
        #expect(outcome.errors.contains("The newest that reads is \(first.prefix(8))"))
        #expect(outcome.errors.contains("'repo repair snapshots \(second.prefix(8))'"))
    }

    @Test func oneThatIsNamedIsTaken() throws {
        let outcome = session.run("cat", String(first.prefix(8)))
        #expect(outcome.status == 0 && outcome.output == "one")
        // Set aside, it stands in nobody's way.
        #expect(session.run("repair", "snapshots", second).status == 0)
        #expect(session.run("cat", "latest:shop.sql").output == "one")
    }

    @Test(arguments: [["latest"], ["--source", "shop.sql"]])
    func healingBringsTheNewestBack(_ choice: [String]) throws {
        let (there, here) = (session.folder + "/copy", session.folder + "/repository")
        // A copy from before the damage.
        let damaged = try Data(contentsOf: URL(fileURLWithPath: "\(here)/snapshots/\(second)"))
        var whole = damaged
        whole[60] ^= 1
        try whole.write(to: URL(fileURLWithPath: "\(here)/snapshots/\(second)"))
        #expect(session.run("init", "--repo", there, "--copy-of", here).status == 0)
        #expect(session.run("copy", "--to", there).status == 0)
        try damaged.write(to: URL(fileURLWithPath: "\(here)/snapshots/\(second)"))
        let outcome = session.run(["restore"] + choice + ["--target", session.folder + "/out", "--heal-from", there])
        #expect(outcome.status == 0, "\(outcome.errors)")
        #expect(try String(contentsOfFile: session.folder + "/out/shop.sql", encoding: .utf8) == "two")
    }

    @Test func aCopyTakesWhatReadsAndEndsWith12() throws {
        let there = session.folder + "/copy"
        #expect(session.run("init", "--repo", there, "--copy-of", session.folder + "/repository").status == 0)
        let outcome = session.run("copy", "--to", there)
        #expect(outcome.status == 12)
        #expect(outcome.errors.contains("snapshots/\(second) is damaged"))
        #expect(session.run("snapshots", "--repo", there).output.contains(first.prefix(8)))
    }
}

/// A clock that was wrong for a night dates a snapshot years ahead, and must not make it the newest for all those years.
@Suite("Choosing the newest while a snapshot is dated in the future") struct FutureSnapshotTests {
    private let session: CommandSession
    private let future: String
    private let newest: String

    init() throws {
        session = try CommandSession()
        _ = session.run(["snapshot", "stdin", "--name", "shop.sql"], input: Array("one".utf8))
        future = session.run(["snapshot", "stdin", "--name", "shop.sql", "--time", "2100-01-01"], input: Array("two".utf8)).id
        newest = session.run(["snapshot", "stdin", "--name", "shop.sql"], input: Array("three".utf8)).id
        // The store's clock tells whole seconds.
        for (seconds, id) in [(-100, future), (-50, newest)] {
            var times = [timespec(tv_sec: time(nil) + seconds, tv_nsec: 0), timespec(tv_sec: time(nil) + seconds, tv_nsec: 0)]
            utimensat(AT_FDCWD, "\(session.folder)/repository/snapshots/\(id)", &times, 0)
        }
    }

    @Test func theNewestByTheStoresClockIsTaken() throws {
        #expect(session.run("cat", "latest:shop.sql").output == "three")
        #expect(session.run("cat", "latest").output == "three")
        let restored = session.run("restore", "--source", "shop.sql", "--target", session.folder + "/out")
        #expect(restored.status == 0)
        #expect(restored.errors.contains("snapshot \(future.prefix(8)) is dated 2100-01-01T00:00:00Z, in the future"))
        #expect(try String(contentsOfFile: session.folder + "/out/shop.sql", encoding: .utf8) == "three")
        #expect(session.run("cat", String(future.prefix(8))).output == "two")
    }

    @Test func whileItIsTheLastThatCameItIsTheNewest() throws {
        #expect(session.run("forget", newest).status == 0)
        var times = [timespec(tv_sec: time(nil) + 100, tv_nsec: 0), timespec(tv_sec: time(nil) + 100, tv_nsec: 0)]
        utimensat(AT_FDCWD, "\(session.folder)/repository/snapshots/\(future)", &times, 0)
        #expect(session.run("cat", "latest:shop.sql").output == "two")
    }
}
