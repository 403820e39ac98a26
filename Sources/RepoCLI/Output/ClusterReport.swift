import PostgresFormats
import RepoBase
import Repository

/// What a snapshot of PostgreSQL knows of its cluster, as JSON shows it.
struct ClusterReport: Encodable {
    let method: String
    /// A string: JSON's numbers end at 2^53 in many programs.
    let systemIdentifier: String
    let serverVersion: String
    let startTime: String
    let stopTime: String
    let timeline: UInt32?
    let startLsn: String?
    let stopLsn: String?
    let checksums: Bool?
    let fromStandby: Bool?
    let includesLog: Bool?
    let label: String?
    let tablespaces: [Tablespace]
    let databases: [Database]
    let settings: [String: String]

    struct Tablespace: Encodable {
        let oid: UInt32
        let location: String
    }

    struct Database: Encodable {
        let name: String
        let bytes: UInt64
        /// Rows by schema and table; absent where they were not counted.
        let rows: [String: UInt64]?
    }

    init(_ facts: ClusterFacts) {
        let isPhysical = facts.method == .physical
        method = isPhysical ? "physical" : "logical"
        systemIdentifier = "\(facts.systemIdentifier)"
        serverVersion = "\(facts.serverVersion / 10_000).\(facts.serverVersion % 10_000)"
        startTime = TimeDisplay.utc(facts.startTime)
        stopTime = TimeDisplay.utc(facts.stopTime)
        timeline = isPhysical ? facts.timeline : nil
        startLsn = isPhysical ? "\(facts.start)" : nil
        stopLsn = isPhysical ? "\(facts.stop)" : nil
        checksums = isPhysical ? facts.hasChecksums : nil
        fromStandby = isPhysical ? facts.isFromStandby : nil
        includesLog = isPhysical ? facts.includesLog : nil
        label = isPhysical ? facts.label : nil
        tablespaces = facts.tablespaces.map { Tablespace(oid: $0.oid, location: $0.location) }
        databases = facts.databases.map { database in
            let rows = Dictionary(database.rowCounts.map { ("\($0.schema).\($0.table)", $0.rows) }, uniquingKeysWith: { $1 })
            return Database(name: database.name, bytes: database.bytes, rows: database.rowCounts.isEmpty ? nil : rows)
        }
        settings = facts.settings
    }

    /// Nil for snapshots of anything else, and for facts that do not read.
    init?(_ snapshot: Snapshot) {
        guard !snapshot.facts.isEmpty, let facts = try? ClusterFacts(snapshot.facts, object: "the snapshot") else { return nil }
        self.init(facts)
    }
}
