import Foundation
import Glibc
import PostgresTesting
import Testing

@testable import RepoCLI

/// A database that is loaded whole must find on the server what it names: pg_restore would end in the middle.
@Suite("What a dumped database needs of a server", .serialized)
struct DumpNeedsTests {
    private struct Pair {
        let session: CommandSession
        let source: PostgresServer
        let target: PostgresServer

        init() throws {
            session = try CommandSession()
            (source, target) = (try PostgresServer(), try PostgresServer())
            try source.start()
            try target.start()
        }

        func remove() {
            source.remove()
            target.remove()
        }

        var dsn: String { "host=\(target.folder) user=postgres" }

        /// Databases of the source, each made by SQL, then a snapshot of their dumps.
        func dump(_ databases: [(name: String, sql: String)]) throws {
            for database in databases {
                if try source.sql("SELECT count(*) FROM pg_database WHERE datname = '\(database.name)'") == "0" { try source.sql("CREATE DATABASE \(database.name)") }
                try source.sql(database.sql, database: database.name)
            }
            let made = session.run("snapshot", "postgres", "--dsn", "host=\(source.folder) user=postgres", "--logical", "--name", "dumps")
            #expect(made.status == 0, "\(made.errors)")
        }

        func restore(_ database: String, _ arguments: String...) -> CommandSession.Outcome {
            session.run(["restore", "latest:dumps", "--to", dsn, "--database", database] + arguments)
        }

        func has(_ database: String) throws -> Bool { try target.sql("SELECT count(*) FROM pg_database WHERE datname = '\(database)'") != "0" }
    }

    @Test("a role that rights, policies or settings name is asked for before anything is made")
    func roles() throws {
        let pair = try Pair()
        defer { pair.remove() }
        for role in ["reader", "giver", "\"Odd to, role\"", "käthe"] { try pair.source.sql("CREATE ROLE \(role)") }
        let grants: [(name: String, sql: String)] = [
            ("granted", "CREATE TABLE t (a int, b int); GRANT SELECT (a) ON t TO \"Odd to, role\" WITH GRANT OPTION; GRANT UPDATE ON t TO PUBLIC"),
            ("given", "CREATE TABLE t (id int); GRANT ALL ON t TO giver WITH GRANT OPTION; SET ROLE giver; GRANT SELECT ON t TO reader"),
            ("defaults", "ALTER DEFAULT PRIVILEGES FOR ROLE giver GRANT SELECT ON TABLES TO reader"),
            ("policy", "CREATE TABLE t (id int); CREATE POLICY p ON t TO reader USING (id > 1)"),
            ("setting", "ALTER ROLE käthe IN DATABASE setting SET work_mem TO '5MB'"),
            ("owndatabase", "GRANT CREATE ON DATABASE owndatabase TO reader"),
        ]
        try pair.dump(grants)
        let missing = ["granted": ["\"Odd to, role\""], "given": ["giver", "reader"], "defaults": ["giver", "reader"], "policy": ["reader"], "setting": ["\"käthe\""], "owndatabase": ["reader"]]
        for (database, roles) in missing {
            let refused = pair.restore(database)
            #expect(refused.status == 1)
            let list = roles.sorted().map { "role \($0)" }.joined(separator: ", ")
            #expect(refused.errors.contains("has no \(list), to whom something in database '\(database)' belongs or is granted"), "\(refused.errors)")
            #expect(try !pair.has(database))
        }
        // Into a database that one made, what was the old one's own is not asked for.
        for database in ["setting", "owndatabase"] { #expect(pair.restore(database, "--into", database + "_copy").status == 0) }
        for (database, _) in grants {
            let restored = pair.restore(database, "--globals")
            #expect(restored.status == 0, "\(restored.errors)")
        }
        #expect(try pair.target.sql("SELECT relacl FROM pg_class WHERE relname = 't'", database: "given") == pair.source.sql("SELECT relacl FROM pg_class WHERE relname = 't'", database: "given"))
    }

    @Test("owners to whom the role that loads may give nothing are told of before anything is made")
    func owners() throws {
        let pair = try Pair()
        defer { pair.remove() }
        for server in [pair.source, pair.target] { try server.sql("CREATE ROLE maker; CREATE ROLE keeper; CREATE ROLE loader LOGIN CREATEDB") }
        try pair.source.sql("CREATE DATABASE owned OWNER maker")
        try pair.dump([
            ("owned", "GRANT USAGE ON SCHEMA public TO keeper; SET ROLE maker; CREATE TABLE t (id int PRIMARY KEY); CREATE INDEX ON t (id); CREATE SCHEMA s"),
            ("kept", "CREATE SCHEMA k AUTHORIZATION keeper; CREATE FUNCTION k.f() RETURNS int LANGUAGE sql AS 'SELECT 1'; ALTER FUNCTION k.f() OWNER TO keeper"),
        ])
        let loader = "host=\(pair.target.folder) user=loader dbname=postgres"
        func restore(_ database: String, _ arguments: String...) -> CommandSession.Outcome {
            pair.session.run(["restore", "latest:dumps", "--to", loader, "--database", database] + arguments)
        }
        let refused = restore("owned")
        #expect(refused.status == 1)
        #expect(refused.errors.contains("may give nothing to maker, to whom something in database 'owned' belongs") && refused.errors.contains("that role."), "\(refused.errors)")
        let both = restore("kept")
        #expect(both.errors.contains("may give nothing to keeper, postgres, to whom") && both.errors.contains("these roles."), "\(both.errors)")
        #expect(try !pair.has("owned") && !pair.has("kept"))
        try pair.target.sql("GRANT maker TO loader; GRANT keeper TO loader")
        let restored = restore("owned")
        #expect(restored.status == 0, "\(restored.errors)")
        // The database's own owner does not matter where another one is loaded into.
        let other = restore("kept", "--into", "other")
        #expect(other.status == 0, "\(other.errors)")
        #expect(try pair.target.sql("SELECT tableowner FROM pg_tables WHERE tablename = 't'", database: "owned") == "maker")
    }

    @Test("tablespaces that are not there are done without, except the one of the database itself")
    func tablespaces() throws {
        let pair = try Pair()
        defer { pair.remove() }
        let space = pair.source.folder + "/space"
        #expect(mkdir(space, 0o700) == 0)
        try PostgresServer.own(space)
        try pair.source.sql("CREATE TABLESPACE fast LOCATION '\(space)'")
        try pair.source.sql("CREATE DATABASE inside TABLESPACE fast")
        try pair.dump([("partly", "CREATE TABLE t (id int) TABLESPACE fast; INSERT INTO t VALUES (1); CREATE TABLE u (id int)"), ("inside", "CREATE TABLE t (id int)")])
        let refused = pair.restore("inside")
        #expect(refused.status == 1)
        #expect(refused.errors.contains("has no tablespace fast, in which database 'inside' lay") && refused.errors.contains("--into"), "\(refused.errors)")
        #expect(try !pair.has("inside"))
        #expect(pair.restore("inside", "--into", "outside").status == 0)
        let restored = pair.restore("partly")
        #expect(restored.status == 0, "\(restored.errors)")
        #expect(restored.errors.contains("everything goes into the database's own tablespace: there is no fast"))
        #expect(try pair.target.sql("SELECT count(*) FROM t", database: "partly") == "1")
    }

    @Test("an extension whose files the server does not have is asked for before anything is made")
    func extensions() throws {
        let pair = try Pair()
        defer { pair.remove() }
        let share = try PostgresServer.run([PostgresServer.binaries + "/pg_config", "--sharedir"]).trimmingCharacters(in: .whitespacesAndNewlines)
        // Both servers are of one installation: the extension is there while the source makes it, and gone afterwards.
        let name = "repo_test_\(getpid())"
        let files = [("\(name).control", "default_version = '1'\nrelocatable = true\n"), ("\(name)--1.sql", "CREATE FUNCTION one() RETURNS int LANGUAGE sql AS 'SELECT 1';\n")]
        for (file, text) in files { try Data(text.utf8).write(to: URL(fileURLWithPath: "\(share)/extension/\(file)")) }
        defer { for (file, _) in files { unlink("\(share)/extension/\(file)") } }
        try pair.dump([("extended", "CREATE EXTENSION \(name)"), ("plain", "CREATE TABLE t (id int)")])
        for (file, _) in files { unlink("\(share)/extension/\(file)") }
        let refused = pair.session.run("restore", "latest:dumps", "--to", pair.dsn, "--database", "plain", "--database", "extended", "--globals")
        #expect(refused.status == 1)
        #expect(refused.errors.contains("has no extension \(name), which database 'extended' needs") && refused.errors.contains("Install its package"), "\(refused.errors)")
        #expect(try !pair.has("extended") && !pair.has("plain"))
        #expect(pair.restore("plain").status == 0)
    }

    @Test("a database is empty where nothing stands in it but what extensions brought")
    func empty() throws {
        let pair = try Pair()
        defer { pair.remove() }
        try pair.dump([("shop", "CREATE EXTENSION pgcrypto; CREATE TABLE t (id int); CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'")])
        let occupied = [
            "CREATE TABLE x (id int)", "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 2'", "CREATE TYPE mood AS ENUM ('a')", "CREATE SCHEMA s", "CREATE SEQUENCE q",
        ]
        for (number, sql) in occupied.enumerated() {
            let name = "occupied\(number)"
            try pair.target.sql("CREATE DATABASE \(name)")
            try pair.target.sql(sql, database: name)
            let refused = pair.restore("shop", "--into", name)
            #expect(refused.status == 15 && refused.errors.contains("is not empty"), "\(sql): \(refused.errors)")
        }
        try pair.target.sql("CREATE DATABASE prepared")
        try pair.target.sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public; CREATE EXTENSION pgcrypto; CREATE EXTENSION citext", database: "prepared")
        let restored = pair.restore("shop", "--into", "prepared")
        #expect(restored.status == 0, "\(restored.errors)")
    }

    @Test("tables of a database in an older encoding are found by their names, and replaced")
    func encodings() throws {
        let pair = try Pair()
        defer { pair.remove() }
        try pair.source.sql("CREATE DATABASE old ENCODING 'LATIN1' TEMPLATE template0")
        let table = #"U&"gr\00f6\00dfe""#
        try pair.dump([("old", "CREATE TABLE \(table) (text text); INSERT INTO \(table) VALUES (U&'\\00e4\\00f6'); CREATE TABLE other (id int)")])
        try pair.target.sql("CREATE DATABASE old ENCODING 'LATIN1' TEMPLATE template0")
        func restore(_ database: String, _ arguments: String...) -> CommandSession.Outcome {
            pair.session.run(["restore", "latest:dumps", "--to", "\(pair.dsn) dbname=\(database)", "--database", "old", "--table", "größe"] + arguments)
        }
        for database in ["postgres", "old"] {
            let restored = restore(database)
            #expect(restored.status == 0, "\(restored.errors)")
            #expect(restored.output.contains("restored public.\"größe\": 1 row"))
            #expect(restore(database).status == 14)
            #expect(restore(database, "--clean").status == 0)
            #expect(restore(database, "--append").status == 0)
            #expect(try pair.target.sql("SELECT count(*) FROM \(table) WHERE text = U&'\\00e4\\00f6'", database: database) == "2")
        }
        let script = pair.target.folder + "/table.sql"
        let written = pair.session.run("restore", "latest:dumps", "--database", "old", "--table", "größe", "--clean", "--target", script)
        #expect(written.status == 0, "\(written.errors)")
        try PostgresServer.own(script)
        try PostgresServer.run([PostgresServer.binaries + "/psql", "-X", "-v", "ON_ERROR_STOP=1", "-h", pair.target.folder, "-U", "postgres", "-d", "old", "-f", script])
        #expect(try pair.target.sql("SELECT count(*) FROM \(table)", database: "old") == "1")
    }
}
