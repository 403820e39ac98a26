import Foundation
import Glibc
import PostgresTesting
import Testing

/// What goes wrong around a receiver: servers that were set back, repositories that are away, disks that are full.
@Suite("Receiving the log in trouble", .serialized, .timeLimit(.minutes(20)))
struct ReceiveTroubleTests {
    @Test("a server that was set back is refused, and what was received of it is kept", arguments: [false, true])
    func setBack(writesOn: Bool) throws {
        let received = try ReceivedServer()
        let server = received.server
        try received.receiveAll("--create-slot")
        try server.stop()
        let copy = server.data + ".copy"
        try PostgresServer.run(["/bin/cp", "-a", server.data, copy])
        try server.start()
        try server.sql("CREATE TABLE lost AS SELECT generate_series(1, 100) i")
        try received.receiveAll()
        let before = received.names()
        try server.stop()
        try PostgresServer.run(["/bin/sh", "-c", "mv \(server.data) \(server.data).new && mv \(copy) \(server.data)"])
        try server.start()
        // Behind, or past it with other content.
        if writesOn { try server.sql("CREATE TABLE other AS SELECT generate_series(1, 3000) i") }
        let outcome = try received.run("wal", "receive", "--dsn", received.dsn, "--slot", "repo", "--spool", received.spool, "--until-idle")
        #expect(outcome.status == 14, "\(outcome)")
        #expect(outcome.errors.contains(writesOn ? "differs from what was received" : "on the same timeline"), "\(outcome)")
        #expect(received.names() == before)
        #expect(FileTree.files(received.spool).contains { $0.hasSuffix(".journal") })
    }

    @Test("another cluster under the same name is received apart, and refused while one is being received")
    func otherCluster() throws {
        let received = try ReceivedServer()
        let other = try PostgresServer(initdb: ["--wal-segsize=1"])
        defer { other.remove() }
        let receiver = try received.receive("--create-slot")
        try received.waitForStream()
        try received.server.stop()
        // In the place of the first: the same socket.
        try other.append("postgresql.conf", ["unix_socket_directories = '\(received.server.folder)'"])
        try PostgresServer.run(["/bin/chmod", "0777", received.server.folder], asServer: false)
        try other.start()
        let outcome = try receiver.wait()
        #expect(outcome.status == 14 && outcome.errors.contains("another cluster"), "\(outcome)")
    }

    @Test("a repository that is away costs nothing: the log waits in the spool, and no more is read than it may hold")
    func repositoryAway() throws {
        let received = try ReceivedServer(keepsLog: false)
        let server = received.server
        try received.receiveAll("--create-slot")
        let receiver = try received.receive("--slot", "repo", "--spool-limit", "6M", "--status-interval", "1")
        try received.waitForStream()
        let repository = received.repository
        try #require(rename(repository, repository + ".away") == 0)
        try received.fill(20)
        try server.sql("CHECKPOINT")
        // The spool is full, and the server keeps the rest.
        try received.wait("SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn) > 10 * 1024 * 1024 FROM pg_replication_slots")
        usleep(2_500_000)
        let journals = FileTree.files(received.spool).count { $0.hasSuffix(".journal") }
        #expect(journals > 3 && journals <= 7, "\(journals)")
        #expect(try server.sql("SELECT count(*) FROM pg_stat_replication WHERE state IN ('streaming', 'catchup')") == "1", "it still answers")
        // Killed while it waits; the next one takes up what is there.
        receiver.kill()
        let killed = try receiver.wait()
        #expect(killed.errors.contains("nothing more is read"), "\(killed)")
        #expect(killed.errors.contains("wait in the spool"), "\(killed)")
        let away = try received.run("wal", "receive", "--dsn", received.dsn, "--slot", "repo", "--spool", received.spool, "--until-idle")
        #expect(away.status == 10, "\(away)")
        try #require(rename(repository + ".away", repository) == 0)
        // Without a server as well.
        try server.stop()
        let drained = try received.run("wal", "receive", "--drain", "--spool", received.spool, "--verbose")
        #expect(drained.status == 0 && drained.errors.contains("stored"), "\(drained)")
        #expect(FileTree.files(received.spool).count { $0.hasSuffix(".journal") } <= 1)
        try server.start()
        try received.receiveAll()
        #expect(received.segments().count >= 18)
        #expect(!(try received.run("wal", "status").text.contains("gap")))
        #expect(try received.run("check", "--read-data").status == 0)
    }

    @Test("other content in the repository ends it loudly, and the journal stays")
    func conflict() throws {
        let received = try ReceivedServer()
        let server = received.server
        try received.receiveAll("--create-slot")
        let receiver = try received.receive("--slot", "repo")
        try received.waitForStream()
        // It stands still while somebody else archives the segment first, changed in a flag of its first page that no check covers.
        kill(receiver.process, SIGSTOP)
        try server.sql("CREATE TABLE a()")
        let name = try server.sql("SELECT pg_walfile_name(pg_current_wal_lsn())")
        try server.sql("SELECT pg_switch_wal()")
        var bytes = try FileTree.read(server.data + "/pg_wal/" + name)
        bytes[2] ^= 4
        let folder = received.archived.folder.path + "/other"
        try FileTree.write("\(folder)/\(name)", bytes)
        try PostgresServer.own(folder)
        let pushed = try received.run("wal", "push", "--single", "\(folder)/\(name)")
        #expect(pushed.status == 0, "\(pushed)")
        kill(receiver.process, SIGCONT)
        let outcome = try receiver.wait()
        #expect(outcome.status == 14 && outcome.errors.contains("other content"), "\(outcome)")
        #expect(FileTree.files(received.spool).contains { $0.hasSuffix("\(name).journal") })
    }

    @Test("a host that can write and not read receives as well; what it cannot clear away, prune does")
    func writerKey() throws {
        let received = try ReceivedServer()
        let key = received.archived.folder.path + "/writer.key"
        let added = try received.run("key", "add", "--writer", "--out", key)
        #expect(added.status == 0, "\(added)")
        let receiver = try received.receive("--create-slot", "--partial-interval", "1", "--key-file", key)
        try received.waitForStream()
        for table in ["a", "b"] {
            try received.server.sql("CREATE TABLE \(table)()")
            try received.waitUntilFlushed()
            usleep(1_500_000)
        }
        try received.server.sql("SELECT pg_switch_wal()")
        try received.server.sql("CREATE TABLE c()")
        try received.waitUntilFlushed()
        try received.stop(receiver)
        let parts = received.names().filter { $0.hasSuffix(".received") }
        #expect(parts.count > 2, "\(parts)")
        // One that was killed with a journal compares it with nothing, since it cannot read, and goes on.
        try received.receiveAll("--key-file", key)
        #expect(try received.run("prune").status == 0)
        #expect(received.names().count { $0.hasSuffix(".received") } == 1)
        try received.compare()
        #expect(try received.run("check", "--read-data").status == 0)
    }

    @Test("the scenarios of pg_receivewal's own test: slots, an end position, an empty archive that begins at the slot")
    func pgReceivewal() throws {
        let received = try ReceivedServer(settings: ["wal_level = logical"])
        let server = received.server
        // 020_pg_receivewal.pl: a slot that does not exist is an error; making one that exists is none.
        let without = try received.run("wal", "receive", "--dsn", received.dsn, "--slot", "nonexistent", "--spool", received.spool, "--no-retry")
        #expect(without.status == 2, "\(without)")
        #expect(try received.run("wal", "receive", "--dsn", received.dsn, "--slot", "Bad-Name", "--spool", received.spool).status == 2)
        try server.sql("SELECT pg_create_physical_replication_slot('repo', true)")
        let restart = try server.sql("SELECT pg_walfile_name(restart_lsn) FROM pg_replication_slots")
        // Streaming some log, up to a position.
        try received.fill(3)
        let stop = try server.sql("SELECT pg_current_wal_insert_lsn()")
        try received.fill(2)
        let outcome = try received.run(
            "wal", "receive", "--dsn", received.dsn, "--slot", "repo", "--create-slot", "--spool", received.spool, "--stop-at", stop)
        #expect(outcome.status == 0, "\(outcome)")
        // An empty archive begins at the slot's restart position, though that is segments ago.
        #expect(received.names().first == restart)
        // The end is a part, and the next run goes on with it.
        #expect(received.names().last!.hasSuffix(".received"))
        let part = String(received.names().last!.prefix(24))
        try received.receiveAll()
        #expect(received.segments().contains(part))
        try received.compare()
        // A slot that reserves nothing yet: the log begins with the segment that is being written.
        try server.sql("SELECT pg_drop_replication_slot('repo')")
        try server.sql("SELECT pg_create_physical_replication_slot('plain')")
        try server.sql("SELECT pg_create_logical_replication_slot('logical', 'test_decoding')")
        let logical = try received.run("wal", "receive", "--dsn", received.dsn, "--slot", "logical", "--spool", received.spool, "--no-retry")
        #expect(logical.status != 0 && logical.errors.contains("logical"), "\(logical)")
        try server.sql("SELECT pg_drop_replication_slot('logical')")
    }
}
