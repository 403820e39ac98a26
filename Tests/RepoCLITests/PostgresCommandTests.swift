import Foundation
import PostgresTesting
import Testing

@testable import RepoCLI

@Suite("Snapshots of PostgreSQL from the command line", .serialized)
struct PostgresCommandTests {
    nonisolated(unsafe) private static let shared: PostgresServer? = {
        guard let server = try? PostgresServer(initdb: ["--data-checksums"]), (try? server.start()) != nil else { return nil }
        atexit { PostgresCommandTests.shared?.remove() }
        return server
    }()

    private func server() throws -> PostgresServer { try #require(Self.shared) }

    private func dsn() throws -> String { "host=\(try server().folder) user=postgres" }

    @Test func aBaseBackupSaysWhatItIs() throws {
        let session = try CommandSession()
        let outcome = session.run("snapshot", "postgres", "--dsn", try dsn(), "--with-wal", "--label", "nightly", "--json")
        #expect(outcome.status == 0 && outcome.errors.isEmpty)
        #expect(try outcome.keys() == (SnapshotCommandTests.fields + ["cluster"]).sorted())
        let object = try #require(try outcome.json() as? [String: Any])
        #expect(object["source"] as? String == "postgres")
        let cluster = try #require(object["cluster"] as? [String: Any])
        #expect(cluster["method"] as? String == "physical" && cluster["label"] as? String == "nightly")
        #expect(cluster["includes_log"] as? Bool == true && cluster["checksums"] as? Bool == true)
        #expect(cluster["system_identifier"] as? String == (try server().sql("SELECT system_identifier FROM pg_control_system()")))
        #expect((cluster["databases"] as? [[String: Any]])?.count == 3)
        let listed = try #require(try session.run("snapshots", "--json").json() as? [[String: Any]])
        #expect(listed.map { $0["kind"] as? String } == ["postgres"])
        #expect(session.run("cat", "latest:postgres", "backup_label").output.contains("LABEL: nightly"))
    }

    @Test func withoutAnyLogAWarningSaysWhatIsMissing() throws {
        let session = try CommandSession()
        let outcome = session.run("snapshot", "postgres", "--dsn", try dsn(), "--name", "main-db")
        #expect(outcome.status == 0)
        #expect(outcome.errors.contains("cannot be restored without it") && outcome.errors.contains("repo wal push"))
        #expect(outcome.lines.first?.contains("of main-db:") == true)
    }

    @Test func aConfiguredSourceIsBackedUp() throws {
        let session = try CommandSession()
        session.environment["REPO_CONFIG"] = try session.file(
            "repo.toml",
            """
            [[source]]
            name = "files"
            kind = "postgres"
            dsn = "\(try dsn())"
            with-wal = true
            checkpoint = "fast"
            max-rate = "200M"

            [[source]]
            name = "dumps"
            kind = "postgres"
            dsn = "\(try dsn())"
            logical = true
            exclude-databases = ["template*"]
            row-counts = true
            """)
        let outcome = session.run("snapshot", "--json")
        #expect(outcome.status == 0, "\(outcome.errors)")
        #expect(outcome.lines.count == 2)
        #expect(session.run("ls", "latest:dumps").output.split(separator: "\n") == ["/globals.sql", "/postgres.dump"])
    }

    @Test(
        arguments: [
            (["--logical", "--with-wal"], "--with-wal is for backups of a cluster's files"),
            (["--database", "shop"], "--database is for dumps"),
            (["--checkpoint", "slow"], "--checkpoint is 'fast' or 'spread', not 'slow'"),
            (["--max-rate", "much"], "--max-rate is a size as in 50M, not 'much'"), (["--max-rate", "2G"], "32 KiB to 1 GiB"),
        ])
    func whatDoesNotGoTogetherIsRefusedBeforeTheServerIsAsked(_ arguments: [String], _ message: String) throws {
        let session = try CommandSession()
        let outcome = session.run(["snapshot", "postgres", "--dsn", "host=/nowhere"] + arguments)
        #expect(outcome.status == 2)
        #expect(outcome.errors.contains(message))
    }

    @Test func configurationErrorsNameTheSource() throws {
        for (text, message) in [
            ("dsn = \"host=/x\"\nwith-wal = true\nlogical = true", "source 'db': 'with-wal' is for backups of a cluster's files"),
            ("", "source 'db' has no dsn"), ("dsn = \"host=/x\"\nmax-rat = \"1M\"", "Did you mean 'max-rate'?"),
        ] {
            let error = #expect(throws: (any Error).self) {
                try Configuration(parsing: "[[source]]\nname = \"db\"\nkind = \"postgres\"\n\(text)\n", file: "repo.toml")
            }
            #expect(error.map { "\($0)" }?.contains(message) == true, "\(error.map { "\($0)" } ?? "")")
        }
    }

    @Test func damageIsExitThree() throws {
        let server = try server()
        // Nothing writes the page again: frozen, without autovacuum, on disk.
        try server.sql("CREATE TABLE harmed WITH (autovacuum_enabled = off) AS SELECT generate_series(1, 10000) AS id")
        try server.sql("VACUUM (FREEZE) harmed")
        try server.sql("CHECKPOINT")
        defer { _ = try? server.sql("DROP TABLE harmed") }
        let path = "\(server.data)/\(try server.sql("SELECT pg_relation_filepath('harmed')"))"
        let file = try FileHandle(forUpdating: URL(fileURLWithPath: path))
        try file.seek(toOffset: 8192 * 2 + 4000)
        try file.write(contentsOf: Data([1, 2, 3, 4, 5]))
        try file.close()
        let session = try CommandSession()
        let outcome = session.run("snapshot", "postgres", "--dsn", try dsn(), "--with-wal")
        #expect(outcome.status == 3)
        #expect(outcome.errors.contains("table public.harmed of database postgres, main fork") && outcome.errors.contains("block 2 is damaged"))
        #expect(outcome.id.count == 64)
    }
}
