public import PostgresClient
public import PostgresFormats
public import RepoBase

/// What a running server tells of its log and of who takes it away.
public struct ServerState: Sendable {
    public var systemIdentifier: UInt64
    public var timeline: UInt32
    public var isInRecovery: Bool
    /// Where it writes; of a standby, what it has received or replayed.
    public var position: LogSequenceNumber
    public var segmentSize: WALSegmentSize
    /// `off`, `on` or `always`.
    public var archiveMode: String
    /// pg_stat_archiver, of which everything may be absent.
    public var archivedCount: UInt64 = 0
    public var lastArchived: String?
    public var lastArchivedTime: FileTime?
    public var failedCount: UInt64 = 0
    public var lastFailed: String?
    public var lastFailedTime: FileTime?
    /// Files that wait in `archive_status`; nil where the role may not see them (it needs pg_monitor).
    public var readyFiles: Int?
    public var slots: [Slot] = []

    public struct Slot: Hashable, Sendable {
        public let name: String
        public let isPhysical: Bool
        public let isActive: Bool
        /// The oldest position that it holds back; nil where it holds nothing.
        public let restart: LogSequenceNumber?
        /// Bytes between that and where the server writes.
        public let heldBytes: UInt64
        /// pg_replication_slots.wal_status: reserved, extended, unreserved or lost.
        public let status: String?
    }

    /// Whether archiving fails at present: the last failure is newer than the last success.
    public var isFailing: Bool {
        guard let lastFailedTime else { return false }
        return lastArchivedTime.map { $0 < lastFailedTime } ?? true
    }

    /// Asks a server of version 13 or newer. Throws `.sourceFailed`, and `.usage` for an older one.
    public init(_ connection: PostgresConnection) throws(RepoError) {
        try connection.version.requireSupported()
        let facts = try connection.query(
            """
            SELECT s.system_identifier::text, c.timeline_id::text, pg_is_in_recovery()::text,
              (CASE WHEN pg_is_in_recovery() THEN coalesce(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()) ELSE pg_current_wal_lsn() END)::text,
              (SELECT setting FROM pg_settings WHERE name = 'wal_segment_size'), current_setting('archive_mode')
            FROM pg_control_system() s, pg_control_checkpoint() c
            """)
        guard facts.rowCount == 1, let system = facts[0, 0].flatMap({ UInt64($0) }), let timeline = facts[0, 1].flatMap({ UInt32($0) }),
            let position = facts[0, 3].flatMap({ LogSequenceNumber($0) }),
            let size = facts[0, 4].flatMap({ Int($0) }).flatMap({ WALSegmentSize(bytes: $0) })
        else { throw RepoError(.sourceFailed, "the server \(connection.target) does not tell where its log is") }
        systemIdentifier = system
        self.timeline = timeline
        isInRecovery = facts[0, 2] == "true"
        self.position = position
        segmentSize = size
        archiveMode = facts[0, 5] ?? "off"
        try readArchiver(connection)
        try readSlots(connection)
        // Roles without pg_monitor may not look.
        readyFiles = (try? connection.query("SELECT count(*) FROM pg_ls_archive_statusdir() WHERE name LIKE '%.ready'")).flatMap {
            $0[0, 0].flatMap { Int($0) }
        }
    }

    private mutating func readArchiver(_ connection: PostgresConnection) throws(RepoError) {
        let row = try connection.query(
            """
            SELECT archived_count, last_archived_wal, (extract(epoch FROM last_archived_time) * 1000000)::bigint,
              failed_count, last_failed_wal, (extract(epoch FROM last_failed_time) * 1000000)::bigint FROM pg_stat_archiver
            """)
        guard row.rowCount == 1 else { return }
        func time(_ column: Int) -> FileTime? {
            row[0, column].flatMap { Int64($0) }.map { FileTime(seconds: $0 / 1_000_000, nanoseconds: UInt32($0 % 1_000_000) * 1000) }
        }
        archivedCount = row[0, 0].flatMap { UInt64($0) } ?? 0
        (lastArchived, lastArchivedTime) = (row[0, 1], time(2))
        failedCount = row[0, 3].flatMap { UInt64($0) } ?? 0
        (lastFailed, lastFailedTime) = (row[0, 4], time(5))
    }

    private mutating func readSlots(_ connection: PostgresConnection) throws(RepoError) {
        let rows = try connection.query("SELECT slot_name, slot_type, active::text, restart_lsn::text, wal_status FROM pg_replication_slots ORDER BY 1")
        for row in 0..<rows.rowCount {
            let restart = rows[row, 3].flatMap { LogSequenceNumber($0) }
            slots.append(
                Slot(
                    name: rows[row, 0] ?? "", isPhysical: rows[row, 1] == "physical", isActive: rows[row, 2] == "true", restart: restart,
                    heldBytes: restart.map { position.value > $0.value ? position.value - $0.value : 0 } ?? 0, status: rows[row, 4]))
        }
    }
}

extension WALStatus {
    /// Takes up what a server says: gaps that its archiver is stuck at get that cause, and its cluster is there even without any log. Returns how
    /// many bytes the archive is behind it.
    public mutating func add(_ server: ServerState) -> UInt64 {
        if !clusters.contains(where: { $0.systemIdentifier == server.systemIdentifier }) {
            clusters.append(Cluster(systemIdentifier: server.systemIdentifier, segmentSize: server.segmentSize))
        }
        let place = clusters.firstIndex { $0.systemIdentifier == server.systemIdentifier }!
        for index in clusters[place].gaps.indices {
            let gap = clusters[place].gaps[index]
            if let failed = server.lastFailed, gap.first <= failed, failed <= gap.last {
                clusters[place].gaps[index].cause = "the server's archive_command has failed for \(failed)"
            }
        }
        let end = clusters[place].timelines.last { $0.timeline <= server.timeline && $0.end != nil }?.end?.value ?? 0
        return server.position.value > end ? server.position.value - end : 0
    }
}
