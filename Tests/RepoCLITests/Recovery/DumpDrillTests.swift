import Foundation
import Glibc
import PostgresTesting
import Testing

/// `repo drill` of snapshots of dumps: what it promises is that they load.
@Suite("Restore tests of dumps", .serialized)
struct DumpDrillTests {
    private let server: PostgresServer
    private let session: CommandSession

    init() throws {
        server = try PostgresServer()
        session = try CommandSession()
        try server.start()
        let place = server.folder + "/fast"
        try PostgresServer.run(["/bin/mkdir", place])
        try server.sql("CREATE ROLE owner; ALTER ROLE postgres VALID UNTIL '2001-01-01'")
        try server.sql("CREATE TABLESPACE fast LOCATION '\(place)'")
        try server.sql("CREATE DATABASE shop OWNER owner TABLESPACE fast")
        try server.sql(
            """
            CREATE TABLE orders AS SELECT g AS id, md5(g::text) AS note FROM generate_series(1, 500) g; ALTER TABLE orders OWNER TO owner;
            CREATE TABLE elsewhere (id int) TABLESPACE pg_default; CREATE TABLE many (id int) PARTITION BY RANGE (id);
            CREATE TABLE many1 PARTITION OF many FOR VALUES FROM (0) TO (10); INSERT INTO many VALUES (1), (2)
            """, database: "shop")
    }

    private func snapshot(_ arguments: String...) {
        let made = session.run(["snapshot", "postgres", "--dsn", "host=\(server.folder) user=postgres", "--logical", "--name", "dumps"] + arguments)
        #expect(made.status == 0, "\(made.errors)")
    }

    private func drill() throws -> (status: Int32, checks: [String: [String: Any]], json: [String: Any]) {
        // Where the server's user may go too.
        let scratch = server.folder + "/scratch"
        try PostgresServer.run(["/bin/mkdir", scratch])
        let outcome = session.run("drill", "--source", "dumps", "--scratch", scratch, "--json")
        let line = outcome.output.split(separator: "\n").last.map(String.init) ?? "{}"
        let json = try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any] ?? [:]
        let checks = (json["checks"] as? [[String: Any]] ?? []).map { ($0["name"] as? String ?? "", $0) }
        #expect(FileTree.names(scratch).isEmpty && !json.isEmpty, "\(outcome.errors)")
        return (outcome.status, Dictionary(checks) { first, _ in first }, json)
    }

    @Test("Dumps that load pass, with every row counted, and nothing is left or made in the places of the old server")
    func passes() throws {
        defer { server.remove() }
        snapshot("--row-counts")
        let outcome = try drill()
        #expect(outcome.status == 0, "\(outcome.json)")
        #expect(outcome.checks["load shop"]?["result"] as? String == "passed")
        #expect((outcome.checks["rows of shop"]?["detail"] as? String)?.hasPrefix("502 rows in 3 tables") == true, "\(outcome.json)")
        let counts = outcome.json["row_counts"] as? [[String: Any]] ?? []
        #expect(counts.contains { $0["table"] as? String == "public.orders" && $0["rows"] as? Int == 500 && $0["recorded"] as? Int == 500 }, "\(counts)")
        #expect((outcome.json["seconds_to_recovery"] as? Double ?? 0) > 0)
        // The old server's own folder, and no other one in there.
        #expect(FileTree.names(server.folder + "/fast").count == 1)
        #expect(try server.sql("SELECT count(*) FROM pg_database WHERE datname = 'shop'") == "1")
    }

    @Test("A dump that does not load fails, with the server's own words")
    func fails() throws {
        defer { server.remove() }
        // Rows come in the order of the tables' names: the condition looks at one that is still empty.
        try server.sql(
            """
            CREATE TABLE z_rates (id int); INSERT INTO z_rates VALUES (1);
            CREATE FUNCTION has_rates() RETURNS boolean LANGUAGE sql AS 'SELECT EXISTS (SELECT FROM public.z_rates)';
            CREATE TABLE a_prices (id int CONSTRAINT rated CHECK (has_rates())); INSERT INTO a_prices VALUES (1)
            """, database: "shop")
        snapshot()
        let outcome = try drill()
        #expect(outcome.status == 1 && outcome.json["outcome"] as? String == "failed", "\(outcome.json)")
        let findings = (outcome.checks["load shop"]?["findings"] as? [String] ?? []).joined()
        #expect(findings.contains("rated"), "\(outcome.json)")
        #expect(outcome.checks["load postgres"]?["result"] as? String == "passed", "\(outcome.json)")
        let reports = session.run("drill", "--list")
        #expect(reports.output.contains("failed"), "\(reports.output)")
    }
}
