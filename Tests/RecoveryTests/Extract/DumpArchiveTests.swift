import Foundation
import PostgresTesting
import RepoBase
import Testing

@testable import PostgresFormats
@testable import Recovery

/// Archives that the real pg_dump made of the real thing.
@Suite("Archives of pg_dump", .serialized)
struct DumpArchiveTests {
    private static let schema = """
        CREATE SCHEMA sales; CREATE TYPE mood AS ENUM ('a', 'b'); CREATE DOMAIN price AS numeric;
        CREATE FUNCTION plus(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 + 1';
        CREATE FUNCTION trg() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END';
        CREATE TABLE customers (id serial PRIMARY KEY, name text); COMMENT ON TABLE customers IS 'c';
        CREATE TABLE orders (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, c int REFERENCES customers, m mood, p price, x int DEFAULT plus(1), s serial,
          g int GENERATED ALWAYS AS (c + 1) STORED, CHECK (plus(x) > 0));
        CREATE INDEX orders_x ON orders (plus(x)); CREATE TRIGGER t BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION trg();
        COMMENT ON COLUMN orders.x IS 'x'; COMMENT ON INDEX orders_x IS 'i'; GRANT SELECT ON orders TO PUBLIC;
        ALTER TABLE orders ENABLE ROW LEVEL SECURITY; CREATE POLICY pol ON orders USING (id IN (SELECT id FROM customers));
        CREATE RULE r AS ON DELETE TO orders WHERE old.id = 1 DO ALSO DELETE FROM customers; CREATE STATISTICS st ON c, x FROM orders;
        CREATE TABLE "orders x" (id int PRIMARY KEY, o int REFERENCES orders); CREATE VIEW v AS SELECT * FROM orders;
        CREATE TABLE p (id int, d int) PARTITION BY RANGE (d); CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10);
        CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (10) TO (20) PARTITION BY RANGE (d); CREATE TABLE sales.p21 PARTITION OF p2 DEFAULT;
        CREATE INDEX pi ON p (id); CREATE TABLE inh (z int) INHERITS (customers); CREATE TABLE rowtype (a customers);
        CREATE TABLE "We.ird ""Q"" Ünï" ("Col ""a" int PRIMARY KEY); CREATE MATERIALIZED VIEW mv AS SELECT id FROM orders; CREATE INDEX mvi ON mv (id);
        INSERT INTO orders (c) SELECT NULL FROM generate_series(1, 1000); INSERT INTO p SELECT g, g % 20 FROM generate_series(1, 100) g;
        INSERT INTO customers (name) VALUES (E'a\\nb\\\\.\\n'), (repeat('long ', 100000)), (NULL), (''); SELECT lo_from_bytea(0, 'large');
        """

    nonisolated(unsafe) private static let shared: PostgresServer? = {
        guard let server = try? PostgresServer(), (try? server.start()) != nil else { return nil }
        atexit { DumpArchiveTests.shared?.remove() }
        guard (try? server.sql(schema)) != nil else { return nil }
        return server
    }()

    private func dump(_ arguments: [String] = []) throws -> [UInt8] {
        let server = try #require(Self.shared)
        let path = "\(server.folder)/\(UInt64.random(in: 0 ... .max)).dump"
        try PostgresServer.run(
            [PostgresServer.binaries + "/pg_dump", "-Fc", "-Z0", "-h", server.folder, "-U", "postgres", "-f", path] + arguments + ["postgres"])
        return Array(try Data(contentsOf: URL(fileURLWithPath: path)))
    }

    private func scan(_ bytes: [UInt8], step: Int = .max) throws -> DumpScan {
        var scan = DumpScan(object: "a.dump")
        try bytes.withUnsafeBytes { bytes in
            var at = 0
            while at < bytes.count {
                let end = step == .max ? bytes.count : min(bytes.count, at + step)
                try scan.push(UnsafeRawBufferPointer(rebasing: bytes[at..<end]))
                at = end
            }
        }
        try scan.finish()
        return scan
    }

    private func selection(_ contents: DumpContents, _ pattern: String) throws -> TableSelection {
        TableSelection(contents, tables: [try TablePattern(pattern)], schemas: [])
    }

    private func named(_ entries: [DumpEntry]) -> Set<String> { Set(entries.map { "\($0.kind) \($0.schema ?? "-") \($0.name)" }) }

    @Test("rows of every table are counted, in whatever pieces the archive comes")
    func counts() throws {
        let server = try #require(Self.shared)
        let bytes = try dump()
        let whole = try scan(bytes)
        let contents = try #require(whole.contents)
        #expect(contents.serverMajor >= 13 && contents.database == "postgres" && contents.isUncompressed)
        for step in [1, 7, 4096, 65_537] { #expect(try scan(bytes, step: step).rows == whole.rows) }
        for entry in contents.entries where entry.kind == "TABLE DATA" {
            let table = TableName(entry)
            #expect(try server.sql("SELECT count(*) FROM ONLY \(table.sql)") == "\(whole.rows[entry.id] ?? 0)", "\(table)")
        }
    }

    @Test("an archive that ends early or is something else is found out at every length")
    func damaged() throws {
        let bytes = try dump(["--table=p1", "--table=customers"])
        for length in Array(stride(from: 0, to: bytes.count, by: 97)) + [bytes.count - 1] {
            #expect(throws: RepoError.self, "\(length)") { try scan(Array(bytes[..<length])) }
        }
        #expect(throws: RepoError.self) { try scan(bytes + [9]) }
        #expect(throws: RepoError.self) { try scan(Array("SELECT 1".utf8)) }
        var newer = bytes
        newer[6] = 99
        let error = #expect(throws: RepoError.self) { try scan(newer) }
        #expect(error?.code == .usage)
        // Whatever a flipped byte does, it is an error or an archive, and no crash.
        var random = SystemRandomNumberGenerator()
        for _ in 0..<300 {
            var flipped = bytes
            flipped[Int.random(in: 0..<min(bytes.count, 12_000), using: &random)] ^= UInt8.random(in: 1...255, using: &random)
            _ = try? scan(flipped)
        }
    }

    /// pg_dump's own choice is the oracle. It leaves out extended statistics (PostgreSQL 15), which belong to a table all the same, and indexes' and
    /// partitions' ties to tables that do not come along.
    @Test(
        "what belongs to a table is what pg_dump takes for it",
        arguments: ["customers", "orders", "\"orders x\"", "p1", "v", "mv", "rowtype", "\"We.ird \"\"Q\"\" Ünï\"", "inh"])
    func belongs(_ pattern: String) throws {
        let contents = try #require(try scan(try dump()).contents)
        let mine = try selection(contents, pattern)
        // Children come along.
        let tables = mine.tables.map { "--table=\($0.sql)" }
        let oracle = try #require(try scan(try dump(tables)).contents).entries.filter { !["ENCODING", "STDSTRINGS", "SEARCHPATH", "DATABASE"].contains($0.kind) && !$0.name.hasPrefix("DATABASE ") }
        let extra = named(mine.entries).subtracting(named(oracle))
        #expect(extra.allSatisfy { $0.hasPrefix("STATISTICS ") || $0.hasPrefix("INDEX ATTACH ") || $0.hasPrefix("TABLE ATTACH ") }, "\(extra)")
        #expect(named(oracle).subtracting(named(mine.entries)).isEmpty, "\(named(oracle).subtracting(named(mine.entries)))")
    }

    @Test("a partitioned table comes with all of its partitions, and what inherits with its parent")
    func children() throws {
        let contents = try #require(try scan(try dump()).contents)
        #expect(try selection(contents, "p").tables.map(\.description).sorted() == ["public.p", "public.p1", "public.p2", "sales.p21"])
        #expect(try selection(contents, "customers").told.map(\.description) == ["public.customers", "public.inh"])
        #expect(try selection(contents, "rowtype").tables.map(\.description) == ["public.rowtype"])
        let alone = try selection(contents, "p1")
        #expect(alone.openAttachments.contains { $0.entry.kind == "TABLE ATTACH" && $0.parent == TableName(schema: "public", name: "p") })
        #expect(alone.needs.isEmpty)
    }

    @Test("what has to be there is named")
    func needs() throws {
        let contents = try #require(try scan(try dump()).contents)
        let names = Set(try selection(contents, "orders").needs.map { "\($0.kind) \($0.name)" })
        #expect(names == ["TYPE mood", "DOMAIN price", "FUNCTION plus(integer)", "FUNCTION trg()", "TABLE customers"])
        #expect(Set(try selection(contents, "v").needs.map(\.name)).isSuperset(of: ["orders", "mood", "price"]))
        #expect(try selection(contents, "sales.*").schemas == ["sales"])
        let schema = TableSelection(contents, tables: [], schemas: [try TablePattern(schema: "sales")])
        #expect(schema.schemas.isEmpty && named(schema.entries).contains("SCHEMA - sales"))
        #expect(try selection(contents, "nix").unmatched.count == 1)
    }
}
