public import RepoBase

/// What a snapshot of kind `postgres` knows of the cluster it holds (format.md, 7.2).
public struct ClusterFacts: Hashable, Sendable {
    /// How it was taken.
    public enum Method: UInt8, Hashable, Sendable {
        /// Files and the log, from which any later moment can be recovered.
        case physical = 1
        /// Dumps, each database at one moment.
        case logical = 2
    }

    public var method: Method
    /// `Database system identifier` of pg_controldata.
    public var systemIdentifier: UInt64
    /// As in `server_version_num`: 150018.
    public var serverVersion: UInt32
    /// The timeline that the backup began on and ended on: one that changes is refused.
    public var timeline: UInt32 = 0
    /// Where replay has to begin (the redo position of the backup's checkpoint).
    public var start = LogSequenceNumber.invalid
    /// Where the backup is consistent: nothing earlier can be recovered from it.
    public var stop = LogSequenceNumber.invalid
    public var startTime: FileTime
    public var stopTime: FileTime
    public var segmentSize: WALSegmentSize = .standard
    public var blockSize: UInt32 = 8192
    /// Page checksums are on.
    public var hasChecksums = false
    /// Taken from a standby.
    public var isFromStandby = false
    /// The log from `start` to `stop` stands in the snapshot itself, below `pg_wal`.
    public var includesLog = false
    public var tablespaces: [Tablespace] = []
    /// Names and values of settings that a restored server needs or that people ask for.
    public var settings: [String: String] = [:]
    /// What `label` of the backup said.
    public var label = ""
    /// Databases with their sizes in bytes, and, for dumps where asked for, the exact count of rows of each table.
    public var databases: [Database] = []

    public init(method: Method, systemIdentifier: UInt64, serverVersion: UInt32, startTime: FileTime, stopTime: FileTime) {
        self.method = method
        self.systemIdentifier = systemIdentifier
        self.serverVersion = serverVersion
        self.startTime = startTime
        self.stopTime = stopTime
    }

    public struct Tablespace: Hashable, Sendable {
        public var oid: UInt32
        /// Where it stood on the server. Its files are below `pg_tblspc/<oid>` of the snapshot.
        public var location: String

        public init(oid: UInt32, location: String) { (self.oid, self.location) = (oid, location) }
    }

    public struct Database: Hashable, Sendable {
        public var name: String
        public var bytes: UInt64
        public var rowCounts: [RowCount]

        public init(name: String, bytes: UInt64, rowCounts: [RowCount] = []) {
            (self.name, self.bytes, self.rowCounts) = (name, bytes, rowCounts)
        }
    }

    public struct RowCount: Hashable, Sendable {
        public var schema: String
        public var table: String
        public var rows: UInt64

        public init(schema: String, table: String, rows: UInt64) { (self.schema, self.table, self.rows) = (schema, table, rows) }
    }
}
