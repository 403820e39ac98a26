import Glibc
import PostgresTesting
import Testing

@testable import RepoCLI

@Suite("Dumps restored into a running server", .serialized)
struct DumpRestoreTests {
    nonisolated(unsafe) private static let shared: PostgresServer? = {
        guard let server = try? PostgresServer(), (try? server.start()) != nil else { return nil }
        atexit { DumpRestoreTests.shared?.remove() }
        do {
            try server.sql("CREATE ROLE owner LOGIN")
            try server.sql("CREATE DATABASE shop OWNER owner")
            try server.sql(
                """
                CREATE TABLE orders AS SELECT g AS id, md5(g::text) AS text FROM generate_series(1, 20000) g;
                ALTER TABLE orders ADD PRIMARY KEY (id);
                ALTER TABLE orders OWNER TO owner;
                CREATE VIEW recent AS SELECT * FROM orders WHERE id > 10
                """, database: "shop")
        } catch {
            return nil
        }
        return server
    }()

    private func server() throws -> PostgresServer { try #require(Self.shared) }

    @Test func aSnapshotOfDumpsComesBackInANewServer() throws {
        let server = try server()
        let session = try CommandSession()
        let made = session.run(
            "snapshot", "postgres", "--dsn", "host=\(server.folder) user=postgres", "--logical", "--row-counts", "--name", "dumps")
        #expect(made.status == 0, "\(made.errors)")
        let other = try PostgresServer()
        defer { other.remove() }
        try other.start()
        let dsn = "host=\(other.folder) user=postgres"
        try other.sql("CREATE TABLE mine (id int)")
        // Its database 'postgres' has something in it: refused before anything is made.
        let refused = session.run("restore", "latest:dumps", "--to", dsn, "--globals")
        #expect(refused.status == 15)
        #expect(refused.errors.contains("the database 'postgres' exists"))
        #expect(try other.sql("SELECT count(*) FROM pg_database WHERE datname = 'shop'") == "0")
        #expect(try other.sql("SELECT count(*) FROM pg_roles WHERE rolname = 'owner'") == "0")
        // Nor is anything made for a role that is not there.
        let unowned = session.run("restore", "latest:dumps", "--to", dsn, "--database", "shop")
        #expect(unowned.status == 1)
        #expect(unowned.errors.contains("has no role owner, to whom something in database 'shop' belongs"))
        #expect(unowned.errors.contains("With --globals"))
        #expect(try other.sql("SELECT count(*) FROM pg_database WHERE datname = 'shop'") == "0")
        let restored = session.run("restore", "latest:dumps", "--to", dsn, "--globals", "--database", "shop")
        #expect(restored.status == 0, "\(restored.errors)")
        #expect(restored.output.contains("restored database shop") && restored.output.contains("rows of 1 table compared"))
        for question in [
            "SELECT count(*), sum(id), min(text) FROM orders", "SELECT count(*) FROM recent",
            "SELECT tableowner FROM pg_tables WHERE tablename = 'orders'",
        ] {
            #expect(try other.sql(question, database: "shop") == server.sql(question, database: "shop"))
        }
        // Again under another name, and not over what is there.
        #expect(session.run("restore", "latest:dumps", "--to", dsn, "--database", "shop").status == 15)
        #expect(session.run("restore", "latest:dumps", "--to", dsn, "--database", "shop", "--into", "copy", "--json").status == 0)
        #expect(try other.sql("SELECT count(*) FROM orders", database: "copy") == "20000")
    }

    @Test func whatCannotBeIsRefused() throws {
        let server = try server()
        let session = try CommandSession()
        let dsn = "host=\(server.folder) user=postgres"
        try session.file("tree/a", "a")
        #expect(session.run("snapshot", "files", session.folder + "/tree", "--name", "tree").status == 0)
        #expect(session.run("restore", "latest:tree", "--to", dsn).errors.contains("holds no dumps"))
        #expect(session.run("snapshot", "postgres", "--dsn", dsn, "--name", "files", "--with-wal").status == 0)
        #expect(session.run("restore", "latest:files", "--to", dsn).errors.contains("a cluster's files and no dumps"))
        #expect(session.run("restore", "latest:files").status == 2)
        #expect(session.run("restore", "latest:files", "--target", session.folder + "/x", "--globals").status == 2)
        #expect(session.run("snapshot", "postgres", "--dsn", dsn, "--name", "dumps", "--logical", "--database", "shop").status == 0)
        #expect(session.run("restore", "latest:dumps", "--to", dsn, "--database", "shpo").errors.contains("It has shop."))
        #expect(session.run("restore", "latest:dumps", "--to", "host=/nowhere").status == 1)
    }
}
