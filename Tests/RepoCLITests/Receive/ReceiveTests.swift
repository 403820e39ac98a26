import Foundation
import Glibc
import PostgresTesting
import Testing

/// `repo wal receive` of a real server by the real program. How often it is killed: `REPO_RECEIVE_KILLS` (6 without it).
@Suite("Receiving the log", .serialized, .timeLimit(.minutes(60)))
struct ReceiveTests {
    private static let kills = ProcessInfo.processInfo.environment["REPO_RECEIVE_KILLS"].flatMap { Int($0) } ?? 6

    @Test("what a server writes under load arrives byte for byte, and a stop leaves the rest as a part")
    func load() throws {
        let received = try ReceivedServer()
        try received.prepareLoad()
        let receiver = try received.receive("--create-slot", "--json")
        try received.waitForStream()
        let load = try received.load(seconds: 2)
        #expect(load.wait() == 0)
        try received.waitUntilFlushed()
        let outcome = try received.stop(receiver)
        #expect(outcome.text.contains("\"event\":\"streaming\"") && outcome.text.contains("\"event\":\"stored\""), "\(outcome.text)")
        #expect(outcome.text.contains("\"event\":\"end\"") && outcome.text.contains("\"stopped\":true"), "\(outcome.text)")
        #expect(try received.compare() > 2)
        #expect(received.names().last?.hasSuffix(".received") == true)
        let restart = try received.server.sql("SELECT restart_lsn >= pg_current_wal_flush_lsn() - 100 FROM pg_replication_slots")
        #expect(restart == "t")
        // Again: nothing is stored twice, and the longer part takes the place of the shorter.
        try received.server.sql("CREATE TABLE more()")
        try received.receiveAll()
        #expect(received.names().count { $0.hasSuffix(".received") } == 1)
        try received.compare()
        #expect(try received.run("check", "--read-data").status == 0)
    }

    @Test("killed at any moment it goes on without a gap")
    func killed() throws {
        let received = try ReceivedServer()
        try received.prepareLoad()
        try received.receiveAll("--create-slot")
        let load = try received.load(seconds: max(3, Self.kills / 2))
        var numbers = SeededNumbers(seed: UInt64(getpid()))
        for _ in 0..<Self.kills {
            let receiver = try received.receive("--slot", "repo", "--partial-interval", "1")
            usleep(useconds_t.random(in: 20_000...600_000, using: &numbers))
            receiver.kill()
            let outcome = try receiver.wait()
            #expect(outcome.signal == SIGKILL, "\(outcome)")
        }
        load.wait()
        try received.server.sql("SELECT pg_switch_wal()")
        try received.receiveAll()
        #expect(try received.compare() > 3)
        #expect(FileTree.files(received.spool).allSatisfy { !$0.hasSuffix(".damaged") })
        #expect(try received.run("check", "--read-data").status == 0)
    }

    @Test("promotions are followed: seen on the line, and found afterwards")
    func promotions() throws {
        let received = try ReceivedServer()
        let server = received.server
        try received.receiveAll("--create-slot")
        try received.fill(3)
        // A standby without a primary is enough to be promoted.
        try restartAsStandby(server)
        let receiver = try received.receive("--slot", "repo")
        try received.waitForStream()
        try server.promote()
        try received.fill(3)
        try received.waitUntilFlushed()
        let outcome = try received.stop(receiver)
        #expect(outcome.errors.contains("timeline 2"), "\(outcome)")
        #expect(received.names().contains("00000002.history"))
        let first = try received.compare()
        #expect(first > 0)
        #expect(received.names().contains { $0.hasPrefix("00000001") && $0.hasSuffix(".received") }, "what was left of timeline 1: \(received.names())")
        #expect(try received.compare(timeline: 2) > 1)

        // Twice more while nobody receives.
        for _ in 0..<2 {
            try restartAsStandby(server)
            try server.promote()
            try received.fill(2)
        }
        try received.receiveAll()
        #expect(received.names().contains("00000003.history") && received.names().contains("00000004.history"))
        #expect(try received.compare(timeline: 3) > 0)
        #expect(try received.compare(timeline: 4) > 0)
        // The histories were there before the first segments of their timelines.
        let status = try received.run("wal", "status")
        #expect(!status.text.contains("missing") && !status.text.contains("gap"), "\(status.text)")
    }

    private func restartAsStandby(_ server: PostgresServer) throws {
        try server.stop()
        try PostgresServer.run(["/usr/bin/touch", server.data + "/standby.signal"])
        try server.start()
    }

    @Test("a slot keeps the log while nobody receives; without it the gap is named, and passed on request")
    func slots() throws {
        let received = try ReceivedServer(keepsLog: false)
        let server = received.server
        try received.receiveAll("--create-slot")
        for _ in 0..<3 {
            try received.fill(8)
            try server.sql("CHECKPOINT")
        }
        try received.receiveAll()
        #expect(received.segments().count >= 20)
        let before = received.segments()
        try server.sql("SELECT pg_drop_replication_slot('repo')")
        let missing = try received.run("wal", "receive", "--dsn", received.dsn, "--slot", "repo", "--spool", received.spool)
        #expect(missing.status == 2 && missing.errors.contains("--create-slot"), "\(missing)")
        for _ in 0..<3 {
            try received.fill(8)
            try server.sql("CHECKPOINT")
        }
        let refused = try received.run("wal", "receive", "--dsn", received.dsn, "--create-slot", "--spool", received.spool, "--until-idle")
        #expect(refused.status == 1 && refused.errors.contains("--allow-gap"), "\(refused)")
        let last = try #require(before.last)
        let next = String(last.dropLast(8)) + String(UInt32(last.suffix(8), radix: 16)! + 1, radix: 16, uppercase: true).leftPadded(8)
        #expect(refused.errors.contains(next), "\(refused): \(next)")
        // However often it is tried, what the receiver says never sets the new slot back to log that is gone.
        let slot = "SELECT restart_lsn FROM pg_replication_slots"
        let reserved = try server.sql(slot)
        for _ in 0..<8 {
            let again = try received.run("wal", "receive", "--dsn", received.dsn, "--slot", "repo", "--spool", received.spool, "--until-idle")
            #expect(again.status == 1 && again.errors.contains("--allow-gap"), "\(again)")
            #expect(try server.sql(slot) == reserved)
        }
        #expect(received.segments() == before)
        let passed = try received.receiveAll("--allow-gap")
        #expect(passed.errors.contains("base backup"), "\(passed)")
        try received.fill(2)
        try received.receiveAll()
        #expect(received.segments().count > before.count)
        #expect(try received.run("wal", "status").text.contains("gap"))
    }

    @Test("two receivers of one slot, and of one spool: the second is refused, and says why")
    func two() throws {
        let received = try ReceivedServer()
        let receiver = try received.receive("--create-slot")
        try received.waitForStream()
        let spool = try received.run("wal", "receive", "--dsn", received.dsn, "--slot", "other", "--create-slot", "--spool", received.spool)
        #expect(spool.status == 1 && spool.errors.contains("process \(receiver.process)"), "\(spool)")
        let slot = try received.run(
            "wal", "receive", "--dsn", received.dsn, "--slot", "repo", "--spool", received.spool + "2", "--no-retry")
        #expect(slot.status == 1 && slot.errors.contains("replication slot 'repo' is in use"), "\(slot)")
        try received.stop(receiver)
    }
}

extension String {
    func leftPadded(_ count: Int) -> String { String(repeating: "0", count: max(0, count - utf8.count)) + self }
}
