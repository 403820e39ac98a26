public import RepoBase

/// The control file of a cluster, `global/pg_control` (`ControlFileData`, catalog/pg_control.h), of PostgreSQL 13 to 18.
public struct ControlFile: Hashable, Sendable {
    /// `DBState`.
    public enum State: UInt32, Hashable, Sendable, CustomStringConvertible {
        case startingUp = 0
        case shutDown = 1
        case shutDownInRecovery = 2
        case shuttingDown = 3
        case inCrashRecovery = 4
        case inArchiveRecovery = 5
        case inProduction = 6

        /// In the words of pg_controldata.
        public var description: String {
            switch self {
            case .startingUp: "starting up"
            case .shutDown: "shut down"
            case .shutDownInRecovery: "shut down in recovery"
            case .shuttingDown: "shutting down"
            case .inCrashRecovery: "in crash recovery"
            case .inArchiveRecovery: "in archive recovery"
            case .inProduction: "in production"
            }
        }
    }

    /// `WalLevel` (access/xlog.h).
    public enum WALLevel: UInt32, Hashable, Sendable, CustomStringConvertible {
        case minimal = 0
        case replica = 1
        case logical = 2

        public var description: String {
            switch self {
            case .minimal: "minimal"
            case .replica: "replica"
            case .logical: "logical"
            }
        }
    }

    public var systemIdentifier: UInt64
    /// `PG_CONTROL_VERSION`: 1300 or 1800.
    public var controlVersion: UInt32
    public var catalogVersion: UInt32
    public var state: State
    /// When the file was written last, in seconds since 1970.
    public var time: FileTime
    /// The record of the last checkpoint.
    public var checkpoint: LogSequenceNumber
    /// What that record says: where replay begins, on which timeline, when it was made, and the next transaction id with its epoch.
    public var redo: LogSequenceNumber
    public var timeline: UInt32
    public var previousTimeline: UInt32
    public var fullPageWrites: Bool
    public var nextTransaction: UInt64
    public var checkpointTime: FileTime
    public var minimumRecoveryPoint: LogSequenceNumber
    public var minimumRecoveryTimeline: UInt32
    public var backupStart: LogSequenceNumber
    public var backupEnd: LogSequenceNumber
    public var isBackupEndRequired: Bool
    public var walLevel: WALLevel
    public var walLogHints: Bool
    /// `max_connections`, `max_worker_processes`, `max_wal_senders`, `max_prepared_transactions`, `max_locks_per_transaction`: a standby and a
    /// recovery with hot standby need at least as many.
    public var maxConnections: UInt32
    public var maxWorkerProcesses: UInt32
    public var maxWALSenders: UInt32
    public var maxPreparedTransactions: UInt32
    public var maxLocksPerTransaction: UInt32
    public var trackCommitTimestamp: Bool
    /// Bytes of a data page.
    public var blockSize: UInt32
    /// Pages of a full file of a relation.
    public var pagesPerFile: UInt32
    /// Bytes of a page of the log.
    public var walBlockSize: UInt32
    public var walSegmentSize: WALSegmentSize
    /// 0 where pages have no checksums, otherwise 1.
    public var checksumVersion: UInt32

    public var hasChecksums: Bool { checksumVersion != 0 }

    /// The file's path in the data directory.
    public static let path = "global/pg_control"
    /// `PG_CONTROL_FILE_SIZE`; what follows the structure is zero.
    public static let fileSize = 8192
    /// `PG_CONTROL_MAX_SAFE_SIZE`: the structure lies in the first bytes.
    private static let usedSize = 512

    /// - Parameter bytes: the file, at least its first 512 bytes.
    ///
    /// Throws `.damaged`, naming `object`, for another version, a wrong checksum, and numbers that PostgreSQL does not write.
    public init(_ bytes: UnsafeRawBufferPointer, object: String) throws(RepoError) {
        guard bytes.count >= Self.usedSize else { throw Self.damaged(object, "it has only \(bytes.count) bytes") }
        controlVersion = bytes.u32(8)
        // Where the checksum stands: 1300 serves PostgreSQL 13 to 17. 1800 (18) put default_char_signedness at 256, before the nonce of 32
        // bytes, and wal_level into what was padding of the checkpoint, at offset 20 of it; nothing else moved.
        let checksumOffset: Int
        switch controlVersion {
        case 1300: checksumOffset = 288
        case 1800: checksumOffset = 292
        default:
            let swapped = controlVersion.byteSwapped
            throw Self.damaged(
                object,
                swapped == 1300 || swapped == 1800
                    ? "it is of a machine with another byte order"
                    : "it is of format \(controlVersion), and this version of repo knows those of PostgreSQL 13 to 18 (1300 and 1800)")
        }
        let checksum = CRC32C.of(UnsafeRawBufferPointer(rebasing: bytes[..<checksumOffset]))
        guard checksum == bytes.u32(checksumOffset) else { throw Self.damaged(object, "its checksum is wrong") }
        systemIdentifier = bytes.u64(0)
        catalogVersion = bytes.u32(12)
        guard let state = State(rawValue: bytes.u32(16)) else { throw Self.damaged(object, "it has the unknown state \(bytes.u32(16))") }
        self.state = state
        time = FileTime(seconds: bytes.i64(24), nanoseconds: 0)
        checkpoint = LogSequenceNumber(bytes.u64(32))
        // CheckPoint checkPointCopy, 88 bytes from 40.
        redo = LogSequenceNumber(bytes.u64(40))
        timeline = bytes.u32(48)
        previousTimeline = bytes.u32(52)
        fullPageWrites = bytes.u8(56) != 0
        nextTransaction = bytes.u64(64)
        checkpointTime = FileTime(seconds: bytes.i64(104), nanoseconds: 0)
        minimumRecoveryPoint = LogSequenceNumber(bytes.u64(136))
        minimumRecoveryTimeline = bytes.u32(144)
        backupStart = LogSequenceNumber(bytes.u64(152))
        backupEnd = LogSequenceNumber(bytes.u64(160))
        isBackupEndRequired = bytes.u8(168) != 0
        guard let level = WALLevel(rawValue: bytes.u32(172)) else { throw Self.damaged(object, "it has the unknown wal_level \(bytes.u32(172))") }
        walLevel = level
        walLogHints = bytes.u8(176) != 0
        maxConnections = bytes.u32(180)
        maxWorkerProcesses = bytes.u32(184)
        maxWALSenders = bytes.u32(188)
        maxPreparedTransactions = bytes.u32(192)
        maxLocksPerTransaction = bytes.u32(196)
        trackCommitTimestamp = bytes.u8(200) != 0
        blockSize = bytes.u32(216)
        pagesPerFile = bytes.u32(220)
        walBlockSize = bytes.u32(224)
        guard let size = WALSegmentSize(bytes: Int(bytes.u32(228))) else {
            throw Self.damaged(object, "it tells an impossible size of the log's segments, \(bytes.u32(228)) bytes")
        }
        walSegmentSize = size
        checksumVersion = bytes.u32(252)
        guard [blockSize, walBlockSize].allSatisfy({ (1024...65_536).contains($0) && $0 & ($0 - 1) == 0 }) else {
            throw Self.damaged(object, "it tells impossible page sizes, \(blockSize) and \(walBlockSize) bytes")
        }
    }

    private static func damaged(_ object: String, _ why: String) -> RepoError {
        RepoError(
            .damaged, "\(object) is damaged: \(why)", advice: "Run 'pg_controldata' on the cluster it comes from.")
    }
}
