import Glibc
import PostgresFormats
import PostgresTesting
import RepoBase
import Testing

@testable import PostgresClient

/// One cluster for the tests of the client; removed at the end of the process.
enum ClientServer {
    /// Used by serialized suites alone.
    nonisolated(unsafe) static let shared: PostgresServer? = {
        let server = try? PostgresServer(
            initdb: ["--wal-segsize=1"], settings: ["wal_level = replica", "max_wal_senders = 4", "max_replication_slots = 4", "wal_keep_size = 32"])
        guard let server, (try? server.start()) != nil else { return nil }
        atexit { ClientServer.shared?.remove() }
        return server
    }()

    static func server() throws -> PostgresServer { try #require(shared) }

    static func target() throws -> ConnectionTarget { try ConnectionTarget(try server().connectionString) }
}

@Suite("Connections to a server", .serialized)
struct ConnectionTests {
    @Test func aQueryAnswersInText() throws {
        let connection = try PostgresConnection(ClientServer.target())
        let answer = try connection.query("SELECT 1 AS a, NULL, 'ü' UNION ALL SELECT 2, 'x', ''")
        #expect(answer.rows == [["1", nil, "ü"], ["2", "x", ""]])
        #expect(try connection.query("SELECT $1::text || $2", ["a", nil]).rows == [[nil]])
        #expect(connection.version.major >= 13)
    }

    @Test func aRefusedQueryLeavesTheConnectionUsable() throws {
        let connection = try PostgresConnection(ClientServer.target())
        let error = #expect(throws: RepoError.self) { try connection.query("SELECT nowhere FROM pg_class") }
        #expect(error?.message.contains("column \"nowhere\" does not exist") == true)
        #expect(try connection.query("SELECT 3").rows == [["3"]])
    }

    @Test func passwordsAreNotPrinted() throws {
        let target = try ConnectionTarget("host=db.example.com user=backup password=geheim dbname=shop")
        #expect("\(target)" == "host=db.example.com user=backup dbname=shop")
        #expect(!target.argumentWithoutPassword.contains("geheim"))
        let uri = try ConnectionTarget("postgresql://backup:geheim@db.example.com:5433/shop")
        #expect("\(uri)" == "host=db.example.com port=5433 user=backup dbname=shop")
        let error = #expect(throws: RepoError.self) { try ConnectionTarget("password=geheim host") }
        #expect(error?.code == .usage)
        #expect(error?.description.contains("geheim") == false)
    }

    @Test func aServerThatIsNotThereIsNamedWithoutThePassword() throws {
        let target = try ConnectionTarget("host=/nowhere user=backup password=geheim")
        let error = #expect(throws: RepoError.self) { try PostgresConnection(target) }
        #expect(error?.message.contains("host=/nowhere user=backup") == true)
        #expect(error?.description.contains("geheim") == false)
        #expect(error?.advice.isEmpty == false)
    }

    @Test func aRoleWithoutTheRightIsToldWhichOneItLacks() throws {
        let server = try ClientServer.server()
        try server.sql("DO $$ BEGIN CREATE ROLE plain LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$")
        let target = try ConnectionTarget("host=\(server.folder) user=plain dbname=postgres")
        let error = #expect(throws: RepoError.self) { try PostgresConnection(target, .physicalReplication) }
        #expect(error?.advice.contains("REPLICATION") == true)
    }

    @Test func theDefaultDatabaseIsNotTheUsersName() throws {
        let server = try ClientServer.server()
        try server.sql("DO $$ BEGIN CREATE ROLE nightly LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$")
        let connection = try PostgresConnection(ConnectionTarget("host=\(server.folder) user=nightly"))
        #expect(try connection.query("SELECT current_database()").rows == [["postgres"]])
    }

    @Test func cancellingEndsAWaitingQuery() throws {
        let flag = try CancellationFlag()
        let connection = try PostgresConnection(ClientServer.target(), cancellation: flag)
        let thread = WorkerThread { flag.cancel() }
        let start = ContinuousClock.now
        let error = #expect(throws: RepoError.self) { try connection.query("SELECT pg_sleep(30)") }
        thread.join()
        #expect(error?.code == .interrupted)
        #expect(ContinuousClock.now - start < .seconds(10))
    }

    @Test func aLostConnectionIsSaidToBeLost() throws {
        let connection = try PostgresConnection(ClientServer.target())
        let pid = try #require(connection.query("SELECT pg_backend_pid()")[0, 0])
        let error = #expect(throws: RepoError.self) { try connection.query("SELECT pg_terminate_backend(\(pid))") }
        #expect(error?.message.contains("terminat") == true || error?.message.contains("lost") == true)
        let next = #expect(throws: RepoError.self) { try connection.query("SELECT 1") }
        #expect(next?.message.contains("was lost") == true)
    }
}

@Suite("Replication commands", .serialized)
struct ReplicationTests {
    @Test func theSystemIsIdentified() throws {
        let connection = try PostgresConnection(ClientServer.target(), .physicalReplication)
        let identity = try connection.identifySystem()
        let known = try ClientServer.server().sql("SELECT system_identifier FROM pg_control_system()")
        #expect("\(identity.systemIdentifier)" == known)
        #expect(identity.timeline == 1)
        #expect(try connection.segmentSize().bytes == 1 << 20)
        #expect(try connection.show("wal_level") == "replica")
        #expect(throws: RepoError.self) { try connection.timelineHistory(7) }
    }

    @Test func slotsAreMadeReadAndDropped() throws {
        let connection = try PostgresConnection(ClientServer.target(), .physicalReplication)
        try connection.createPhysicalSlot("reading", isTemporary: false, reservesLog: true)
        let slot = try #require(try connection.readSlot("reading"))
        #expect(slot.kind == "physical" && slot.restart != nil && slot.restartTimeline == 1)
        try connection.dropSlot("reading")
        #expect(try connection.readSlot("reading") == nil)
        #expect(throws: RepoError.self) { try connection.dropSlot("reading") }
    }

    @Test func theLogComesAsItIsWritten() throws {
        let server = try ClientServer.server()
        let connection = try PostgresConnection(ClientServer.target(), .physicalReplication)
        let size = try connection.segmentSize()
        let identity = try connection.identifySystem()
        let segment = WALSegment(timeline: 1, holding: identity.position, size: size)
        #expect(try connection.startReplication(slot: nil, from: segment.start(size), timeline: 1) == nil)
        try server.sql("SELECT pg_logical_emit_message(true, 'test', 'the word that we look for')")
        let target = try #require(LogSequenceNumber(server.sql("SELECT pg_current_wal_flush_lsn()")))
        var log: [UInt8] = []
        let deadline = ContinuousClock.now + .seconds(20)
        receiving: while segment.start(size).value + UInt64(log.count) < target.value {
            switch try connection.replicationEvent(until: deadline) {
            case .message(.log(let data)):
                #expect(data.start.value == segment.start(size).value + UInt64(log.count))
                data.withBytes { log += $0 }
            case .message(.keepalive(_, _, let wantsReply)):
                if wantsReply {
                    try connection.sendStatus(written: .invalid, flushed: .invalid, now: PostgresTime(microseconds: 0))
                }
            case .nothing: break receiving
            case .ended: break receiving
            }
        }
        #expect(segment.start(size).value + UInt64(log.count) >= target.value)
        let end = LogSequenceNumber(segment.start(size).value + UInt64(log.count))
        let hasWord = String(decoding: log, as: UTF8.self).contains("the word that we look for")
        #expect(hasWord)
        try connection.sendStatus(written: end, flushed: end, now: PostgresTime(microseconds: 0), wantsReply: true)
        #expect(try connection.endReplication() == nil)
        // The connection takes commands again.
        #expect(try connection.identifySystem().systemIdentifier == identity.systemIdentifier)
    }

    @Test func aTimeoutIsNotAnError() throws {
        let connection = try PostgresConnection(ClientServer.target(), .physicalReplication)
        let position = try connection.identifySystem().position
        #expect(try connection.startReplication(slot: nil, from: position, timeline: 1) == nil)
        var isQuiet = false
        for _ in 0..<50 where !isQuiet {
            if case .nothing = try connection.replicationEvent(until: .now + .milliseconds(50)) { isQuiet = true }
        }
        #expect(isQuiet)
    }

    @Test func logThatIsGoneIsRefused() throws {
        let connection = try PostgresConnection(ClientServer.target(), .physicalReplication)
        #expect(try connection.startReplication(slot: nil, from: LogSequenceNumber(0x10_0000), timeline: 1) == nil)
        // The server looks for it when it sends, and gives up.
        var isEnded = false
        for _ in 0..<20 where !isEnded {
            if case .ended = try connection.replicationEvent(until: .now + .seconds(5)) { isEnded = true }
        }
        let error = #expect(throws: RepoError.self) { try connection.endReplication() }
        #expect(error?.message.contains("has already been removed") == true)
        #expect(error?.advice.contains("replication slot") == true)
    }

    @Test func aBaseBackupComesWhole() throws {
        let connection = try PostgresConnection(ClientServer.target(), .physicalReplication)
        var options = BaseBackupOptions()
        options.label = "it's a test"
        let stream = try connection.startBaseBackup(options)
        #expect(stream.start.timeline == 1)
        #expect(stream.tablespaces.count == 1 && stream.tablespaces[0].bytes > 1 << 20)
        var archives = 0
        var archive: [UInt8] = []
        var manifest: [UInt8] = []
        var isManifest = false
        receiving: while true {
            switch try stream.next() {
            case .archive(let oid):
                #expect(oid == nil)
                archives += 1
            case .manifest: isManifest = true
            case .data(let data): data.withBytes { if isManifest { manifest += $0 } else { archive += $0 } }
            case .end: break receiving
            }
        }
        let end = try stream.finish()
        #expect(archives == 1)
        #expect(end.stop.position > stream.start.position)
        #expect(!end.hasDamagedPages)
        #expect(archive.count % 512 == 0)
        #expect(archive.starts(with: Array("backup_label\0".utf8)))
        #expect(String(decoding: manifest, as: UTF8.self).hasSuffix("\"}\n"))
        #expect(String(decoding: archive.prefix(4096), as: UTF8.self).contains("LABEL: it's a test"))
        #expect(try connection.identifySystem().timeline == 1)
    }

    @Test func versionsWithoutAManifestAreRefused() {
        #expect(throws: RepoError.self) { try PostgresVersion(number: 120_010).requireSupported() }
        #expect(throws: Never.self) { try PostgresVersion(number: 130_000).requireSupported() }
    }
}
