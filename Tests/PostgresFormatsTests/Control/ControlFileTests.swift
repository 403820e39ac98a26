import RepoBase
import Testing
@testable import PostgresFormats

@Suite("The control file")
struct ControlFileTests {
    let log: RecordedLog
    init() throws { log = try RecordedLog.shared.get() }

    private func parse(_ bytes: [UInt8]) throws -> ControlFile {
        try bytes.withUnsafeBytes { try ControlFile($0, object: "global/pg_control") }
    }

    @Test("everything is as pg_controldata prints it")
    func oracle() throws {
        let file = try parse(log.control)
        #expect(log.control.count == ControlFile.fileSize)
        let told: [(String, String)] = [
            ("pg_control version number", "\(file.controlVersion)"),
            ("Catalog version number", "\(file.catalogVersion)"),
            ("Database system identifier", "\(file.systemIdentifier)"),
            ("Database cluster state", "\(file.state)"),
            ("Latest checkpoint location", "\(file.checkpoint)"),
            ("Latest checkpoint's REDO location", "\(file.redo)"),
            ("Latest checkpoint's TimeLineID", "\(file.timeline)"),
            ("Latest checkpoint's PrevTimeLineID", "\(file.previousTimeline)"),
            ("Latest checkpoint's full_page_writes", file.fullPageWrites ? "on" : "off"),
            ("Latest checkpoint's NextXID", "\(file.nextTransaction >> 32):\(file.nextTransaction & 0xFFFF_FFFF)"),
            ("Minimum recovery ending location", "\(file.minimumRecoveryPoint)"),
            ("Min recovery ending loc's timeline", "\(file.minimumRecoveryTimeline)"),
            ("Backup start location", "\(file.backupStart)"),
            ("Backup end location", "\(file.backupEnd)"),
            ("End-of-backup record required", file.isBackupEndRequired ? "yes" : "no"),
            ("wal_level setting", "\(file.walLevel)"),
            ("wal_log_hints setting", file.walLogHints ? "on" : "off"),
            ("max_connections setting", "\(file.maxConnections)"),
            ("max_worker_processes setting", "\(file.maxWorkerProcesses)"),
            ("max_wal_senders setting", "\(file.maxWALSenders)"),
            ("max_prepared_xacts setting", "\(file.maxPreparedTransactions)"),
            ("max_locks_per_xact setting", "\(file.maxLocksPerTransaction)"),
            ("track_commit_timestamp setting", file.trackCommitTimestamp ? "on" : "off"),
            ("Database block size", "\(file.blockSize)"),
            ("Blocks per segment of large relation", "\(file.pagesPerFile)"),
            ("WAL block size", "\(file.walBlockSize)"),
            ("Bytes per WAL segment", "\(file.walSegmentSize.bytes)"),
            ("Data page checksum version", "\(file.checksumVersion)"),
        ]
        for (key, value) in told { #expect(log.controlData[key] == value, "\(key)") }
        #expect(file.walLevel == .logical && file.maxPreparedTransactions == 20 && file.hasChecksums)
        #expect(file.time >= file.checkpointTime && file.checkpointTime.seconds > 1_700_000_000)
    }

    @Test("any flipped bit of the structure is found")
    func flips() {
        var bytes = log.control
        for place in 0..<292 {
            for bit in 0..<8 {
                bytes[place] ^= 1 << UInt8(bit)
                #expect(throws: RepoError.self) { try parse(bytes) }
                bytes[place] ^= 1 << UInt8(bit)
            }
        }
    }

    @Test("the layout of PostgreSQL 18 is read with its checksum elsewhere")
    func eighteen() throws {
        var bytes = log.control
        // default_char_signedness at 256 moves the nonce by one and the checksum by four.
        bytes.replaceSubrange(256..<289, with: [1] + bytes[256..<288])
        bytes.replaceSubrange(289..<296, with: [0, 0, 0, 0, 0, 0, 0])
        bytes.replaceSubrange(8..<12, with: [0x08, 0x07, 0, 0])
        let checksum = bytes[..<292].withUnsafeBytes { CRC32C.of($0) }
        withUnsafeBytes(of: checksum.littleEndian) { bytes.replaceSubrange(292..<296, with: $0) }
        let file = try parse(bytes)
        let old = try parse(log.control)
        #expect(file.controlVersion == 1800 && file.systemIdentifier == old.systemIdentifier)
    }

    @Test("other versions and short files are refused")
    func refused() {
        var bytes = log.control
        #expect(throws: RepoError.self) { try parse(Array(bytes[..<400])) }
        #expect(throws: RepoError.self) { try parse([]) }
        bytes.replaceSubrange(8..<12, with: [0xB1, 0x04, 0, 0])
        let error = #expect(throws: RepoError.self) { try parse(bytes) }
        #expect(error?.message.contains("format 1201") == true)
    }
}
