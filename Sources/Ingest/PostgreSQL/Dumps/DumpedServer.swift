public import PostgresClient
public import RepoBase

/// A server that is to be dumped: what it is, which databases it has, and the programs that can do it. What would fail later is refused here.
public final class DumpedServer {
    public let target: ConnectionTarget
    public let version: PostgresVersion
    public let tools: DumpTools
    /// `cluster_name`, or `postgres`.
    public let name: String
    /// 0 where the role may not ask.
    let systemIdentifier: UInt64
    let settings: [String: String]
    /// Passwords of roles can be read by superusers alone.
    public let readsPasswords: Bool
    /// In the order of their names.
    let databases: [Database]
    let connection: PostgresConnection
    let cancellation: CancellationFlag?

    struct Database: Hashable {
        let name: String
        /// 0 where the role may not ask.
        let bytes: UInt64
        let allowsConnections: Bool
    }

    public init(_ target: ConnectionTarget, cancellation: CancellationFlag? = nil) throws(RepoError) {
        self.target = target
        self.cancellation = cancellation
        connection = try PostgresConnection(target, cancellation: cancellation)
        version = connection.version
        tools = try DumpTools(for: version)
        let cluster = try connection.show("cluster_name")
        name = cluster.isEmpty ? "postgres" : cluster
        readsPasswords = connection.reported("is_superuser") == "on"
        let identifier = try? connection.query("SELECT system_identifier FROM pg_catalog.pg_control_system()")
        systemIdentifier = identifier?[0, 0].flatMap { Int64($0) }.map { UInt64(bitPattern: $0) } ?? 0
        var settings: [String: String] = [:]
        for name in ["cluster_name", "server_version", "server_encoding", "lc_collate", "lc_ctype", "TimeZone"] {
            if let value = try? connection.show(name) { settings[name] = value }
        }
        self.settings = settings
        let answer = try connection.query(
            """
            SELECT datname, datallowconn,
                CASE WHEN pg_catalog.has_database_privilege(oid, 'CONNECT') OR pg_catalog.pg_has_role('pg_read_all_stats', 'MEMBER')
                THEN pg_catalog.pg_database_size(oid) ELSE 0 END
            FROM pg_catalog.pg_database WHERE datname <> 'template0' ORDER BY datname COLLATE "C"
            """)
        databases = answer.rows.map { row in
            Database(name: row[0] ?? "", bytes: row[2].flatMap { UInt64($0) } ?? 0, allowsConnections: row[1] == "t")
        }
    }

    /// Throws `.usage` when a pattern matches no database, or nothing is left.
    func chosen(_ options: DumpOptions) throws(RepoError) -> [Database] {
        for pattern in options.databases where !databases.contains(where: { DumpOptions.matches($0.name, pattern) }) {
            throw RepoError(
                .usage, "no database of \(target) matches '\(pattern)'", advice: "There are \(databases.map(\.name).joined(separator: ", ")).")
        }
        let chosen = databases.filter { options.takes($0.name) }
        guard !chosen.isEmpty else { throw RepoError(.usage, "every database of \(target) is excluded", advice: "Nothing would be dumped.") }
        return chosen
    }
}
