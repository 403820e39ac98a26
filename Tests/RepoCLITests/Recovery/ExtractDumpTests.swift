import Foundation
import Glibc
import PostgresTesting
import Testing

@testable import RepoCLI

/// `repo restore SNAP --table` from snapshots of dumps.
@Suite("Single tables out of dumps", .serialized)
struct ExtractDumpTests {
    private static let odd = ExtractFixture.odd

    /// A server, and a repository with dumps of it, one of them by an earlier moment.
    private final class Dumped: @unchecked Sendable {
        let server: PostgresServer
        let session: CommandSession
        let dsn: String

        init() throws {
            server = try PostgresServer()
            try server.start()
            dsn = "host=\(server.folder) user=postgres"
            session = try CommandSession()
            for statement in ["CREATE ROLE owner", "CREATE DATABASE shop", "CREATE DATABASE other"] { try server.sql(statement) }
            try server.sql(ExtractFixture.schema, database: "shop")
            try server.sql(
                """
                INSERT INTO \(odd) (c, m) SELECT 1 + g % 200, 'fine' FROM generate_series(1, 3000) g; ALTER TABLE customers OWNER TO owner;
                INSERT INTO p SELECT g, g % 20 FROM generate_series(1, 400) g; CREATE TABLE empty ()
                """, database: "shop")
            try server.sql("CREATE TABLE customers (id int)", database: "other")
            let made = session.run("snapshot", "postgres", "--dsn", dsn, "--logical", "--name", "dumps")
            guard made.status == 0 else { throw POSIXError(.EIO) }
        }
    }

    private static let shared: Dumped? = {
        guard let dumped = try? Dumped() else { return nil }
        atexit { ExtractDumpTests.shared?.server.remove() }
        return dumped
    }()

    private let dumped: Dumped

    init() throws { dumped = try #require(Self.shared) }

    private func restore(_ arguments: String...) -> CommandSession.Outcome {
        dumped.session.run(["restore", "latest:dumps", "--scratch", dumped.session.folder] + arguments)
    }

    private func definition(_ table: String, _ database: String) throws -> String {
        try PostgresServer.run([PostgresServer.binaries + "/pg_dump", "-h", dumped.server.folder, "-U", "postgres", "--table", table, database])
            .split(separator: "\n").filter { !$0.contains("restrict") }.joined(separator: "\n")
    }

    @Test("tables come back as they were dumped, with what belongs to them, and what they need is named first")
    func tables() throws {
        let server = dumped.server
        try server.sql("CREATE DATABASE target")
        let target = "\(dumped.dsn) dbname=target"
        let missing = restore("--table", Self.odd, "--to", target)
        #expect(missing.status == 1 && missing.errors.contains("function public.plus(integer)") && missing.errors.contains("table public.customers"), "\(missing.errors)")
        #expect(try server.sql("SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace", database: "target") == "0")
        // Where several databases have it, one is to be named.
        let several = restore("--table", "customers", "--to", target)
        #expect(several.status == 2 && several.errors.contains("other, shop"), "\(several.errors)")
        let first = restore("--table", "customers", "--database", "shop", "--to", target)
        #expect(first.status == 0 && first.output.contains("restored public.customers: 200 rows, counted again there"), "\(first)")
        try server.sql(
            """
            CREATE TYPE mood AS ENUM ('sad', 'fine'); CREATE DOMAIN price AS numeric CHECK (VALUE >= 0); CREATE SCHEMA sales;
            CREATE FUNCTION plus(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 + 1'; CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END'
            """, database: "target")
        let second = restore("--table", Self.odd, "--table", "p", "--table", "empty", "--to", target, "--json")
        #expect(second.status == 0, "\(second.errors)")
        for table in [Self.odd, "p", "p1", "sales.p21", "customers", "empty"] { #expect(try definition(table, "target") == definition(table, "shop")) }
        #expect(restore("--table", "p", "--to", target).status == 14)
        #expect(restore("--table", "p", "--clean", "--to", target).status == 0)
        #expect(try definition("p1", "target") == definition("p1", "shop"))
        try server.sql("DELETE FROM p", database: "target")
        #expect(restore("--table", "p", "--append", "--to", target).output.contains("added to public.p1: 200 rows"))
        #expect(try server.sql("SELECT count(*) FROM p", database: "target") == "400")
        #expect(dumped.session.names("").allSatisfy { !$0.hasPrefix("repo-throwaway") })
    }

    @Test("a file of SQL is whole or not there, and nobody else's")
    func files() throws {
        let file = dumped.session.folder + "/p.sql"
        #expect(restore("--table", "p", "--target", file).status == 0)
        var status = stat()
        #expect(stat(file, &status) == 0 && status.st_mode & 0o777 == 0o600)
        let again = restore("--table", "p", "--target", file)
        #expect(again.status == 14 && again.errors.contains("--overwrite"))
        #expect(restore("--table", "p", "--target", file, "--overwrite", "always").status == 0)
        #expect(restore("--table", "p", "--target", "/nowhere/p.sql").status == 2)
        try dumped.server.sql("CREATE DATABASE fromfile")
        try dumped.server.sql("CREATE SCHEMA sales", database: "fromfile")
        try PostgresServer.run(["/bin/cp", file, dumped.server.folder + "/p.sql"], asServer: false)
        try PostgresServer.own(dumped.server.folder + "/p.sql")
        try PostgresServer.run([
            PostgresServer.binaries + "/psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", dumped.server.folder, "-U", "postgres", "-f",
            dumped.server.folder + "/p.sql", "fromfile",
        ])
        #expect(try definition("p1", "fromfile") == definition("p1", "shop"))
    }

    @Test("a schema comes whole")
    func schemas() throws {
        try dumped.server.sql("CREATE DATABASE schemas")
        let target = "\(dumped.dsn) dbname=schemas"
        let alone = restore("--schema", "sales", "--database", "shop", "--to", target)
        #expect(alone.status == 0 && alone.errors.contains("a table of its own"), "\(alone.errors)")
        #expect(try dumped.server.sql("SELECT count(*) FROM sales.p21", database: "schemas") == "200")
        #expect(restore("--schema", "nix", "--to", target).errors.contains("nothing matches 'nix'"))
    }

    @Test("damage is found before the target is touched, and a stream that breaks off changes nothing")
    func damage() throws {
        let session = try CommandSession()
        for database in ["damaged", "large"] { try dumped.server.sql("CREATE DATABASE \(database)") }
        try dumped.server.sql("CREATE TABLE big AS SELECT g AS id, md5(g::text) || md5((g * 7)::text) AS t FROM generate_series(1, 300000) g", database: "large")
        #expect(session.run("snapshot", "postgres", "--dsn", dumped.dsn, "--logical", "--database", "large", "--name", "d").status == 0)
        let packs = session.folder + "/repository/packs"
        var largest = (path: "", size: 0)
        for file in FileTree.files(packs) {
            var status = stat()
            if stat(file, &status) == 0, Int(status.st_size) > largest.size { largest = (file, Int(status.st_size)) }
        }
        var bytes = try FileTree.read(largest.path)
        bytes[bytes.count / 2] ^= 1
        chmod(largest.path, 0o600)
        try FileTree.write(largest.path, bytes)
        let outcome = session.run("restore", "latest:d", "--table", "big", "--to", "\(dumped.dsn) dbname=damaged", "--scratch", session.folder)
        #expect(outcome.status == 12, "\(outcome.errors)")
        #expect(try dumped.server.sql("SELECT to_regclass('big') IS NULL", database: "damaged") == "t")
        unlink(largest.path)
        let lost = session.run("restore", "latest:d", "--table", "big", "--to", "\(dumped.dsn) dbname=damaged", "--scratch", session.folder)
        #expect(lost.status != 0, "\(lost.errors)")
        #expect(try dumped.server.sql("SELECT to_regclass('big') IS NULL", database: "damaged") == "t")
    }

    @Test(
        "options that do not go together are refused",
        arguments: [
            "--table a", "--table a --to x --target y", "--table a --to x --include b", "--table a --to x --start", "--table a --to x --into b",
            "--table a --to x --append --clean", "--table a --table b --to x --where c", "--table a --schema b --to x", "--where c --to x",
            "--table a --to x --overwrite always", "--table a.b.c --to x", "--table a --to x --rename-to b", "--table a --to x --where c",
            "--table a --to x --database b --database c", "--clean --target x", "--schema a --append --to x", "--table a --to x --where= ",
        ])
    func conflicts(_ arguments: String) {
        let words = arguments.split(separator: " ", omittingEmptySubsequences: false).map(String.init)
        #expect(dumped.session.run(["restore", "latest:dumps"] + words).status == 2, "\(arguments)")
    }

    @Test("roles that are not there are named, and left out where that is asked for")
    func owners() throws {
        let other = try PostgresServer()
        defer { other.remove() }
        try other.start()
        let target = "host=\(other.folder) user=postgres"
        let refused = restore("--table", "customers", "--database", "shop", "--to", "\(target) dbname=postgres")
        #expect(refused.status == 1 && refused.errors.contains("role owner") && refused.errors.contains("--no-owner"), "\(refused.errors)")
        // The database is the one of the same name where none is named.
        try other.sql("CREATE DATABASE shop")
        let outcome = restore("--table", "customers", "--database", "shop", "--no-owner", "--to", target)
        #expect(outcome.status == 0, "\(outcome.errors)")
        #expect(try other.sql("SELECT count(*) FROM customers", database: "shop") == "200")

        // The role is there, and the one that loads may not give anything to it: told before the target is touched.
        try other.sql("CREATE ROLE owner; CREATE ROLE loader LOGIN")
        try other.sql("CREATE DATABASE given OWNER loader")
        try other.sql("CREATE TYPE mood AS ENUM ('sad', 'fine'); GRANT CREATE ON SCHEMA public TO loader, owner", database: "given")
        let loader = "host=\(other.folder) user=loader dbname=given"
        let mayNot = restore("--table", "customers", "--database", "shop", "--to", loader)
        #expect(mayNot.status == 1 && mayNot.errors.contains("may give nothing to owner") && mayNot.errors.contains("--no-owner"), "\(mayNot.errors)")
        #expect(!mayNot.errors.contains("loading"))
        try other.sql("GRANT owner TO loader")
        let member = restore("--table", "customers", "--database", "shop", "--to", loader)
        #expect(member.status == 0, "\(member.errors)")
        #expect(try other.sql("SELECT tableowner FROM pg_tables WHERE tablename = 'customers'", database: "given") == "owner")
    }

    @Test("triggers that change added rows are told")
    func triggers() throws {
        let server = dumped.server
        try server.sql("CREATE DATABASE triggered")
        try server.sql(
            """
            CREATE TABLE customers (id int PRIMARY KEY, name text);
            CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN new.name := upper(new.name); RETURN new; END';
            CREATE TRIGGER "Shout" BEFORE INSERT ON customers FOR EACH ROW EXECUTE FUNCTION shout();
            CREATE TRIGGER other BEFORE UPDATE ON customers FOR EACH ROW EXECUTE FUNCTION shout();
            CREATE TRIGGER off BEFORE INSERT ON customers FOR EACH ROW EXECUTE FUNCTION shout(); ALTER TABLE customers DISABLE TRIGGER off
            """, database: "triggered")
        let outcome = restore("--table", "customers", "--database", "shop", "--append", "--to", "\(dumped.dsn) dbname=triggered")
        #expect(outcome.status == 0 && outcome.errors.contains("trigger \"Shout\" of public.customers,"), "\(outcome.errors)")
        #expect(try server.sql("SELECT name FROM customers WHERE id = 1", database: "triggered") == "CUSTOMER 1")
    }
}
