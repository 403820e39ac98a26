import Glibc
import Testing

@testable import RepoCLI

@Suite("Exit statuses are those of the contract")
struct ExitStatusTests {
    struct Case: Sendable, CustomStringConvertible {
        let arguments: [String]
        let status: Int32
        /// What standard error must say.
        let says: String
        var description: String { arguments.joined(separator: " ") }

        init(_ line: String, _ status: Int32, _ says: String) {
            arguments = line.split(separator: " ").map(String.init)
            (self.status, self.says) = (status, says)
        }
    }

    static let cases = [
        Case("nonsense", 2, "Unexpected argument 'nonsense'"),
        Case("snapshots --nonsense", 2, "Unknown option '--nonsense'"),
        Case("snapshots --quiet --verbose", 2, "--quiet and --verbose exclude each other"),
        Case("snapshots --key-file a --password-file b", 2, "exclude each other"),
        Case("snapshots --repo /nonexistent/repository", 10, "/nonexistent/repository"),
        Case("snapshots --repo s3:bucket", 2, "neither '//' nor an address"),
        Case("snapshots --repo ftp://host/x", 2, "of no known kind"),
        Case("snapshots --config /nonexistent.toml", 2, "the configuration /nonexistent.toml cannot be read"),
        Case("snapshots --password-file /nonexistent", 2, "the password file /nonexistent cannot be read"),
        Case("snapshots --password-command false", 2, "it exited with 1"),
        Case("init", 2, "a key file was given"),
        Case("cat latest x", 1, "there is no snapshot yet"),
        Case("cat zzzz x", 2, "does not name a snapshot"),
        Case("cat abcd x", 1, "no snapshot's id begins with 'abcd'"),
        Case("restore --target /nonexistent/target", 1, "there is no snapshot yet"),
        Case("snapshot", 2, "the configuration has no sources"),
        Case("snapshot uploads", 2, "there is no source 'uploads'"),
        Case("snapshot files /nonexistent/path", 1, "/nonexistent/path cannot be read"),
        Case("snapshot stdin", 2, "--name"),
        Case("snapshot stdin --name a/b", 2, "cannot name a stream"),
        Case("snapshot stdin --name a --tag b", 2, "'b' is not a tag"),
        Case("snapshot stdin --name a --time yesterday", 2, "is not a time"),
        Case("snapshot stdin --name a --compression-level 20", 2, "from 1 to 19"),
        Case("snapshot stdin --name a --dry-run --verify", 2, "stores nothing"),
        Case("snapshot command --name a", 2, "There is no command to run"),
        Case("snapshot command --name a -- false", 1, "'false' exited with 1"),
        Case("snapshot command --name a -- /nonexistent/program", 1, "cannot be started"),
        Case("check --read-data --read-data-subset 1/2", 2, "exclude each other"),
        Case("check --read-data-subset 3/2", 2, "3/2"),
        Case("prune --max-unused 5", 2, "is not a percentage"),
        Case("key remove 00", 1, "no active key's id begins with '00'"),
    ]

    @Test(arguments: cases)
    func failuresSayWhatAndEndAsTheContractHasIt(_ one: Case) throws {
        let session = try CommandSession()
        let outcome = session.run(one.arguments)
        #expect(outcome.status == one.status)
        #expect(outcome.errors.contains(one.says), "\(outcome.errors)")
        #expect(outcome.errors.hasPrefix("repo: "))
        #expect(outcome.output.isEmpty)
        #expect(outcome.errors.split(separator: "\n").count <= 3, "an error stays short: \(outcome.errors)")
        #expect(session.names("repository/snapshots").isEmpty)
    }

    @Test func aWrongPasswordIsElevenAtOnce() throws {
        let session = try CommandSession()
        session.environment["REPO_KEY_FILE"] = nil
        session.environment["REPO_PASSWORD"] = "wrong"
        #expect(session.run("snapshots").status == 11)
    }

    @Test func withoutPasswordAndTerminalNobodyWaits() throws {
        let session = try CommandSession()
        session.environment["REPO_KEY_FILE"] = nil
        let outcome = session.run("snapshots")
        #expect(outcome.status == 2)
        #expect(outcome.errors.contains("there is no terminal to ask on"))
    }

    @Test func twoCredentialsInTheEnvironmentContradictEachOther() throws {
        let session = try CommandSession()
        session.environment["REPO_PASSWORD"] = "secret"
        let outcome = session.run("snapshots")
        #expect(outcome.status == 2)
        #expect(outcome.errors.contains("REPO_KEY_FILE and REPO_PASSWORD are both given"))
    }

    @Test func optionsComeBeforeTheEnvironment() throws {
        let session = try CommandSession()
        let password = try session.file("password", "secret\n")
        session.environment["REPO_KEY_FILE"] = "/nonexistent"
        #expect(session.run("snapshots", "--password-file", password).status == 0)
        #expect(session.run("snapshots", "--password-command", "echo secret").status == 0)
    }

    @Test func anExistingRepositoryIsAConflict() throws {
        let session = try CommandSession(creating: false)
        #expect(session.run("init").status == 0)
        #expect(session.run("init").status == 14)
    }

    @Test func aTimeBeforeTheFirstSnapshotIsThirteenAndNamesTheNearest() throws {
        let session = try CommandSession()
        let id = session.run("snapshot", "stdin", "--name", "a", "--time", "2026-10-02", input: [1]).id
        let outcome = session.run("restore", "--at", "2026-10-01", "--target", session.folder + "/out")
        #expect(outcome.status == 13)
        #expect(outcome.errors.contains(id.prefix(8)))
        #expect(session.run("restore", "--at", "2026-10-03", "--target", session.folder + "/out").status == 0)
        #expect(session.names("out") == ["a"])
    }

    @Test func damageIsTwelve() throws {
        let session = try CommandSession()
        _ = session.run("snapshot", "stdin", "--name", "a", input: Array(repeating: 7, count: 5000))
        for folder in session.names("repository/packs") {
            for name in session.names("repository/packs/" + folder) {
                truncate("\(session.folder)/repository/packs/\(folder)/\(name)", 30)
            }
        }
        #expect(session.run("cat", "latest").status == 12)
        let check = session.run("check")
        #expect(check.status == 12)
        #expect(check.output.contains("damaged: packs/"))
    }

    @Test func aReaderThatWentAwayEndsItQuietly() throws {
        let session = try CommandSession()
        _ = session.run("snapshot", "stdin", "--name", "a", input: Array(repeating: 7, count: 5000))
        var ends: [CInt] = [0, 0]
        pipe(&ends)
        close(ends[0])
        defer { close(ends[1]) }
        let console = Console(output: ends[1], errors: ends[1], environment: session.environment)
        #expect(CommandRunner(console: console).run(["cat", "latest"]) == 141)
    }
}
