import Foundation
import PostgresTesting
import Testing

@testable import RepoCLI

@Suite("The log on the command line")
struct WALCommandTests {
    /// A folder with segments of a real server, and a data directory beside them.
    private func server() throws -> PostgresServer {
        let server = try PostgresServer(initdb: ["--wal-segsize=1"], settings: ["wal_keep_size = 1GB", "max_wal_size = 1GB"])
        try server.start()
        try server.sql("CREATE TABLE t AS SELECT i, repeat(md5(i::text), 8) FROM generate_series(1, 40000) i")
        try server.sql("SELECT pg_switch_wal()")
        try server.stop()
        return server
    }

    @Test("push, status, get, check, stats and prune work together, and show what they did")
    func together() throws {
        let session = try CommandSession()
        let server = try server()
        defer { server.remove() }
        let names = try PostgresServer.run(["/bin/ls", server.data + "/pg_wal"]).split(separator: "\n").map(String.init)
            .filter { $0.utf8.count == 24 }.sorted()
        try #require(names.count > 10)
        let path = server.data + "/pg_wal/"
        for name in names.prefix(6) {
            let outcome = session.run("wal", "push", path + name, "--json")
            #expect(outcome.status == 0, "\(outcome.errors)")
            #expect(try outcome.keys() == ["bytes_stored", "file", "queued", "system_identifier", "was_there"])
        }
        #expect(session.run("wal", "push", path + names[0]).status == 0)
        let status = session.run("wal", "status", "--json")
        #expect(try status.keys() == ["clusters"])
        #expect(status.output.contains(names[0]) && status.output.contains(names[5]))
        #expect(session.run("wal", "status").output.contains("6 segments"))

        let target = session.folder + "/target"
        #expect(session.run("wal", "get", names[2], target).status == 0)
        #expect(FileManager.default.contentsEqual(atPath: target, andPath: path + names[2]))
        #expect(session.run("wal", "get", names[7], target).status == 1)

        #expect(session.run("check", "--read-data").status == 0)
        #expect(session.run("stats").output.contains("log      6 objects"))
        let pruned = session.run("prune", "--json")
        #expect(pruned.status == 0)
        #expect(pruned.output.contains("\"log_objects_deleted\":0"))

        // A segment under another's name, and one that was changed.
        let folder = session.folder + "/other"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        try FileManager.default.copyItem(atPath: path + names[1], toPath: "\(folder)/\(names[8])")
        #expect(session.run("wal", "push", "\(folder)/\(names[8])").status == 12)
        var bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: path + names[3])))
        bytes[2] ^= 4
        try Data(bytes).write(to: URL(fileURLWithPath: "\(folder)/\(names[3])"))
        let conflict = session.run("wal", "push", "\(folder)/\(names[3])")
        #expect(conflict.status == 14)
        #expect(conflict.errors.contains("nothing was overwritten"))
        #expect(session.run("wal", "push", path + names[4], "--system-identifier", "1").status == 14)
        #expect(session.run("wal", "push", "/nowhere/pg_wal/" + names[4]).status == 1)
        #expect(session.run("wal", "push", "/nowhere/pg_wal/nonsense").status == 2)

        let object = try #require(FileTree.files(session.folder + "/repository/wal").first)
        try Data([1, 2, 3]).write(to: URL(fileURLWithPath: object))
        let checked = session.run("check")
        #expect(checked.status == 12)
        #expect(checked.output.contains("wal/"))
    }

    @Test("histories and labels are told which cluster they are of by the data directory")
    func histories() throws {
        let session = try CommandSession()
        let server = try server()
        defer { server.remove() }
        let history = server.data + "/pg_wal/00000002.history"
        try Data("1\t0/3000000\tno recovery target specified\n".utf8).write(to: URL(fileURLWithPath: history))
        #expect(session.run("wal", "push", history).status == 0)
        let label = server.data + "/pg_wal/000000010000000000000002.00000028.backup"
        try Data("START WAL LOCATION: 0/2000028 (file 000000010000000000000002)\n".utf8).write(to: URL(fileURLWithPath: label))
        #expect(session.run("wal", "push", label).status == 0)
        let target = session.folder + "/target"
        #expect(session.run("wal", "get", "00000002.history", target).status == 0)
        #expect(FileManager.default.contentsEqual(atPath: target, andPath: history))
        let lost = session.folder + "/00000003.history"
        try Data("1\t0/3000000\tx\n".utf8).write(to: URL(fileURLWithPath: lost))
        #expect(session.run("wal", "push", lost).status == 2)
        try Data("nonsense".utf8).write(to: URL(fileURLWithPath: history))
        #expect(session.run("wal", "push", history).status == 14)
        let nonsense = server.data + "/pg_wal/00000004.history"
        try Data("nonsense".utf8).write(to: URL(fileURLWithPath: nonsense))
        #expect(session.run("wal", "push", nonsense).status == 12)
    }
}
