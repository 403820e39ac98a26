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
    /// And of timeline 2, from its first segment's beginning on, which is a copy of timeline 1's.
    var laterRecords: [DumpedRecord] = []
    /// pg_control of the server when it was stopped, and what pg_controldata says of it.
    var control: [UInt8] = []
    var controlData: [String: String] = [:]
    /// A base backup: its manifest, label, and files with their sizes and SHA-256, by path.
    var manifest: [UInt8] = []
    var manifestDigest: [UInt8] = []
    var label: [UInt8] = []
    var tablespaceMap: [UInt8] = []
    var backupFiles: [String: (size: Int, bytes: [UInt8])] = [:]
    /// Files of relations of the stopped server, by path.
    var relations: [String: [UInt8]] = [:]
    /// What was done to them then, and what `pg_checksums --check` said of it.
    var flips: [(path: String, offset: Int)] = []
    var checksumReport = ""
    /// How pg_verifybackup judged each change to the backup, by the change's name.
    var verdicts: [String: String] = [:]

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
        ///
        /// By bytes: there are tens of thousands of lines, and tests are not optimised.
        init?(_ line: Substring.UTF8View.SubSequence) {
            var rest = line[...]
            func move(behind key: String) -> Bool {
                let key = Array(key.utf8)
                while !rest.isEmpty, !rest.starts(with: key) { rest.removeFirst() }
                rest = rest.dropFirst(key.count).drop { $0 == UInt8(ascii: " ") }
                return !rest.isEmpty
            }
            func word(until ends: String) -> String {
                let ends = Array(ends.utf8)
                return String(decoding: rest.prefix { !ends.contains($0) }, as: UTF8.self)
            }
            guard move(behind: "rmgr:") else { return nil }
            manager = word(until: " ")
            guard move(behind: "len (rec/tot):"), move(behind: "/"), let total = Int(word(until: ",")), move(behind: "tx:"),
                let transaction = UInt32(word(until: ",")), move(behind: "lsn:"), let position = LogSequenceNumber(word(until: ",")),
                move(behind: "prev "), let previous = LogSequenceNumber(word(until: ",")), move(behind: "desc:")
            else { return nil }
            (self.total, self.transaction, self.position, self.previous) = (total, transaction, position, previous)
            description = String(decoding: rest, as: UTF8.self)
        }

        static func all(_ dump: String) -> [DumpedRecord] { dump.utf8.split(separator: UInt8(ascii: "\n")).compactMap { DumpedRecord($0) } }

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
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
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
        // A crash that loses the rest of a record, and a log that goes on behind it (026_overwrite_contrecord of PostgreSQL's own tests).
        try server.sql("SELECT pg_switch_wal()")
        try server.sql("SELECT pg_logical_emit_message(true, 'lost', repeat('0123456789', 110000))")
        let lost = try server.sql("SELECT pg_walfile_name(pg_current_wal_insert_lsn())")
        try server.stop(mode: "immediate")
        try PostgresServer.run(["/bin/rm", "\(server.data)/pg_wal/\(lost)"])
        try server.start()
        try server.sql("SELECT pg_create_restore_point('after the crash')")
        try server.sql("SELECT pg_switch_wal()")
        var log = RecordedLog()
        let space = folder + "/a\\space"
        try PostgresServer.run(["/bin/mkdir", space])
        try server.sql("CREATE TABLESPACE s LOCATION E'\(folder)/a\\\\space'")
        let answer = try server.sql("SELECT pg_backup_start('map', true); SELECT 'MAP' || spcmapfile FROM pg_backup_stop(false)")
        log.tablespaceMap = Array(answer[answer.firstRange(of: "MAP")!.upperBound...].utf8)
        if log.tablespaceMap.last != UInt8(ascii: "\n") { log.tablespaceMap.append(UInt8(ascii: "\n")) }
        try server.sql("DROP TABLESPACE s")
        let copy = folder + "/copy"
        try PostgresServer.run(
            [
                PostgresServer.binaries + "/pg_basebackup", "-d", server.connectionString, "-D", copy, "-c", "fast", "-X", "stream", "-R", "-N",
                "-l", "two\nlines",
            ])
        try log.keepBackup(copy)
        let standby = try PostgresServer(
            adopting: copy,
            settings: [
                "primary_conninfo = 'host=\(server.folder) user=postgres'",
                "archive_command = 'test -f \(archive)/%f || cp %p \(archive)/%f'",
            ])
        defer { standby.remove() }
        try standby.start()
        try server.sql("INSERT INTO t SELECT i, 'behind' FROM generate_series(1, 100) i")
        let reached = try server.sql("SELECT pg_current_wal_insert_lsn()")
        try standby.sql(
            "DO $$ BEGIN WHILE pg_last_wal_replay_lsn() < '\(reached)' LOOP PERFORM pg_sleep(0.02); END LOOP; END $$")
        try standby.promote()
        try server.sql("INSERT INTO t SELECT i, repeat('abandoned', 20) FROM generate_series(1, 3000) i; SELECT pg_switch_wal();")
        try server.sql("CHECKPOINT")
        try server.stop()
        try standby.sql("INSERT INTO t SELECT i, 'new' FROM generate_series(1, 4000) i; SELECT pg_create_restore_point('new timeline');")
        try standby.sql("SELECT pg_switch_wal()")
        try standby.sql("INSERT INTO t SELECT i, repeat('newer', 30) FROM generate_series(1, 9000) i; SELECT pg_switch_wal();")
        try standby.stop()
        log.control = try read(server.data + "/global/pg_control")
        log.controlData = try dictionary(PostgresServer.run([PostgresServer.binaries + "/pg_controldata", server.data]))
        for name in try PostgresServer.run(["/bin/ls", archive]).split(separator: "\n") {
            log.files[String(name)] = try read(archive + "/\(name)")
        }
        let dump = try PostgresServer.run(
            ["/usr/bin/env", "TZ=UTC", PostgresServer.binaries + "/pg_waldump", "-p", archive, log.segments.first!, log.segments.last!])
        log.records = DumpedRecord.all(dump)
        let later = try PostgresServer.run(
            [
                "/usr/bin/env", "TZ=UTC", PostgresServer.binaries + "/pg_waldump", "-t", "2", "-p", archive, log.laterSegments.first!,
                log.laterSegments.last!,
            ])
        log.laterRecords = DumpedRecord.all(later)
        try log.flipPages(server.data)
        return log
    }

    /// Keeps what the tests of manifest and label need, and asks pg_verifybackup about a few changes.
    private mutating func keepBackup(_ folder: String) throws {
        manifest = try Self.read(folder + "/backup_manifest")
        label = try Self.read(folder + "/backup_label")
        for line in try PostgresServer.run(["/usr/bin/find", folder, "-type", "f"]).split(separator: "\n") {
            let path = String(line.dropFirst(folder.utf8.count + 1))
            let bytes = try Self.read(String(line))
            backupFiles[path] = (bytes.count, bytes)
        }
        // The manifest's own checksum is over all but its last line.
        let covered = folder + "/covered"
        _ = try PostgresServer.run(["/bin/sh", "-c", "head -n -1 \(folder)/backup_manifest > \(covered)"])
        manifestDigest = Hexadecimal.bytes(Array(try PostgresServer.run(["/usr/bin/sha256sum", covered]).utf8.prefix(64))) ?? []
        _ = try PostgresServer.run(["/bin/rm", covered])
        for (name, change, undo) in [
            ("none", "true", "true"),
            ("added", "touch \(folder)/base/1/extra", "rm \(folder)/base/1/extra"),
            ("gone", "mv \(folder)/PG_VERSION \(folder)/../v", "mv \(folder)/../v \(folder)/PG_VERSION"),
            ("longer", "cp -p \(folder)/PG_VERSION \(folder)/../v; echo >> \(folder)/PG_VERSION", "mv \(folder)/../v \(folder)/PG_VERSION"),
            (
                "changed", "cp -p \(folder)/PG_VERSION \(folder)/../v; printf '16\\n' > \(folder)/PG_VERSION",
                "mv \(folder)/../v \(folder)/PG_VERSION"
            ),
            ("ignored", "touch \(folder)/recovery.signal", "rm \(folder)/recovery.signal"),
        ] {
            _ = try PostgresServer.run(["/bin/sh", "-c", change])
            do {
                verdicts[name] = try PostgresServer.run([PostgresServer.binaries + "/pg_verifybackup", "-n", folder])
            } catch let error as RepoError { verdicts[name] = error.message }
            _ = try PostgresServer.run(["/bin/sh", "-c", undo])
        }
    }

    /// Keeps the relations of a stopped server, then changes some pages on disk and asks pg_checksums.
    private mutating func flipPages(_ data: String) throws {
        for line in try PostgresServer.run(["/usr/bin/find", data + "/base", data + "/global", "-type", "f", "-size", "+0"])
            .split(separator: "\n")
        {
            let path = String(line.dropFirst(data.utf8.count + 1))
            if RelationFile(path: path) != nil { relations[path] = try Self.read(String(line)) }
        }
        for (index, path) in relations.keys.filter({ relations[$0]!.count >= 4 * 8192 }).sorted().prefix(40).enumerated() {
            // Each in another part of its page, the checksum itself among them, but not where a new page is told from others.
            let place = [9, 0, 4, 20, 8191, 4096, 8, 700][index % 8]
            flips.append((path, index % 4 * 8192 + place))
        }
        for flip in flips {
            guard let stream = fopen("\(data)/\(flip.path)", "r+") else { continue }
            fseek(stream, flip.offset, SEEK_SET)
            fputc(Int32(relations[flip.path]![flip.offset] ^ 0x10), stream)
            fclose(stream)
        }
        do { checksumReport = try PostgresServer.run([PostgresServer.binaries + "/pg_checksums", "--check", "-D", data]) } catch let error as RepoError {
            checksumReport = error.message
        }
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

    static func dictionary(_ text: String) -> [String: String] {
        var result: [String: String] = [:]
        for line in text.split(separator: "\n") {
            guard let colon = line.firstIndex(of: ":") else { continue }
            result[String(line[..<colon])] = String(line[line.index(after: colon)...].drop { $0 == " " })
        }
        return result
    }
}
