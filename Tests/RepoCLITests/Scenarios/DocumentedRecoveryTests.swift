import Foundation
import Glibc
import PostgresTesting
import Testing

/// The commands of a document, section by section, to be run as they stand there, but for names.
private struct CommandDocument {
    let sections: [String: [String]]

    /// In fenced blocks the lines that begin with a program's name, the rest being its output; in the text what is marked as code and is SQL, a restore,
    /// or a call of psql, and has no ellipsis.
    init(_ path: String) throws {
        var sections: [String: [String]] = [:]
        var title = ""
        var isFenced = false
        for line in try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n", omittingEmptySubsequences: false) {
            let text = line.drop { $0 == " " }
            // A fence may begin a numbered step.
            if text.contains("```") {
                isFenced.toggle()
            } else if line.hasPrefix("## ") {
                title = String(line.dropFirst(3))
            } else if isFenced {
                if ["repo ", "psql ", "pg_dump ", "createdb "].contains(where: text.hasPrefix) { sections[title, default: []].append(String(text)) }
            } else {
                for code in text.split(separator: "`", omittingEmptySubsequences: false).enumerated() where code.offset % 2 == 1 {
                    let code = String(code.element)
                    if code.contains("…") { continue }
                    if code.hasPrefix("psql ") || code.hasPrefix("repo restore ") { sections[title, default: []].append(code) }
                    if code.hasPrefix("SELECT ") || code.hasPrefix("ALTER SYSTEM ") { sections[title, default: []].append("psql -c \"\(code)\"") }
                }
            }
        }
        self.sections = sections
    }
}

/// `docs/recovery.md` is for a tired reader at night: what it tells him to type is typed here.
@Suite("The commands of the recovery guide", .serialized, .timeLimit(.minutes(10)))
struct DocumentedRecoveryTests {
    /// A cluster as `docs/postgresql.md` sets one up, with the names that the guide uses replaced by its own.
    private final class Machine {
        let archived = try! ArchivedServer(settings: ["wal_level = replica", "hot_standby = on", "port = 5432"])
        let document: CommandDocument
        let restored: String
        var replacements: [(String, String)] = []

        init() throws {
            let guide = (#filePath as NSString).deletingLastPathComponent + "/../../../docs/recovery.md"
            document = try CommandDocument(guide)
            restored = archived.server.folder + "/restored"
            let folder = archived.folder.path
            let configuration = """
                [repository]
                url = "\(archived.folder.repository)"
                key-file = "\(folder)/machine.key"
                [[source]]
                name = "main-db"
                kind = "postgres"
                dsn = "\(archived.server.connectionString)"

                """
            try Data(configuration.utf8).write(to: URL(fileURLWithPath: folder + "/repo.toml"))
            try PostgresServer.own(folder)
        }

        func shell(_ command: String) throws -> String {
            let folder = archived.folder.path
            let variables = "REPO_CONFIG=\(folder)/repo.toml REPO_CACHE_DIR=\(folder)/cache PGHOST=\(archived.server.folder) PGUSER=postgres "
                + "PATH=\(folder):\(PostgresServer.binaries):/usr/bin:/bin HOME=\(folder)"
            return try PostgresServer.run(
                ["/bin/bash", "-c", "cd / && unset REPO_URL REPO_PASSWORD REPO_KEY_FILE; export \(variables); set -o pipefail; \(command)"])
        }

        /// Runs a section's commands in order; `before` may do what the text around them says.
        @discardableResult
        func run(_ section: String, before: (String) throws -> Void = { _ in }) throws -> [String] {
            let commands = try #require(document.sections[section], "the guide has no section '\(section)' with commands")
            var outputs: [String] = []
            for command in commands {
                try before(command)
                var own = command
                for (from, to) in replacements { own = own.replacing(from, with: to) }
                try #require(!own.contains("2026-11-03") && !own.contains("/var/lib/postgresql"), "\(own)")
                outputs.append(try shell(own))
            }
            return outputs
        }

        func time() throws -> String {
            let text = try archived.server.sql("SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')")
            usleep(5_000)
            return text
        }

        func startAgain() throws {
            try archived.server.start()
            for _ in 0..<600 {
                if (try? archived.server.sql("SELECT pg_is_in_recovery()")) == "f" { return }
                usleep(50_000)
            }
        }
    }

    @Test("what can be brought back, deleted data, a bad deployment, a corrupt database, a damaged log and a lost server")
    func scenarios() throws {
        let machine = try Machine()
        let server = machine.archived.server
        let orders = "SELECT count(*), sum(id) FROM orders"
        try server.start()
        try server.sql("CREATE DATABASE shop")
        try server.sql("CREATE TABLE orders AS SELECT id, CASE WHEN id % 10 = 0 THEN 4711 ELSE id END AS customer FROM generate_series(1, 1000) id", database: "shop")
        let whole = try server.sql(orders, database: "shop")
        _ = try machine.shell("repo snapshot main-db --quiet")
        // Two seconds behind its checkpoint the first base backup can be used for every moment.
        usleep(2_100_000)
        try server.sql("CREATE TABLE notes AS SELECT 1 AS i", database: "shop")
        let moment = try machine.time()
        machine.replacements = [
            ("2026-11-03 02:30:00", moment), ("host=/run/postgresql", "host=\(server.folder) user=postgres"),
            ("/var/lib/postgresql/restored", machine.restored), ("/var/lib/postgresql/15/main", server.data),
            ("orders.sql", machine.archived.folder.path + "/orders.sql"),
        ]
        try server.sql("DROP TABLE orders", database: "shop")
        try machine.archived.archiveAll()
        let asked = try machine.run("PostgreSQL: what can be brought back")
        #expect(asked.first?.contains("last included") == true, "\(asked)")

        try machine.run("PostgreSQL: somebody deleted data")
        #expect(try server.sql(orders, database: "shop") == whole)
        _ = try machine.shell("pg_ctl -D \(machine.restored) -m fast stop && rm -rf \(machine.restored)")

        _ = try machine.shell("repo snapshot postgres --dsn '\(server.connectionString)' --logical --database shop --name dumps --quiet")
        var accidents = 0
        try machine.run("PostgreSQL: one table, some rows, one database") { command in
            accidents += 1
            let found = try server.sql(orders, database: "shop")
            #expect(found == whole, "before \(command)")
            if command.contains("--database shop") {
                try server.sql("DROP DATABASE shop WITH (FORCE)")
            } else {
                try server.sql("DROP TABLE orders", database: "shop")
            }
            if command.hasPrefix("psql") { _ = try machine.shell("repo restore latest:dumps --table public.orders --target \(machine.archived.folder.path)/orders.sql") }
        }
        #expect(accidents == 4)
        #expect(try server.sql(orders, database: "shop") == whole)

        func inPlace(_ section: String, _ damage: @escaping () throws -> Void) throws {
            try machine.run(section) { command in
                if command.hasPrefix("repo restore") {
                    try machine.archived.archiveAll()
                    try server.stop()
                    try damage()
                } else if command.contains("RESET archive_mode") {
                    try machine.startAgain()
                } else if command.hasPrefix("repo snapshot") {
                    try server.stop()
                    try server.start()
                }
            }
            if !server.isRunning { try machine.startAgain() }
            _ = try? server.sql("ALTER SYSTEM RESET archive_mode")
            try server.stop()
            try server.start()
            _ = try machine.shell("repo snapshot main-db --quiet")
        }
        // The mark is set by the first command, and the deployment comes behind it.
        try inPlace("PostgreSQL: a deployment went wrong") {}
        #expect(try server.sql(orders, database: "shop") == whole)

        let relation = try server.sql("SELECT pg_relation_filepath('orders')", database: "shop")
        try inPlace("PostgreSQL: the database is corrupt") {
            try Data(repeating: 7, count: 8192).write(to: URL(fileURLWithPath: "\(server.data)/\(relation)"))
        }
        #expect(try server.sql(orders, database: "shop") == whole)

        // A segment that the server still has.
        var segment = try machine.archived.archiveAll()
        func own() -> String? { FileTree.files(machine.archived.folder.repository + "/wal").first { $0.hasSuffix("/\(segment)") } }
        // A server that is kept waiting archives several at once, in one object.
        for _ in 0..<20 where own() == nil {
            try server.sql("SELECT pg_create_restore_point('another')")
            segment = try machine.archived.archiveAll()
        }
        let object = try #require(own())
        chmod(object, 0o600)
        try FileTree.write(object, [1, 2, 3])
        try PostgresServer.own(object)
        machine.replacements.insert(("0000000100000000000000A4", segment), at: 0)
        let mended = try machine.run("A file of the log is damaged")
        #expect(mended.first?.contains("moved to damaged/wal/") == true, "\(mended)")
        #expect(try machine.shell("repo check --read-data").contains("no errors"))

        try server.sql("INSERT INTO orders VALUES (5000, 5000)", database: "shop")
        let last = try server.sql(orders, database: "shop")
        try machine.archived.archiveAll()
        try server.stop()
        try PostgresServer.run(["/bin/rm", "-rf", server.data])
        try machine.run("PostgreSQL: the server is lost") { command in
            if command.contains("RESET archive_mode") { try machine.startAgain() }
        }
        #expect(try server.sql(orders, database: "shop") == last)
    }
}
