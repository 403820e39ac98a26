import Foundation
import Glibc
import PostgresTesting
import RepoBase
import Testing

/// A shop whose server archives, with a moment at which all was well, and what went wrong afterwards. Made once.
final class ExtractFixture: @unchecked Sendable {
    static let shared = Result { try ExtractFixture() }

    static let odd = "\"Or.ders \"\"Ü\"\" ''*\""
    static let schema = """
        CREATE SCHEMA sales; CREATE TYPE mood AS ENUM ('sad', 'fine'); CREATE DOMAIN price AS numeric CHECK (VALUE >= 0);
        CREATE FUNCTION plus(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 + 1';
        CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN new.note := coalesce(new.note, ''new''); RETURN new; END';
        CREATE TABLE customers (id int PRIMARY KEY, name text);
        INSERT INTO customers SELECT g, 'customer ' || g FROM generate_series(1, 200) g;
        CREATE TABLE \(odd) ("Id" int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, s serial, c int REFERENCES customers, m mood, p price DEFAULT 1,
          g int GENERATED ALWAYS AS (c + 1) STORED, note text, "Sp.ace ""x" bytea, span interval, CONSTRAINT positive CHECK (plus(c) > 0));
        CREATE INDEX ON \(odd) (plus(c)); CREATE INDEX "by Name" ON \(odd) (note text_pattern_ops) WHERE c > 3;
        CREATE STATISTICS st ON c, m FROM \(odd); COMMENT ON TABLE \(odd) IS 'it''s odd'; COMMENT ON COLUMN \(odd).c IS 'who';
        CREATE TRIGGER stamp BEFORE INSERT ON \(odd) FOR EACH ROW EXECUTE FUNCTION stamp(); GRANT SELECT ON \(odd) TO PUBLIC;
        CREATE TABLE p (id int, d int, PRIMARY KEY (id, d)) PARTITION BY RANGE (d); CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10);
        CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (10) TO (20) PARTITION BY RANGE (d); CREATE TABLE sales.p21 PARTITION OF p2 DEFAULT;
        CREATE TABLE parent (id serial PRIMARY KEY, t text); CREATE TABLE child (more int) INHERITS (parent);
        CREATE UNLOGGED TABLE fleeting (id int); INSERT INTO fleeting VALUES (1);
        CREATE TABLE view_of (id int); CREATE VIEW seen AS SELECT id FROM view_of;
        """

    let archived: ArchivedServer
    let scratch: String
    /// With a zone.
    let moment: String
    /// What questions answered then.
    private(set) var truth: [String: String] = [:]

    static let questions = [
        "SELECT count(*), md5(string_agg(o::text, '|' ORDER BY \"Id\")) FROM \(odd) o",
        "SELECT count(*), md5(string_agg(tableoid::regclass::text || o::text, '|' ORDER BY id, d)) FROM p o",
        "SELECT count(*), md5(string_agg(c::text, '|' ORDER BY id)) FROM customers c",
        "SELECT count(*), md5(string_agg(c::text, '|' ORDER BY id)) FROM child c",
    ]

    private init() throws {
        archived = try ArchivedServer()
        scratch = archived.folder.path + "/scratch"
        try PostgresServer.run(["/bin/mkdir", scratch])
        let server = archived.server
        try server.start()
        try server.sql("CREATE DATABASE shop")
        try server.sql(Self.schema, database: "shop")
        try archived.run("snapshot postgres --dsn '\(server.connectionString)' --name main-db")
        // For two seconds behind its checkpoint a first backup cannot be used.
        usleep(2_200_000)
        // All of this is in the log alone.
        try server.sql(
            """
            INSERT INTO \(Self.odd) (c, m, note, "Sp.ace ""x", span) SELECT 1 + g % 200, CASE g % 3 WHEN 0 THEN 'sad' WHEN 1 THEN 'fine' END::mood,
              CASE WHEN g % 7 > 0 THEN E'line\\n\\t\\\\. ' || g END, decode(repeat(md5(g::text), 50 * (g % 5)), 'hex'), g * interval '1 month 3 days' FROM generate_series(1, 2000) g;
            UPDATE \(Self.odd) SET note = (SELECT string_agg(md5(g::text), '') FROM generate_series(1, 40000) g) WHERE "Id" = 2;
            INSERT INTO p SELECT g, g % 20 FROM generate_series(1, 400) g; INSERT INTO parent (t) SELECT 'p' FROM generate_series(1, 5);
            INSERT INTO child (t, more) SELECT 'c', g FROM generate_series(1, 7) g; INSERT INTO view_of VALUES (1), (2);
            CREATE TABLE sales.brief AS SELECT 1 AS id;
            """, database: "shop")
        moment = try server.sql("SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.USZ')")
        for question in Self.questions { truth[question] = try server.sql(question, database: "shop") }
        usleep(5000)
        // A later moment proves that the one before is whole.
        try server.sql("CREATE TABLE later (id int)", database: "shop")
        try archived.archiveAll()
    }

    @discardableResult
    func sql(_ text: String, database: String = "shop") throws -> String { try archived.server.sql(text, database: database) }

    func dsn(_ database: String = "shop") -> String { "host=\(archived.server.folder) user=postgres dbname=\(database)" }

    /// Runs `repo restore` as the server's user: its exit status, and what it said.
    func restore(_ arguments: String...) throws -> (status: Int, output: String) { try restore(arguments) }

    /// - Parameters:
    ///   - moment: nil for the one when all was well.
    ///   - environment: further variables, as `["NAME=value"]`.
    func restore(_ arguments: [String], at moment: String? = nil, scratch: String? = nil, environment: [String] = []) throws -> (status: Int, output: String) {
        let folder = archived.folder
        let text = try PostgresServer.run(
            [
                "/usr/bin/env", "REPO_CONFIG=/dev/null", "REPO_URL=\(folder.repository)", "REPO_KEY_FILE=\(folder.path)/machine.key",
                "REPO_CACHE_DIR=\(folder.path)/cache",
            ] + environment + [
                "/bin/sh", "-c", "\"$@\" 2>&1; echo \"status $?\"", "sh", archived.program, "restore", "--source",
                "main-db", "--at", moment ?? self.moment, "--scratch", scratch ?? self.scratch,
            ] + arguments)
        let lines = text.split(separator: "\n")
        return (Int(lines.last?.dropFirst("status ".count) ?? "") ?? -1, lines.dropLast().joined(separator: "\n"))
    }

    /// Nothing of it is left.
    var isClean: Bool { FileTree.names(scratch).isEmpty }

    /// What pg_dump says of a table: everything but values of sequences, which are up to 32 ahead after a recovery (SEQ_LOG_VALS, commands/sequence.c).
    func definition(_ table: String, database: String = "shop") throws -> String {
        try PostgresServer.run([
            PostgresServer.binaries + "/pg_dump", "-h", archived.server.folder, "-U", "postgres", "--table", table, database,
        ]).split(separator: "\n").filter { !$0.contains("restrict") && !$0.contains("setval") }.joined(separator: "\n")
    }
}
