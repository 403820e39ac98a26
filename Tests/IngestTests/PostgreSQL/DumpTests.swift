import Glibc
import PostgresClient
import PostgresFormats
import PostgresTesting
import RepoBase
import Testing

@testable import Ingest
@testable import Repository

@Suite("Dumps of databases", .serialized)
struct DumpTests {
    nonisolated(unsafe) private static let shared: PostgresServer? = {
        guard let server = try? PostgresServer(), (try? server.start()) != nil else { return nil }
        atexit { DumpTests.shared?.remove() }
        do {
            try server.sql("CREATE ROLE reader LOGIN PASSWORD 'x'")
            for name in ["shop", "\"a/b%\"", "test_1"] { try server.sql("CREATE DATABASE \(name)") }
            try server.sql(
                """
                CREATE SCHEMA "my schema";
                CREATE TABLE orders AS SELECT g AS id, md5(g::text) AS text FROM generate_series(1, 30000) g;
                CREATE TABLE "my schema"."odd "" name" AS SELECT generate_series(1, 7) AS id;
                CREATE TABLE parts (id int) PARTITION BY RANGE (id);
                CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (100);
                INSERT INTO parts SELECT generate_series(1, 50);
                CREATE TABLE excluded AS SELECT 1 AS id;
                CREATE MATERIALIZED VIEW view AS SELECT * FROM orders;
                GRANT SELECT ON orders TO reader
                """, database: "shop")
        } catch {
            return nil
        }
        return server
    }()

    private func server() throws -> PostgresServer { try #require(Self.shared) }

    private func snapshot(
        _ place: ClusterRepository, user: String = "postgres", _ change: (inout DumpOptions) -> Void = { _ in }
    ) throws -> SourceOutcome {
        // As the program does: a child that stops reading is no reason to die.
        signal(SIGPIPE, SIG_IGN)
        var options = DumpOptions()
        change(&options)
        let server = try DumpedServer(ConnectionTarget("host=\(try server().folder) user=\(user)"))
        let description = SourceDescription(name: "dumps", host: "host", user: "user")
        return try DumpSource(description, server: server, options: options).run(place.repository)
    }

    @Test func everyDatabaseIsAFileThatRestores() throws {
        let place = try ClusterRepository()
        let outcome = try snapshot(place)
        #expect(outcome.problems.isEmpty && outcome.snapshot.kind == "postgres")
        #expect(
            try place.paths(outcome.snapshot)
                == ["a%2Fb%25.dump", "globals.sql", "postgres.dump", "shop.dump", "template1.dump", "test_1.dump"])
        let facts = try place.facts(outcome)
        #expect(facts.method == .logical && facts.databases.map(\.name) == ["a/b%", "postgres", "shop", "template1", "test_1"])
        #expect(facts.databases.allSatisfy { $0.bytes > 1 << 20 && $0.rowCounts.isEmpty })
        #expect(facts.systemIdentifier != 0)

        let folder = try place.restore(outcome.snapshot, "dumps")
        let server = try server()
        try server.sql("CREATE DATABASE again")
        defer { _ = try? server.sql("DROP DATABASE again") }
        let restore = [PostgresServer.binaries + "/pg_restore", "-h", server.folder, "-U", "postgres", "--exit-on-error"]
        try PostgresServer.run(restore + ["-d", "again", folder + "/shop.dump"])
        #expect(try server.sql("SELECT count(*), sum(id) FROM orders", database: "again") == "30000|450015000")
        #expect(try server.sql("SELECT count(*) FROM view", database: "again") == "30000")
        let globals = try PostgresServer.run(["/bin/cat", folder + "/globals.sql"])
        #expect(globals.contains("CREATE ROLE reader") && globals.contains("PASSWORD"))
    }

    @Test func theNextDumpCostsWhatHasChanged() throws {
        let place = try ClusterRepository()
        let first = try snapshot(place)
        try server().sql("UPDATE orders SET text = 'other' WHERE id = 15000", database: "shop")
        let second = try snapshot(place)
        #expect(second.snapshot.statistics.bytesAdded * 20 < first.snapshot.statistics.bytesAdded)
        #expect(second.snapshot.statistics.filesNew == 0)
    }

    @Test func rowsAreCountedInTheDumpsOwnSnapshot() throws {
        let place = try ClusterRepository()
        let outcome = try snapshot(place) {
            $0.databases = ["shop"]
            $0.excludedTables = ["excluded"]
            $0.countsRows = true
        }
        let facts = try place.facts(outcome)
        #expect(facts.databases.map(\.name) == ["shop"])
        let counts = facts.databases[0].rowCounts.map { "\($0.schema).\($0.table)=\($0.rows)" }
        #expect(counts == ["my schema.odd \" name=7", "public.orders=30000", "public.parts_1=50"])
    }

    @Test func databasesAreChosenByPatterns() throws {
        let place = try ClusterRepository()
        let chosen = try snapshot(place) {
            $0.databases = ["*s*"]
            $0.excludedDatabases = ["post*", "test_?"]
        }
        #expect(try place.paths(chosen.snapshot) == ["globals.sql", "shop.dump"])
        let unknown = #expect(throws: RepoError.self) { try snapshot(place) { $0.databases = ["shpo"] } }
        #expect(unknown?.code == .usage && unknown?.message.contains("'shpo'") == true)
        let nothing = #expect(throws: RepoError.self) { try snapshot(place) { $0.excludedDatabases = ["*"] } }
        #expect(nothing?.code == .usage)
        #expect(try place.snapshotCount == 1)
    }

    @Test func aDumpThatFailsLeavesNoSnapshot() throws {
        let place = try ClusterRepository()
        // It may read one of the tables.
        let error = #expect(throws: RepoError.self) { try snapshot(place, user: "reader") { $0.databases = ["shop"] } }
        #expect(error?.code == .sourceFailed && error?.message.contains("pg_dump") == true)
        #expect(try place.snapshotCount == 0)
    }

    @Test func withoutTheRightToReadPasswordsTheRestIsTakenAndSaid() throws {
        let place = try ClusterRepository()
        try server().sql("GRANT pg_read_all_data TO reader")
        defer { _ = try? server().sql("REVOKE pg_read_all_data FROM reader") }
        let outcome = try snapshot(place, user: "reader") { $0.databases = ["shop"] }
        #expect(outcome.problems.count == 1 && outcome.problems[0].message.contains("no passwords"))
        #expect(outcome.snapshot.statistics.errors == 1)
    }

    @Test func programsThatAreTooOldAreRefused() {
        let error = #expect(throws: RepoError.self) { try DumpTools(for: PostgresVersion(number: 990_000)) }
        #expect(error?.code == .usage && error?.advice.contains("postgresql-client-99") == true)
    }

    @Test(arguments: [
        ("pg_dump (PostgreSQL) 15.20 (Debian 15.20-0+deb12u1)", 150_020), ("pg_dump (PostgreSQL) 17.2", 170_002),
        ("pg_dump (PostgreSQL) 19devel", 190_000),
    ])
    func versionsAreReadAsTheyArePrinted(_ text: String, _ number: Int) {
        #expect(DumpTools.version(printed: text)?.number == number)
        #expect(DumpTools.version(printed: "something else") == nil)
    }

    @Test(arguments: [
        ("shop", "shop", true), ("shop", "sh*", true), ("shop", "*", true), ("shop", "?hop", true), ("shop", "shop?", false),
        ("", "*", true), ("", "?", false), ("aXbXc", "a*b*c", true), ("aXbX", "a*b*c", false), ("a*b", "a*b", true), ("aab", "*ab", true),
    ])
    func patternsMatchWholeNames(_ name: String, _ pattern: String, _ matches: Bool) {
        #expect(DumpOptions.matches(name, pattern) == matches)
    }

    @Test(arguments: ["shop", "a/b", "100%", "%2F", "ä ö", "a/\u{301}b", "%\u{301}2F", "%2F\u{301}"])
    func namesOfDatabasesComeBack(_ name: String) {
        let file = DumpSource.fileName(ofDatabase: name)
        #expect(!file.utf8.contains(UInt8(ascii: "/")))
        #expect(DumpSource.database(ofFile: file) == name)
    }

    @Test func aListingTellsTheTablesByTheirOids() {
        let listing = """
            ;
            ; Archive created at 2026-11-21 09:00:00 UTC
            3351; 0 16388 TABLE DATA public my table postgres
            215; 1259 16389 TABLE public other postgres
            3352; 0 16400 TABLE DATA x y postgres
            3353; 0 16401 MATERIALIZED VIEW DATA public v postgres
            """
        #expect(ArchiveListing.tables(listing) == [16388, 16400])
    }
}
