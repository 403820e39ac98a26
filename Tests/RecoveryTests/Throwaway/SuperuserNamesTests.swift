import Glibc
import PostgresTesting
import Testing

@testable import Recovery

@Suite("Superusers by the cluster's files")
struct SuperuserNamesTests {
    @Test("Those who may log in are named, initdb's own one first, wherever the table of roles has gone")
    func names() throws {
        let server = try PostgresServer()
        defer { server.remove() }
        try server.start()
        let long = String(repeating: "x", count: 63)
        try server.sql(
            """
            CREATE ROLE "Bö ss" SUPERUSER LOGIN; CREATE ROLE plain LOGIN; CREATE ROLE locked SUPERUSER NOLOGIN; CREATE ROLE gone SUPERUSER LOGIN;
            CREATE ROLE \(long) SUPERUSER LOGIN
            """)
        try server.sql("CHECKPOINT")
        #expect(SuperuserNames.read(server.data) == ["postgres", "Bö ss", "gone", long])
        func asBoss(_ text: String) throws {
            try PostgresServer.run([PostgresServer.binaries + "/psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", server.folder, "-U", "Bö ss", "-d", "postgres", "-c", text])
        }
        // Another file, and more pages than one.
        try asBoss(
            "DO $$BEGIN FOR i IN 1..200 LOOP EXECUTE format('CREATE ROLE r%s', i); END LOOP; END$$; DROP ROLE gone; ALTER ROLE postgres RENAME TO chief")
        try asBoss("VACUUM FULL pg_authid")
        try asBoss("CHECKPOINT")
        #expect(SuperuserNames.read(server.data).first == "chief")
        #expect(Set(SuperuserNames.read(server.data)) == ["chief", "Bö ss", long])
    }

    @Test("Files that are not understood name nobody")
    func garbage() throws {
        let folder = try PostgresServer.makeFolder()
        defer { _ = try? PostgresServer.run(["/bin/rm", "-rf", folder], asServer: false) }
        #expect(SuperuserNames.read(folder).isEmpty)
        mkdir(folder + "/global", 0o755)
        var numbers = SystemRandomNumberGenerator()
        for count in [1, 23, 24, 8191, 8192, 20_000] {
            let bytes = (0..<count).map { _ in UInt8.random(in: 0...255, using: &numbers) }
            for name in ["1260", "pg_filenode.map"] {
                let file = open("\(folder)/global/\(name)", O_WRONLY | O_CREAT | O_TRUNC, 0o644)
                #expect(write(file, bytes, bytes.count) == bytes.count)
                close(file)
                _ = SuperuserNames.read(folder)
            }
        }
    }
}
