import Foundation
import Glibc
import PostgresTesting
import Testing

/// `repo restore --at … --table`, by the real program on a real archive.
@Suite("Single tables as they were at a moment", .serialized, .timeLimit(.minutes(10)))
struct ExtractMomentTests {
    private let fixture: ExtractFixture
    private let odd = ExtractFixture.odd

    init() throws { fixture = try ExtractFixture.shared.get() }

    private func requireTruth(_ index: Int, _ note: String = "") throws {
        let question = ExtractFixture.questions[index]
        #expect(try fixture.sql(question) == fixture.truth[question], "\(note)")
    }

    @Test("a dropped table comes back with all that belongs to it, and is refused, renamed, dropped or added to where it is there")
    func dropped() throws {
        let before = try fixture.definition(odd)
        let last = try #require(Int(fixture.sql("SELECT max(\"Id\") FROM \(odd)")))
        try fixture.sql("DROP TABLE \(odd)")
        let dry = try fixture.restore("--table", "public.\(odd)", "--to", fixture.dsn(), "--dry-run")
        #expect(dry.status == 0 && dry.output.contains("estimate"), "\(dry.output)")
        let outcome = try fixture.restore("--table", "public.\(odd)", "--to", fixture.dsn(), "--json")
        #expect(outcome.status == 0 && outcome.output.contains("\"rows\":2000,\"rows_in_target\":2000"), "\(outcome.output)")
        try requireTruth(0)
        #expect(try fixture.definition(odd) == before)
        #expect(try fixture.sql("SELECT count(*) FROM pg_statistic_ext WHERE stxname = 'st'") == "1")
        let next = try #require(Int(fixture.sql("BEGIN; INSERT INTO \(odd) (c) VALUES (1) RETURNING \"Id\"").split(separator: "\n")[0]))
        #expect(next > last && next <= last + 33)
        #expect(fixture.isClean)

        // It is there now: refused before anything is recovered.
        let refused = try fixture.restore("--table", "public.\(odd)", "--to", fixture.dsn())
        #expect(refused.status == 14 && refused.output.contains("--rename-to") && !refused.output.contains("recovering"), "\(refused.output)")
        let renamed = try fixture.restore("--table", "public.\(odd)", "--rename-to", "Ke\"pt", "--to", fixture.dsn())
        #expect(renamed.status == 0, "\(renamed.output)")
        #expect(
            try fixture.sql("SELECT count(*), md5(string_agg(o::text, '|' ORDER BY \"Id\")) FROM \"Ke\"\"pt\" o") == fixture.truth[ExtractFixture.questions[0]])
        #expect(try fixture.sql("SELECT count(*) FROM pg_indexes WHERE tablename = 'Ke\"pt'") == "3")
        try requireTruth(0)

        // Some rows are gone; those come back, and no others.
        try fixture.sql("DELETE FROM \(odd) WHERE c BETWEEN 20 AND 29")
        let added = try fixture.restore(
            "--table", "public.\(odd)", "--where", "c BETWEEN 20 AND 29 -- these", "--append", "--to", fixture.dsn())
        #expect(added.status == 0 && added.output.contains("added to") && added.output.contains(": 100 rows"), "\(added.output)")
        try requireTruth(0)
        let again = try fixture.restore("--table", "public.\(odd)", "--where", "c = 20", "--append", "--to", fixture.dsn())
        #expect(again.status == 1 && again.output.contains("already exists") && again.output.contains("is as it was"), "\(again.output)")
        try requireTruth(0)

        // Spoiled altogether: what is there is dropped in the same transaction, and not when something else needs it.
        try fixture.sql("UPDATE \(odd) SET note = 'spoiled'; CREATE VIEW needs_it AS SELECT \"Id\" FROM \(odd)")
        let held = try fixture.restore("--table", "public.\(odd)", "--clean", "--to", fixture.dsn())
        #expect(held.status == 15 && held.output.contains("view public.needs_it"), "\(held.output)")
        try fixture.sql("DROP VIEW needs_it")
        let cleaned = try fixture.restore("--table", "public.\(odd)", "--clean", "--to", fixture.dsn())
        #expect(cleaned.status == 0, "\(cleaned.output)")
        try requireTruth(0)
        #expect(fixture.isClean)
    }

    @Test("partitions come with their table, one alone is attached again, and inherited rows stay where they were")
    func partitions() throws {
        try fixture.sql("DROP TABLE p; DROP TABLE child")
        let outcome = try fixture.restore("--table", "p", "--table", "child", "--to", fixture.dsn())
        #expect(outcome.status == 0, "\(outcome.output)")
        try requireTruth(1)
        try requireTruth(3)
        for arguments in [["--table", "p1"], ["--table", "p1", "--where", "true"]] {
            try fixture.sql("DROP TABLE p1")
            let one = try fixture.restore(arguments + ["--to", fixture.dsn()])
            #expect(one.status == 0, "\(one.output)")
            try requireTruth(1, "\(arguments)")
            #expect(try fixture.sql("SELECT count(*) FROM pg_inherits WHERE inhrelid IN ('p1'::regclass, 'p1_pkey'::regclass)") == "2")
        }
        // Rows that are added find their partitions.
        try fixture.sql("DELETE FROM p WHERE id <= 100")
        let added = try fixture.restore("--table", "p", "--where", "p.id <= 100", "--append", "--to", fixture.dsn())
        #expect(added.status == 0 && added.output.contains("100 rows"), "\(added.output)")
        try requireTruth(1)
        // Where there is no parent, it is a table of its own.
        try fixture.sql("CREATE DATABASE elsewhere", database: "postgres")
        let alone = try fixture.restore("--table", "p1", "--to", fixture.dsn("elsewhere"))
        #expect(alone.status == 0 && alone.output.contains("a table of its own"), "\(alone.output)")
        #expect(try fixture.sql("SELECT count(*) FROM p1", database: "elsewhere") == "200")
    }

    @Test("a condition is one condition, whatever stands in it")
    func conditions() throws {
        let file = fixture.archived.folder.path + "/rows.sql"
        let mark = fixture.archived.folder.path + "/mark"
        for (condition, says) in [
            ("nix > 5", "column \"nix\" does not exist"), ("c >", "syntax error"), ("true) TO PROGRAM 'touch \(mark)' --", "syntax error"),
            ("true); DROP TABLE customers; --", "syntax error"), ("c = 1 /*", "unterminated"), ("'", "unterminated"), ("count(*) > 1", "aggregate"),
        ] {
            let outcome = try fixture.restore("--table", "public.\(odd)", "--where", condition, "--target", file)
            #expect(outcome.status == 2 && outcome.output.contains(says), "\(condition): \(outcome.output)")
            #expect(!FileManager.default.fileExists(atPath: file) && !FileManager.default.fileExists(atPath: mark))
        }
        // Names of types and functions are looked up as users do.
        let outcome = try fixture.restore("--table", "public.\(odd)", "--where", "m = 'sad'::mood AND plus(c) > 100", "--target", file)
        #expect(outcome.status == 0, "\(outcome.output)")
        let second = try fixture.restore("--table", "public.\(odd)", "--where", "c = 1", "--target", file)
        #expect(second.status == 14 && second.output.contains("exists"), "\(second.output)")
        try fixture.sql("CREATE DATABASE rows TEMPLATE template0", database: "postgres")
        try fixture.sql(
            """
            CREATE TYPE mood AS ENUM ('sad', 'fine'); CREATE DOMAIN price AS numeric; CREATE TABLE customers (id int PRIMARY KEY);
            CREATE FUNCTION plus(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 + 1'; CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END';
            INSERT INTO customers SELECT generate_series(1, 200)
            """, database: "rows")
        try PostgresServer.run(
            [PostgresServer.binaries + "/psql", "-X", "-q", "-1", "-v", "ON_ERROR_STOP=1", "-h", fixture.archived.server.folder, "-U", "postgres", "-f", file, "rows"])
        let count = "SELECT count(*), min(c), count(DISTINCT m) FROM \(odd)"
        #expect(try fixture.sql(count, database: "rows").hasSuffix("|100|1"))
        #expect(try fixture.sql("SELECT count(*) FROM pg_indexes WHERE tablename LIKE 'Or.%'", database: "rows") == "3")
    }

    @Test("what cannot be is refused by name, and nothing is changed or left")
    func refusals() throws {
        let dsn = fixture.dsn()
        func expect(_ status: Int, _ texts: [String], _ arguments: [String], at moment: String? = nil, line: Int = #line) throws {
            let outcome = try fixture.restore(arguments, at: moment)
            #expect(outcome.status == status, "\(line): \(outcome.output)")
            for text in texts { #expect(outcome.output.contains(text), "\(line): \(text) in \(outcome.output)") }
            #expect(fixture.isClean, "\(line)")
        }
        // Made after the moment: the message says where and when was looked.
        try expect(1, ["nothing matches 'later'", "base backup", "timeline 1"], ["--table", "later", "--to", dsn])
        try expect(1, ["no database 'nix'", "shop"], ["--table", "p", "--database", "nix", "--to", dsn])
        try expect(1, ["unlogged"], ["--table", "fleeting", "--target", fixture.archived.folder.path + "/fleeting.sql"])
        try expect(1, ["cannot connect"], ["--table", "p", "--to", "host=/nowhere"])
        try expect(13, ["before what can be recovered"], ["--table", "p", "--to", dsn], at: "2001-01-01 00:00:00Z")
        try expect(2, ["one table"], ["--table", "c*", "--where", "true", "--target", "/tmp/none.sql"])
        try fixture.sql("CREATE DATABASE bare", database: "postgres")
        try expect(
            1, ["function public.plus(integer)", "type public.mood", "domain public.price", "table public.customers"],
            ["--table", odd, "--to", fixture.dsn("bare")])
        #expect(try fixture.sql("SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace", database: "bare") == "0")
        // Foreign data, and not of this one.
        try expect(2, ["--table"], ["--clean", "--to", dsn])
    }

    /// The control file says that recovery has ended before the process that did it has, and until then a server without hot standby refuses connections.
    @Test("a server that recovered and lets nobody in yet is waited for")
    func lateServer() throws {
        let folder = fixture.archived.folder.path
        let (code, library) = (folder + "/late-exits.c", folder + "/late-exits.so")
        let source = """
            #include <stdio.h>
            #include <string.h>
            #include <unistd.h>
            __attribute__((destructor)) static void late(void) {
                char name[32] = "";
                FILE *file = fopen("/proc/self/comm", "r");
                if (file && fgets(name, sizeof name, file) && !strcmp(name, "postgres\\n")) usleep(700000);
            }

            """
        try Data(source.utf8).write(to: URL(fileURLWithPath: code))
        try PostgresServer.run(["/bin/sh", "-c", "clang -shared -fPIC -O1 -o \(library) \(code)"], asServer: false)
        try PostgresServer.own(library)
        let outcome = try fixture.restore(
            ["--table", "public.\(odd)", "--target", folder + "/late.sql", "--overwrite", "always"], environment: ["LD_PRELOAD=\(library)"])
        #expect(outcome.status == 0, "\(outcome.output)")
        #expect(fixture.isClean)
    }

    @Test("a load that breaks off leaves the target as it was")
    func brokenLoad() throws {
        try fixture.sql("CREATE DATABASE breaking", database: "postgres")
        try fixture.sql(
            """
            CREATE FUNCTION fail() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); END';
            CREATE EVENT TRIGGER fail ON ddl_command_end WHEN TAG IN ('CREATE INDEX', 'ALTER TABLE') EXECUTE FUNCTION fail()
            """, database: "breaking")
        for extra in ["--quiet", "--where=true"] {
            let outcome = try fixture.restore("--table", "customers", "--to", fixture.dsn("breaking"), extra)
            #expect(outcome.status == 1 && outcome.output.contains("is as it was"), "\(outcome.output)")
            #expect(try fixture.sql("SELECT to_regclass('public.customers') IS NULL", database: "breaking") == "t")
            #expect(fixture.isClean)
        }
    }

    @Test("a signal ends it with nothing left behind")
    func signals() throws {
        let folder = fixture.archived.folder
        let scratch = folder.path + "/signal-scratch"
        try PostgresServer.run(["/bin/mkdir", scratch])
        try fixture.sql("CREATE DATABASE signalled", database: "postgres")
        let script = """
            "$@" >\(scratch).log 2>&1 & child=$!
            for i in $(seq 600); do ls \(scratch)/*/data/postmaster.pid >/dev/null 2>&1 && break; sleep 0.02; done
            kill -TERM $child; wait $child; echo "status $?"
            """
        let text = try PostgresServer.run([
            "/usr/bin/env", "REPO_CONFIG=/dev/null", "REPO_URL=\(folder.repository)", "REPO_KEY_FILE=\(folder.path)/machine.key", "REPO_CACHE_DIR=\(folder.path)/cache",
            "/bin/sh", "-c", script, "sh", fixture.archived.program, "restore", "--source", "main-db", "--at", fixture.moment, "--scratch", scratch, "--table", "customers",
            "--to", fixture.dsn("signalled"),
        ])
        #expect(text.hasSuffix("status 130"), "\(text)")
        #expect(FileTree.names(scratch).isEmpty)
        #expect(try fixture.sql("SELECT to_regclass('public.customers') IS NULL", database: "signalled") == "t")
    }

    @Test("a restore that is killed while it loads loads nothing behind one's back")
    func killed() throws {
        let folder = fixture.archived.folder
        let scratch = folder.path + "/killed-scratch"
        try PostgresServer.run(["/bin/mkdir", scratch])
        try fixture.sql("CREATE DATABASE killed", database: "postgres")
        try fixture.sql(
            """
            CREATE FUNCTION wait() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(3); END';
            CREATE EVENT TRIGGER wait ON ddl_command_end WHEN TAG IN ('CREATE TABLE') EXECUTE FUNCTION wait()
            """, database: "killed")
        let loading = "SELECT count(*) FROM pg_stat_activity WHERE datname = 'killed' AND application_name = 'repo' AND query LIKE 'CREATE TABLE%'"
        let connected = "SELECT count(*) FROM pg_stat_activity WHERE datname = 'killed' AND pid <> pg_backend_pid()"
        let ask = "\(PostgresServer.binaries)/psql -XAtq -h \(fixture.archived.server.folder) -U postgres -d postgres -c"
        let script = """
            "$@" >\(scratch).log 2>&1 & child=$!
            for i in $(seq 600); do [ "$(\(ask) "\(loading)")" = 1 ] && break; sleep 0.05; done
            kill -KILL $child; wait $child
            for i in $(seq 600); do [ "$(\(ask) "\(connected)")" = 0 ] && break; sleep 0.1; done; echo "after $i"
            """
        let text = try PostgresServer.run([
            "/usr/bin/env", "REPO_CONFIG=/dev/null", "REPO_URL=\(folder.repository)", "REPO_KEY_FILE=\(folder.path)/machine.key", "REPO_CACHE_DIR=\(folder.path)/cache",
            "/bin/bash", "-c", script, "sh", fixture.archived.program, "restore", "--source", "main-db", "--at", fixture.moment, "--scratch", scratch, "--table", "customers",
            "--to", fixture.dsn("killed"),
        ])
        #expect(text.contains("after") && !text.hasSuffix("after 600"), "\(text)")
        #expect((try String(contentsOfFile: scratch + ".log", encoding: .utf8)).contains("loading"))
        #expect(try fixture.sql("SELECT to_regclass('public.customers') IS NULL", database: "killed") == "t")
    }

    @Test("a whole database comes back beside the others, and not over one")
    func database() throws {
        let dsn = "host=\(fixture.archived.server.folder) user=postgres"
        let refused = try fixture.restore("--database", "shop", "--to", dsn)
        #expect(refused.status == 15 && refused.output.contains("is not empty") && !refused.output.contains("recovering"), "\(refused.output)")
        let outcome = try fixture.restore("--database", "shop", "--into", "shop then", "--to", dsn)
        #expect(outcome.status == 3 && outcome.output.contains("unlogged") && outcome.output.contains("counted again"), "\(outcome.output)")
        for question in ExtractFixture.questions {
            #expect(try fixture.sql(question, database: "shop then") == fixture.truth[question])
        }
        #expect(try fixture.sql("SELECT to_regclass('later') IS NULL", database: "shop then") == "t")
        let several = try fixture.restore("--to", dsn)
        #expect(several.status == 2 && several.output.contains("Name one with --database"), "\(several.output)")
        #expect(fixture.isClean)
    }
}
