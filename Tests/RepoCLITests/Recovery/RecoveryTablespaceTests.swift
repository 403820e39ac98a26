import Foundation
import Glibc
import PostgresTesting
import Testing

/// Tablespaces: outside the data directory, where another server may have them.
@Suite("Restoring tablespaces", .timeLimit(.minutes(5)))
struct RecoveryTablespaceTests {
    @Test("a tablespace goes where it is told to, and never where another server has it")
    func tablespaces() throws {
        let archived = try ArchivedServer()
        let server = archived.server
        try server.start()
        let place = server.folder + "/space one"
        try PostgresServer.run(["/bin/mkdir", place])
        try server.sql("CREATE TABLESPACE one LOCATION '\(place)'")
        try server.sql("CREATE TABLE far TABLESPACE one AS SELECT generate_series(1, 1000) AS id")
        try archived.run("snapshot postgres --dsn '\(server.connectionString)' --name main-db")
        try server.sql("INSERT INTO far VALUES (1001)")
        try archived.archiveAll()

        let cluster = try RecoveredCluster()
        let restore = "restore --source main-db --target \(cluster.data) --json --server-options '\(cluster.serverOptions)'"
        let refused = try archived.run("\(restore) 2>&1 || true")
        #expect(refused.contains("--tablespace") && !FileManager.default.fileExists(atPath: cluster.data), "\(refused)")
        let wrong = try archived.run("\(restore) --tablespace '/nowhere=\(cluster.folder)/new' 2>&1 || true")
        #expect(wrong.contains("no tablespace in '/nowhere'"), "\(wrong)")
        try archived.run("\(restore) --tablespace '\(place)=\(cluster.folder)/new/space' --start")
        cluster.adopt(running: true)
        #expect(try cluster.sql("SELECT count(*) FROM far") == "1001")
        #expect(try cluster.sql("SELECT pg_tablespace_location(oid) FROM pg_tablespace WHERE spcname = 'one'") == "\(cluster.folder)/new/space")
        _ = try cluster.sql("INSERT INTO far SELECT generate_series(1, 500); CHECKPOINT")
        #expect(try server.sql("SELECT count(*) FROM far") == "1001")
        // Once more over it, aside of what was there.
        try cluster.stop()
        try archived.run("\(restore) --tablespace '\(place)=\(cluster.folder)/new/space' --safety-copy --start")
        cluster.adopt(running: true)
        #expect(try cluster.sql("SELECT count(*) FROM far") == "1001")
        let copy = try #require(FileTree.names(cluster.folder).first { $0.hasPrefix("data.before-restore-") })
        let oid = try cluster.sql("SELECT oid FROM pg_tablespace WHERE spcname = 'one'")
        let link = try FileManager.default.destinationOfSymbolicLink(atPath: "\(cluster.folder)/\(copy)/pg_tblspc/\(oid)")
        #expect(link.hasPrefix("\(cluster.folder)/new/space.before-restore-"))
    }
}
