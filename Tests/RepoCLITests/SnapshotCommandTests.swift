import Glibc
import Testing

@testable import RepoCLI

@Suite("Snapshots from the command line")
struct SnapshotCommandTests {
    static let fields = [
        "bytes_added", "bytes_read", "bytes_stored", "errors", "files_changed", "files_new",
        "files_unmodified", "seconds",
        "snapshot_id", "source",
    ]

    @Test func aStreamComesBackAsItWas() throws {
        let session = try CommandSession()
        let made = session.run("snapshot", "stdin", "--name", "dump.sql", input: Array("select 1;\n".utf8))
        #expect(made.status == 0)
        #expect(made.id.count == 64)
        #expect(made.lines.first?.contains("1 new, 0 changed, 0 unmodified files; 10 B read") == true)
        #expect(session.run("cat", made.id, "dump.sql").output == "select 1;\n")
        #expect(session.run("cat", "latest:dump.sql").output == "select 1;\n")
        #expect(session.names("repository/writers").isEmpty)
    }

    @Test func jsonHasTheFieldsOfTheContractAndNoOthers() throws {
        let session = try CommandSession()
        let outcome = session.run("snapshot", "stdin", "--name", "a", "--json", input: [1, 2, 3])
        #expect(try outcome.keys() == Self.fields)
        #expect(outcome.lines.count == 1)
        let object = try #require(try outcome.json() as? [String: Any])
        #expect(object["bytes_read"] as? Int == 3)
        #expect(object["source"] as? String == "a")
    }

    @Test func storedBytesAreWhatTheRepositoryGrewBy() throws {
        let session = try CommandSession()
        func size(_ path: String) -> Int {
            session.names(path).reduce(0) { sum, name in
                let below = size("\(path)/\(name)")
                return sum + below + (below == 0 ? fileSize("\(session.folder)/\(path)/\(name)") : 0)
            }
        }
        let before = size("repository")
        let outcome = session.run(
            "snapshot", "stdin", "--name", "a", "--json",
            input: (0..<200_000).map { UInt8(truncatingIfNeeded: $0 &* $0) })
        let object = try #require(try outcome.json() as? [String: Any])
        #expect(object["bytes_stored"] as? Int == size("repository") - before)
    }

    @Test(arguments: ["exit 3", "echo partial; kill -9 $$", "echo partial; exit 1"])
    func aCommandThatFailsLeavesNoSnapshot(_ script: String) throws {
        let session = try CommandSession()
        let outcome = session.run("snapshot", "command", "--name", "c", "--", "sh", "-c", script)
        #expect(outcome.status == 1)
        #expect(outcome.output.isEmpty)
        #expect(session.names("repository/snapshots").isEmpty)
        #expect(session.names("repository/writers").isEmpty)
    }

    @Test func aPathThatIsNotThereIsNamedAndTheOthersAreTaken() throws {
        let session = try CommandSession()
        try session.file("tree/a", "a")
        let (there, missing) = (session.folder + "/tree", session.folder + "/mnt/b")
        let outcome = session.run("snapshot", "files", missing, there, "--name", "n")
        #expect(outcome.status == 3)
        #expect(outcome.errors.contains("\(missing) cannot be read: No such file or directory"))
        #expect(session.run("ls", outcome.id).lines.last == there + "/a")
        let none = session.run("snapshot", "files", missing, "--name", "n")
        #expect(none.status == 1)
        #expect(none.errors.contains("no snapshot was made"))
        #expect(session.names("repository/snapshots").count == 1)
    }

    @Test func aCommandsOptionsAreItsOwn() throws {
        let session = try CommandSession()
        let outcome = session.run("snapshot", "command", "--name", "c", "--", "printf", "%s", "--json")
        #expect(outcome.status == 0)
        #expect(session.run("cat", outcome.id).output == "--json")
    }

    @Test func aDryRunStoresNothingAndSaysHowMuchItWould() throws {
        let session = try CommandSession()
        let input = (0..<100_000).map { UInt8(truncatingIfNeeded: $0 &* $0 >> 3) }
        let dry = session.run("snapshot", "stdin", "--name", "a", "--dry-run", "--json", input: input)
        #expect(dry.status == 0)
        #expect(try dry.keys() == (Self.fields + ["dry_run"]).sorted())
        for folder in ["snapshots", "packs", "index", "writers"] {
            #expect(session.names("repository/" + folder).isEmpty)
        }
        let real = session.run("snapshot", "stdin", "--name", "a", "--json", input: input)
        let sizes = try [dry, real].map { (try $0.json() as? [String: Any])?["bytes_added"] as? Int }
        // The times in the tree differ, and so does how well they compress.
        #expect(abs(try #require(sizes[0]) - #require(sizes[1])) < 64)
    }

    @Test func globalOptionsMayStandBeforeTheCommand() throws {
        let session = try CommandSession()
        let made = session.run("--quiet", "snapshot", "stdin", "--name", "a", input: [1])
        #expect(made.lines == [made.id])
        #expect(
            try session.run("--json", "--repo", session.folder + "/repository", "snapshots").keys().contains(
                "short_id"))
    }

    @Test func tagsHostAndTimeAreKeptAndFound() throws {
        let session = try CommandSession()
        _ = session.run(
            "snapshot", "stdin", "--name", "a", "--tag", "env=prod", "--host", "db1", "--time", "2026-10-02",
            input: [1])
        _ = session.run("snapshot", "stdin", "--name", "b", input: [2])
        let found = session.run("snapshots", "--tag", "env=prod", "--host", "db1", "--json")
        let rows = try #require(try found.json() as? [[String: Any]])
        #expect(rows.count == 1)
        #expect(rows[0]["time"] as? String == "2026-10-02T00:00:00Z")
        #expect(
            try found.keys() == [
                "bytes", "held", "host", "id", "kind", "root", "short_id", "source", "tags", "time",
            ])
    }

    @Test func excludesOfTheCommandLineAndOfFilesCount() throws {
        let session = try CommandSession()
        try session.file("tree/keep.txt", "1")
        try session.file("tree/skip.tmp", "2")
        try session.file("tree/skip.log", "3")
        let patterns = try session.file("patterns", "*.log\n")
        let made = session.run(
            "snapshot", "files", session.folder + "/tree", "--exclude", "*.tmp", "--exclude-file", patterns,
            "--verify")
        #expect(made.status == 0, "\(made.errors)")
        let listed = session.run("ls", made.id)
        #expect(listed.output.contains("keep.txt"))
        #expect(!listed.output.contains("skip"))
    }

    @Test func everySourceOfTheConfigurationRunsWhateverFails() throws {
        let session = try CommandSession()
        try session.file("tree/a", "a")
        session.environment["REPO_CONFIG"] = try session.file(
            "repo.toml",
            """
            [[source]]
            name = "bad"
            kind = "command"
            command = ["false"]

            [[source]]
            name = "tree"
            kind = "files"
            paths = ["\(session.folder)/tree"]
            tags = ["from=config"]

            [[source]]
            name = "db"
            kind = "postgres"
            dsn = "host=/nowhere"
            """)
        let all = session.run("snapshot", "--json")
        #expect(all.status == 1)
        #expect(all.lines.count == 1)
        #expect(all.errors.contains("source 'bad'"))
        #expect(all.errors.contains("cannot connect to host=/nowhere"))
        #expect(session.run("snapshot", "tree").status == 0)
        #expect(session.run("snapshot", "tre").errors.contains("Did you mean 'tree'?"))
        #expect(session.run("snapshots", "--tag", "from=config", "--json").output.contains("short_id"))
    }

    private func fileSize(_ path: String) -> Int {
        var status = stat()
        return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFREG ? Int(status.st_size) : 0
    }
}
