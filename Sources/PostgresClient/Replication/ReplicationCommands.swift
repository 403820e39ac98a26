import CPQ
public import PostgresFormats
public import RepoBase

/// What `IDENTIFY_SYSTEM` says.
public struct SystemIdentity: Hashable, Sendable {
    public let systemIdentifier: UInt64
    public let timeline: UInt32
    /// How far the log is flushed (on a standby: replayed).
    public let position: LogSequenceNumber
}

/// Replication commands (PostgreSQL's manual, "Streaming Replication Protocol"); on replication connections.
extension PostgresConnection {
    public func identifySystem() throws(RepoError) -> SystemIdentity {
        let answer = try query("IDENTIFY_SYSTEM")
        return SystemIdentity(
            systemIdentifier: try answer.value(0, 0, "system identifier"), timeline: try answer.value(0, 1, "timeline"),
            position: try answer.position(0, 2))
    }

    /// A setting. On ordinary connections as well.
    public func show(_ setting: String) throws(RepoError) -> String {
        try query("SHOW \(setting)").value(0, 0, "setting '\(setting)'")
    }

    /// `wal_segment_size` as a size; the server prints it with a unit.
    public func segmentSize() throws(RepoError) -> WALSegmentSize {
        let text = try show("wal_segment_size")
        let units = ["kB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30]
        let digits = text.prefix { $0.isNumber }
        guard let number = Int(digits), let unit = units[String(text.dropFirst(digits.count))],
            let size = WALSegmentSize(bytes: number * unit)
        else { throw RepoError(.sourceFailed, "the server's wal_segment_size '\(text)' is not understood") }
        return size
    }

    /// The `.history` file of a timeline: its name and bytes. Throws for timeline 1, which has none.
    public func timelineHistory(_ timeline: UInt32) throws(RepoError) -> (name: String, content: [UInt8]) {
        let answer = try query("TIMELINE_HISTORY \(timeline)")
        return (try answer.value(0, 0, "file name"), answer.bytes(0, 1).map(Array.init) ?? [])
    }

    /// Makes a physical slot. `isTemporary`: it goes with this connection. `reservesLog`: it keeps the log from now on, not only from its first use.
    public func createPhysicalSlot(_ name: String, isTemporary: Bool, reservesLog: Bool) throws(RepoError) {
        try query(
            "CREATE_REPLICATION_SLOT \(SQLText.identifier(name))\(isTemporary ? " TEMPORARY" : "") PHYSICAL\(reservesLog ? " RESERVE_WAL" : "")")
    }

    /// - Parameter waits: until nobody uses it; else a slot in use is refused.
    public func dropSlot(_ name: String, waits: Bool = false) throws(RepoError) {
        try query("DROP_REPLICATION_SLOT \(SQLText.identifier(name))\(waits ? " WAIT" : "")")
    }

    /// A slot's position, or nil when there is no such slot. PostgreSQL 15 and newer have a command for it; older servers are asked by SQL, for which
    /// the role needs a database that it may connect to.
    public func findSlot(_ name: String) throws(RepoError) -> ReplicationSlot? {
        if version.major >= 15 { return try readSlot(name) }
        return try PostgresConnection(target, .ordinary, cancellation: cancellation).askedForSlot(name)
    }

    /// The same by `pg_replication_slots`, on an ordinary connection.
    func askedForSlot(_ name: String) throws(RepoError) -> ReplicationSlot? {
        let answer = try query(
            "SELECT slot_type, restart_lsn FROM pg_catalog.pg_replication_slots WHERE slot_name = \(SQLText.literal(name))")
        guard answer.rowCount > 0, let kind = answer[0, 0] else { return nil }
        return ReplicationSlot(kind: kind, restart: answer[0, 1].flatMap { LogSequenceNumber($0) }, restartTimeline: nil)
    }

    /// A physical slot's position, or nil when there is no such slot. PostgreSQL 15 and newer.
    public func readSlot(_ name: String) throws(RepoError) -> ReplicationSlot? {
        guard version.major >= 15 else {
            throw RepoError(.usage, "READ_REPLICATION_SLOT is not known to PostgreSQL \(version)", advice: "Ask pg_replication_slots.")
        }
        let answer = try query("READ_REPLICATION_SLOT \(SQLText.identifier(name))")
        guard let kind = answer[0, 0] else { return nil }
        return ReplicationSlot(
            kind: kind, restart: answer[0, 1].flatMap { LogSequenceNumber($0) }, restartTimeline: answer[0, 2].flatMap { UInt32($0) })
    }
}

/// What `READ_REPLICATION_SLOT` says.
public struct ReplicationSlot: Hashable, Sendable {
    /// `physical`, the only one that READ_REPLICATION_SLOT reads, or `logical`.
    public let kind: String
    /// From where on the log is kept; nil when it keeps none yet.
    public let restart: LogSequenceNumber?
    public let restartTimeline: UInt32?
}

extension QueryResult {
    /// A position in the log.
    func position(_ row: Int, _ column: Int) throws(RepoError) -> LogSequenceNumber {
        let text: String = try value(row, column, "position of the log")
        guard let position = LogSequenceNumber(text) else {
            throw RepoError(.sourceFailed, "the server's answer has '\(text)' where a position of the log belongs")
        }
        return position
    }
}
