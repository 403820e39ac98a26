public import PostgresClient
public import PostgresFormats
public import RepoBase

/// A server that is to be backed up file by file: a replication connection, what the server says of itself, and where it allows one, a
/// connection for questions in SQL.
public final class ClusterConnection {
    public let target: ConnectionTarget
    let replication: PostgresConnection
    /// Nil where the role may not connect to a database: names of databases and relations are then not known.
    let questions: PostgresConnection?
    /// Why there is none.
    public let withoutQuestions: String?

    public let identity: SystemIdentity
    public let version: PostgresVersion
    public let segmentSize: WALSegmentSize
    public let blockSize: UInt32
    public let hasChecksums: Bool
    /// What a restored server needs to agree with, and what people ask for afterwards.
    public let settings: [String: String]

    /// Connects and looks around. Throws `.sourceFailed`, or `.usage` for a server that is too old, before anything is stored.
    public init(_ target: ConnectionTarget, cancellation: CancellationFlag? = nil) throws(RepoError) {
        self.target = target
        replication = try PostgresConnection(target, .physicalReplication, cancellation: cancellation)
        version = replication.version
        try version.requireSupported()
        identity = try replication.identifySystem()
        segmentSize = try replication.segmentSize()
        let block = try replication.show("block_size")
        guard let blockSize = UInt32(block), blockSize.nonzeroBitCount == 1, (1024...32768).contains(blockSize) else {
            throw RepoError(.sourceFailed, "the server's block size '\(block)' is not understood")
        }
        self.blockSize = blockSize
        hasChecksums = try replication.show("data_checksums") == "on"
        var settings: [String: String] = [:]
        for name in Self.recorded {
            // Settings that this version does not have, or that the role may not see.
            if let value = try? replication.show(name) { settings[name] = value }
        }
        self.settings = settings
        do throws(RepoError) {
            questions = try PostgresConnection(target, .ordinary, cancellation: cancellation)
            withoutQuestions = nil
        } catch {
            if error.code == .interrupted { throw error }
            questions = nil
            withoutQuestions = error.message
        }
    }

    /// The first five must not be lower on a standby or in recovery than they were here (manual, "Hot Standby: Administrator's Overview").
    private static let recorded = [
        "max_connections", "max_worker_processes", "max_wal_senders", "max_prepared_transactions", "max_locks_per_transaction",
        "wal_level", "track_commit_timestamp", "full_page_writes", "archive_mode", "cluster_name", "data_directory",
        "data_directory_mode", "config_file", "hba_file", "ident_file", "shared_preload_libraries", "server_version",
        "server_encoding", "TimeZone", "log_timezone",
    ]

    /// The history of the timeline that the server is on, as its file holds it; nil for timeline 1, which has none. Throws what the server answers, and
    /// `.damaged` for what is none.
    public func history() throws(RepoError) -> (name: String, content: [UInt8])? {
        guard identity.timeline > 1 else { return nil }
        let history = try replication.timelineHistory(identity.timeline)
        _ = try TimelineHistory(history.content, timeline: identity.timeline, object: history.name)
        return history
    }

    /// `cluster_name`, or `postgres` where there is none.
    public var name: String { settings["cluster_name"].flatMap { $0.isEmpty ? nil : $0 } ?? "postgres" }

    /// Whether the server hands its finished log to an archive command or library.
    public var isArchiving: Bool { settings["archive_mode"].map { $0 != "off" } ?? false }

    /// Whether group members may read the data directory (`initdb --allow-group-access`).
    var directoryPermissions: UInt16 { settings["data_directory_mode"].flatMap { UInt16($0, radix: 8) } ?? 0o700 }

    /// Names of physical slots that somebody streams from at this moment.
    public func streamingSlots() throws(RepoError) -> [String] {
        guard let questions else { return [] }
        return try questions.query("SELECT slot_name FROM pg_catalog.pg_replication_slots WHERE slot_type = 'physical' AND active")
            .rows.compactMap { $0[0] }
    }

    /// What the archiver failed at last, when it has archived nothing since; nil where all is well or nobody can be asked.
    public func archiverFailure() -> String? {
        let question = """
            SELECT last_failed_wal FROM pg_catalog.pg_stat_archiver
            WHERE last_failed_time > coalesce(last_archived_time, '-infinity')
            """
        return (try? questions?.query(question))?[0, 0]
    }

    /// The server's clock, or ours where it cannot be asked.
    func now() -> FileTime {
        let question = "SELECT (extract(epoch FROM pg_catalog.clock_timestamp()) * 1000000)::bigint"
        guard let answer = try? questions?.query(question), let microseconds: Int64 = try? answer.value(0, 0, "time") else {
            return .now()
        }
        return FileTime(seconds: microseconds / 1_000_000, nanoseconds: UInt32(microseconds % 1_000_000) * 1000)
    }

    /// Databases by oid; nil where they cannot be asked for.
    func databaseNames() -> [UInt32: String]? {
        guard let rows = try? questions?.query("SELECT oid, datname FROM pg_catalog.pg_database").rows else { return nil }
        return Dictionary(rows.compactMap { row in row[0].flatMap { UInt32($0) }.map { ($0, row[1] ?? "") } }, uniquingKeysWith: { $1 })
    }
}
