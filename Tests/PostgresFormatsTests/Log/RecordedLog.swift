import Glibc
import PostgresTesting
import RepoBase
@testable import PostgresFormats

/// The log of a real server that did all that the tests look for, as its `archive_command` got it, and what PostgreSQL's own tools say of it.
/// Made once; the server is gone when it is there.
struct RecordedLog: Sendable {
    /// Each file of the archive, by name; segments have 1 MiB.
    var files: [String: [UInt8]] = [:]
    /// What pg_waldump lists, of the whole of timeline 1, in order.
    var records: [DumpedRecord] = []
    /// pg_control of the server when it was stopped, and what pg_controldata says of it.
    var control: [UInt8] = []
    var controlData: [String: String] = [:]
    /// Position where a second server, promoted, left timeline 1.
    var history: [UInt8] = []

    var segments: [String] { files.keys.filter { $0.utf8.count == 24 && $0.hasPrefix("00000001") }.sorted() }
    var laterSegments: [String] { files.keys.filter { $0.utf8.count == 24 && $0.hasPrefix("00000002") }.sorted() }

    static let shared = Result { try make() }

    struct DumpedRecord: Hashable, Sendable {
        var manager: String
        var total: Int
        var transaction: UInt32
        var position: LogSequenceNumber
        var previous: LogSequenceNumber
        var description: String

        /// `rmgr: Heap  len (rec/tot):  59/  59, tx:  734, lsn: 0/015000, prev 0/014FF8, desc: INSERT off 1 …`
        init?(_ line: Substring) {
            func after(_ key: String, _ rest: Substring) -> Substring? {
                guard let found = rest.firstRange(of: key) else { return nil }
                return rest[found.upperBound...].drop { $0 == " " }
            }
            guard let manager = after("rmgr:", line), let length = after("len (rec/tot):", line), let total = after("/", length),
                let transaction = after("tx:", line), let position = after("lsn:", line), let previous = after("prev ", line),
                let description = after("desc: ", line)
            else { return nil }
            self.manager = String(manager.prefix { $0 != " " })
            self.total = Int(total.prefix { $0.isNumber })!
            self.transaction = UInt32(transaction.prefix { $0.isNumber })!
            self.position = LogSequenceNumber(position.prefix { $0 != "," })!
            self.previous = LogSequenceNumber(previous.prefix { $0 != "," })!
            self.description = String(description)
        }

        /// `COMMIT 2026-11-21 09:00:00.123456 UTC; …`, of any record that shows such a time first.
        var time: PostgresTime? { description.split(separator: ";").lazy.compactMap { Self.time($0) }.first }

        static func time(_ text: Substring) -> PostgresTime? {
            let words = text.split(separator: " ")
            guard let zone = words.firstIndex(of: "UTC"), zone >= 2 else { return nil }
            let date = words[zone - 2].split(separator: "-").compactMap { Int32($0) }
            let clock = words[zone - 1].split(separator: ":")
            let seconds = clock.count == 3 ? clock[2].split(separator: ".") : []
            guard date.count == 3, seconds.count == 2 else { return nil }
            var parts = tm()
            (parts.tm_year, parts.tm_mon, parts.tm_mday) = (date[0] - 1900, date[1] - 1, date[2])
            (parts.tm_hour, parts.tm_min, parts.tm_sec) = (Int32(clock[0])!, Int32(clock[1])!, Int32(seconds[0])!)
            let fraction = Int64(seconds[1])!
            return PostgresTime(microseconds: (Int64(timegm(&parts)) - 946_684_800) * 1_000_000 + fraction)
        }
    }

    static func read(_ path: String) throws -> [UInt8] {
        guard let stream = fopen(path, "r") else { throw RepoError(.failed, "\(path) cannot be read") }
        defer { fclose(stream) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 1 << 20)
        while case let count = fread(&buffer, 1, buffer.count, stream), count > 0 { bytes += buffer[..<count] }
        return bytes
    }

    private static func make() throws -> RecordedLog {
        let folder = try PostgresServer.makeFolder()
        defer { _ = try? PostgresServer.run(["/bin/rm", "-rf", folder], asServer: false) }
        let archive = folder + "/archive"
        try PostgresServer.run(["/bin/mkdir", archive])
        let settings = [
            "max_prepared_transactions = 20", "archive_mode = on", "archive_command = 'cp %p \(archive)/%f'", "wal_level = logical",
            "wal_compression = on", "max_wal_size = 32MB", "wal_init_zero = on", "autovacuum = off", "shared_buffers = 16MB",
        ]
        let server = try PostgresServer(initdb: ["--wal-segsize=1", "--data-checksums"], settings: settings)
        defer { server.remove() }
        try server.start()
        try work(server)
        // A crash in the middle, and a log that goes on behind it.
        try server.sql("INSERT INTO t SELECT i, repeat('crash', 50) FROM generate_series(1, 2000) i")
        try server.stop(mode: "immediate")
        try server.start()
        try server.sql("SELECT pg_create_restore_point('after the crash')")
        try server.sql("SELECT pg_switch_wal()")
        let copy = folder + "/copy"
        try PostgresServer.run(
            [PostgresServer.binaries + "/pg_basebackup", "-d", server.connectionString, "-D", copy, "-c", "fast", "-X", "none"])
        try server.sql("INSERT INTO t SELECT i, 'behind' FROM generate_series(1, 100) i")
        let target = try server.sql("SELECT pg_current_wal_insert_lsn()")
        try server.sql("INSERT INTO t SELECT i, repeat('abandoned', 20) FROM generate_series(1, 3000) i; SELECT pg_switch_wal();")
        try server.sql("CHECKPOINT")
        try server.stop()
        var log = RecordedLog()
        log.control = try read(server.data + "/global/pg_control")
        log.controlData = try dictionary(PostgresServer.run([PostgresServer.binaries + "/pg_controldata", server.data]))
        try promote(copy, to: target, archive: archive, settings: settings)
        for name in try PostgresServer.run(["/bin/ls", archive]).split(separator: "\n") {
            log.files[String(name)] = try read(archive + "/\(name)")
        }
        log.history = log.files["00000002.history"] ?? []
        let dump = try PostgresServer.run(
            ["/usr/bin/env", "TZ=UTC", PostgresServer.binaries + "/pg_waldump", "-p", archive, log.segments.first!, log.segments.last!])
        log.records = dump.split(separator: "\n").compactMap { DumpedRecord($0) }
        return log
    }

    /// Work of every kind that the log tells apart.
    private static func work(_ server: PostgresServer) throws {
        try server.sql("CREATE TABLE t (i int, x text); CREATE INDEX ON t (i);")
        for round in 0..<3 {
            try server.sql("INSERT INTO t SELECT i, md5(i::text) FROM generate_series(1, 3000) i")
            try server.sql("BEGIN; INSERT INTO t VALUES (1, 'gone'); ROLLBACK;")
            try server.sql("BEGIN; INSERT INTO t VALUES (2, 'two'); PREPARE TRANSACTION 'p\(round)';")
            try server.sql("BEGIN; INSERT INTO t VALUES (3, 'three'); PREPARE TRANSACTION 'q\(round)';")
            try server.sql("COMMIT PREPARED 'p\(round)'")
            try server.sql("ROLLBACK PREPARED 'q\(round)'")
            try server.sql("SELECT pg_create_restore_point('point \(round)')")
            try server.sql(
                "DO $$ BEGIN FOR i IN 1..200 LOOP BEGIN INSERT INTO t VALUES (i, 's'); EXCEPTION WHEN others THEN NULL; END; END LOOP; END $$")
            try server.sql("CHECKPOINT")
            if round == 1 { try server.sql("SELECT pg_switch_wal()") }
        }
        // Commit records of many kilobytes: they cross pages, and one of them, prepared, names its transaction behind all that.
        try server.sql("DO $$ BEGIN FOR i IN 1..150 LOOP EXECUTE 'CREATE TABLE many' || i || ' (i int primary key, x text)'; END LOOP; END $$")
        try server.sql(
            """
            BEGIN; DO $$ BEGIN FOR i IN 1..150 LOOP EXECUTE 'DROP TABLE many' || i; END LOOP; END $$; PREPARE TRANSACTION 'many'
            """)
        try server.sql("COMMIT PREPARED 'many'")
        // Records longer than a segment.
        try server.sql("SELECT pg_logical_emit_message(true, 'big', repeat('0123456789', 150000)); ")
        try server.sql("SELECT pg_logical_emit_message(false, 'big', repeat('0123456789', 250000)); ")
        // Small commits over several segments, so that some cross a boundary.
        try server.sql("DO $$ BEGIN FOR i IN 1..12000 LOOP INSERT INTO t VALUES (i, repeat('y', i % 300)); COMMIT; END LOOP; END $$")
        try server.sql("SELECT pg_create_restore_point(repeat('n', 63))")
    }

    private static func promote(_ copy: String, to target: String, archive: String, settings: [String]) throws {
        let second = try PostgresServer(
            adopting: copy,
            settings: [
                "restore_command = 'cp \(archive)/%f %p'", "recovery_target_lsn = '\(target)'", "recovery_target_action = promote",
                "archive_command = 'test -f \(archive)/%f || cp %p \(archive)/%f'",
            ])
        defer { second.remove() }
        _ = try PostgresServer.run(["/usr/bin/touch", copy + "/recovery.signal"])
        try second.start()
        // The server takes connections before it has left recovery.
        try second.sql("DO $$ BEGIN WHILE pg_is_in_recovery() LOOP PERFORM pg_sleep(0.02); END LOOP; END $$")
        try second.sql("INSERT INTO t SELECT i, 'new' FROM generate_series(1, 4000) i; SELECT pg_create_restore_point('new timeline');")
        try second.sql("SELECT pg_switch_wal()")
        try second.sql("INSERT INTO t SELECT i, repeat('newer', 30) FROM generate_series(1, 9000) i; SELECT pg_switch_wal();")
        try second.stop()
    }

    static func dictionary(_ text: String) -> [String: String] {
        var result: [String: String] = [:]
        for line in text.split(separator: "\n") {
            guard let colon = line.firstIndex(of: ":") else { continue }
            result[String(line[..<colon])] = String(line[line.index(after: colon)...].drop { $0 == " " })
        }
        return result
    }
}
