import Glibc
import Foundation
import Testing

@testable import RepoCLI

@Suite("Commands on a repository")
struct RepositoryCommandTests {
    @Test func aTreeIsRestoredComparedAndFound() throws {
        let session = try CommandSession()
        let path = try session.file("tree/a.conf", "one")
        try session.file("tree/b/c.txt", "two")
        let first = session.run("snapshot", "files", session.folder + "/tree").id
        try session.file("tree/a.conf", "other")
        try session.file("tree/new.conf", "new")
        let second = session.run("snapshot", "files", session.folder + "/tree").id

        let diff = session.run("diff", first, second, "--content-only")
        #expect(diff.lines == ["M  \(path)", "+  \(session.folder)/tree/new.conf"])
        let rows = session.run("diff", first, second, "--json").lines
        #expect(rows.contains { $0.contains("\"change\":\"added\"") && $0.contains("\"size_after\":3") })

        let found = session.run("find", "*.conf")
        #expect(found.lines.filter { $0.hasPrefix("  ") }.count == 3)
        #expect(found.lines.first?.hasPrefix(second.prefix(8)) == true)

        let long = session.run("ls", "-l", first, session.folder + "/tree/a.conf")
        #expect(long.lines.count == 1)
        #expect(long.output.hasPrefix("-rw-"))
        #expect(try session.run("ls", first, path, "--json").keys().contains("mode"))

        let target = session.folder + "/out"
        let restored = session.run("restore", first, "--target", target, "--json")
        #expect(restored.status == 0, "\(restored.errors)")
        #expect(try String(contentsOfFile: target + path, encoding: .utf8) == "one")
        #expect(session.run("restore", first, "--target", target).status == 1)
        #expect(
            session.run("restore", second, "--target", target, "--overwrite", "if-changed", "--delete").status
                == 0)
        #expect(try String(contentsOfFile: target + path, encoding: .utf8) == "other")
    }

    @Test func includesAndExcludesChooseWhatIsRestored() throws {
        let session = try CommandSession()
        for name in ["a.conf", "a.txt", "b/c.conf", "b/d.txt"] { try session.file("tree/" + name, name) }
        _ = session.run("snapshot", "files", session.folder + "/tree")
        let target = session.folder + "/out"
        let outcome = session.run(
            "restore", "latest", "--target", target, "--include", "*.conf", "--exclude", "a.conf")
        #expect(outcome.status == 0, "\(outcome.errors)")
        #expect(session.names("out\(session.folder)/tree") == ["b"])
        #expect(session.names("out\(session.folder)/tree/b") == ["c.conf"])
    }

    @Test(arguments: [["*.cnf"], ["*.conf", "/etc/ngnix"], ["*.conf", "a.txt"]])
    func anIncludeThatMatchesNothingIsRefusedBeforeAnythingIsTouched(_ includes: [String]) throws {
        let session = try CommandSession()
        for name in ["a.conf", "a.txt", "b/c.conf"] { try session.file("tree/" + name, name) }
        _ = session.run("snapshot", "files", session.folder + "/tree")
        let words = includes.flatMap { ["--include", $0] } + ["--exclude", "a.txt", "--include", "!b"]
        let outcome = session.run(["restore", "latest", "--target", session.folder + "/out/below"] + words)
        #expect(outcome.status == 1)
        #expect(access(session.folder + "/out", F_OK) != 0, "nor is a folder left behind")
        #expect(outcome.errors.contains("nothing in the snapshot matches '--include \(includes.last!)'"))
        #expect(session.names("out").isEmpty)
    }

    @Test func aDryRunOfARestoreTouchesNothing() throws {
        let session = try CommandSession()
        try session.file("tree/a", "a")
        _ = session.run("snapshot", "files", session.folder + "/tree")
        let outcome = session.run("restore", "latest", "--target", session.folder + "/out", "--dry-run")
        #expect(outcome.status == 0, "\(outcome.errors)")
        #expect(outcome.output.contains("create  \(session.folder)/tree/a"))
        #expect(session.names("out").isEmpty)
    }

    @Test func forgettingHoldsAndPruning() throws {
        let session = try CommandSession()
        for day in 1...4 {
            _ = session.run(
                "snapshot", "stdin", "--name", "a", "--time", "2026-10-0\(day)", input: [UInt8(day)])
        }
        let dry = session.run("forget", "--keep-daily", "2", "--dry-run")
        #expect(dry.lines.filter { $0.hasPrefix("keep ") }.count == 2)
        #expect(dry.lines.filter { $0.hasPrefix("let go ") }.count == 2)
        #expect(dry.output.contains("daily 1 of 2: 2026-10-04"))
        #expect(session.names("repository/snapshots").count == 4)

        #expect(session.run("hold", "add", "latest:a", "--reason", "audit").status == 0)
        #expect(session.run("hold", "list").output.contains("audit"))
        #expect(session.run("forget", "latest:a").status == 15)
        let gone = session.run("forget", "--keep-last", "1", "--json")
        let result = try #require(try gone.json() as? [String: Any])
        #expect((result["removed"] as? [Any])?.count == 3)
        #expect((result["kept"] as? [Any])?.count == 1)
        #expect(session.run("hold", "remove", "latest:a").status == 0)

        let prune = session.run("prune", "--json")
        #expect(prune.status == 0)
        #expect(Set(["bytes_freed", "bytes_rewritten", "packs_deleted"]).isSubset(of: Set(try prune.keys())))
        #expect(session.run("check", "--read-data").status == 0)
        #expect(session.run("cat", "latest").output == "\u{4}")
    }

    @Test func rulesOfTheConfigurationAreUsedWithoutOptions() throws {
        let session = try CommandSession()
        for day in 1...3 {
            _ = session.run(
                "snapshot", "stdin", "--name", "db", "--time", "2026-10-0\(day)", input: [UInt8(day)])
            _ = session.run(
                "snapshot", "stdin", "--name", "other", "--time", "2026-10-0\(day)", input: [UInt8(day)])
        }
        session.environment["REPO_CONFIG"] = try session.file(
            "repo.toml",
            """
            [[source]]
            name = "db"
            kind = "command"
            command = ["true"]
            [source.retention]
            keep-last = 1
            """)
        #expect(session.run("forget").status == 0)
        #expect(session.run("snapshots", "--source", "db").lines.count == 2)
        #expect(session.run("snapshots", "--source", "other").lines.count == 4)
    }

    @Test func checksHaveTheFieldsOfTheContract() throws {
        let session = try CommandSession()
        _ = session.run("snapshot", "stdin", "--name", "a", input: [1, 2, 3])
        let check = session.run("check", "--read-data", "--json")
        #expect(check.status == 0)
        #expect(Set(["objects", "blobs", "bytes_read", "errors"]).isSubset(of: Set(try check.keys())))
    }

    @Test func damageIsMendedStepByStep() throws {
        let session = try CommandSession()
        try session.file("tree/a", String(repeating: "a", count: 100_000))
        _ = session.run("snapshot", "files", session.folder + "/tree")
        for name in session.names("repository/index") { unlink("\(session.folder)/repository/index/\(name)") }
        #expect(session.run("check").status == 12)
        #expect(session.run("repair", "index").status == 0)
        #expect(session.run("check", "--read-data").status == 0)
        #expect(session.run("repair", "packs").status == 0)
        #expect(session.run("repair", "snapshots").output == "no snapshot needs repair\n")
    }

    @Test func keysAreMadeListedAndTakenAway() throws {
        let session = try CommandSession()
        let writer = session.folder + "/writer"
        #expect(session.run("key", "add", "--writer", "--out", writer, "--label", "web1").status == 0)
        #expect(session.run("key", "add", "--out", writer).status == 14)
        let keys = try #require(try session.run("key", "list", "--json").json() as? [[String: Any]])
        #expect(keys.filter { $0["state"] as? String == "active" }.count == 3)
        let id = try #require(keys.first { $0["label"] as? String == "web1" }?["id"] as? String)

        session.environment["REPO_KEY_FILE"] = writer
        let made = session.run("snapshot", "stdin", "--name", "a", input: [1])
        #expect(made.status == 0, "\(made.errors)")
        #expect(session.run("cat", made.id).status == 11)
        #expect(session.run("forget", made.id).status != 0)

        session.environment["REPO_KEY_FILE"] = session.folder + "/key"
        #expect(session.run("key", "remove", String(id.prefix(8))).status == 0)
        #expect(session.run("key", "rotate").status == 0)
        #expect(session.run("cat", made.id).status == 0)
        session.environment["REPO_KEY_FILE"] = writer
        #expect(session.run("snapshots").status == 11)
    }

    /// What a file or a command gives is the password that a person types, whatever its line ends with.
    @Test(arguments: ["correct horse", "correct horse\n", "correct horse\r\n", "correct horse\nsecond line", "correct horse\r"])
    func aPasswordIsTheFirstLine(_ text: String) throws {
        let password = text.hasSuffix("\r") ? "correct horse\r" : "correct horse"
        for way in ["file", "command"] {
            let session = try CommandSession(creating: false)
            let file = try session.file("password", text)
            session.environment["REPO_PASSWORD"] = nil
            session.environment["REPO_KEY_FILE"] = nil
            #expect(session.run("init", "--password-\(way)", way == "file" ? file : "cat '\(file)'").status == 0)
            session.environment["REPO_PASSWORD"] = password
            #expect(session.run("snapshots").status == 0, "\(way)")
            // And the other way round.
            #expect(session.run("key", "passwd", "--new-password-file", file).status == 0)
            #expect(session.run("snapshots").status == 0, "\(way)")
            session.environment["REPO_PASSWORD"] = nil
            #expect(session.run("snapshots", "--password-\(way)", way == "file" ? file : "cat '\(file)'").status == 0, "\(way)")
        }
    }

    @Test func aPasswordIsChanged() throws {
        let session = try CommandSession()
        session.environment["REPO_KEY_FILE"] = nil
        session.environment["REPO_PASSWORD"] = "secret"
        let file = try session.file("new", "another\n")
        #expect(session.run("key", "passwd", "--new-password-file", file).status == 0)
        #expect(session.run("snapshots").status == 11)
        session.environment["REPO_PASSWORD"] = "another"
        #expect(session.run("snapshots").status == 0)
    }

    @Test func statisticsCountEachBlobOnce() throws {
        let session = try CommandSession()
        let input = (0..<100_000).map { UInt8(truncatingIfNeeded: $0 &* $0 >> 3) }
        _ = session.run("snapshot", "stdin", "--name", "a", input: input)
        _ = session.run("snapshot", "stdin", "--name", "a", input: input)
        let stats = try #require(try session.run("stats", "--json").json() as? [String: Any])
        #expect(stats["logical_bytes"] as? Int == 200_000)
        #expect(stats["unique_bytes"] as? Int == 100_000)
        #expect((stats["capacity_bytes"] as? Int ?? 0) > 200_000)
        let text = session.run("stats")
        #expect(text.output.contains("room") && text.output.contains("no growth can be told before the fourth day"), "\(text)")
        #expect(text.errors.isEmpty)
    }

    @Test func aRepositoryThatFillsUpIsToldOf() throws {
        let session = try CommandSession()
        _ = session.run("snapshot", "stdin", "--name", "a", input: (0..<100_000).map { UInt8(truncatingIfNeeded: $0 &* $0 >> 3) })
        let file = session.folder + "/repo.toml"
        try "[repository]\ncapacity = \"200K\"\ncapacity-warning = \"40%\"\n".write(toFile: file, atomically: true, encoding: .utf8)
        let outcome = session.run("stats", "--config", file)
        #expect(outcome.status == 0)
        #expect(outcome.errors.contains("the repository fills up") && outcome.errors.contains("of 200.0 KiB"), "\(outcome)")
        try "[repository]\ncapacity = \"much\"\n".write(toFile: file, atomically: true, encoding: .utf8)
        #expect(session.run("stats", "--config", file).errors.contains("capacity = \"2T\""))
        try "[repository]\ncapacity-warning = \"101%\"\n".write(toFile: file, atomically: true, encoding: .utf8)
        #expect(session.run("stats", "--config", file).status == 2)
    }

    @Test func errorsAreObjectsWithJson() throws {
        let session = try CommandSession()
        let outcome = session.run("cat", "abcd", "--json")
        let object = try #require(
            try JSONSerialization.jsonObject(with: Data(outcome.errors.utf8)) as? [String: Any])
        #expect(object["exit_status"] as? Int == 1)
        #expect(object["error"] as? String == "not found")
        #expect(object.keys.sorted() == ["advice", "error", "exit_status", "message"])
    }
}
