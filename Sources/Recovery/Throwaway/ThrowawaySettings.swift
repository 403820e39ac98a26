import Glibc
import PostgresFormats
import RepoBase

/// What a throwaway server is started with. Everything stands on its command line, which counts over `postgresql.auto.conf` (PostgreSQL 15, 20.1.5):
/// whatever ALTER SYSTEM set on the old server, this one talks to nobody and runs nothing but what it is asked.
struct ThrowawaySettings: Hashable {
    /// Where the socket, `pg_hba.conf` and an otherwise empty `postgresql.conf` are.
    var folder: String
    var socketFolder: String
    /// `shared_buffers`, bytes.
    var bufferBytes: UInt64
    /// Writes reach the disk as on a real server; what is measured is then what a real recovery takes.
    var isDurable: Bool
    /// Lets readers in before recovery has ended.
    var isHotStandby: Bool
    /// What replay needs at least, by `ControlFile` and as the server has asked for since.
    var minimums: [String: UInt64]
    var trackCommitTimestamp: Bool
    /// `shared_preload_libraries` that are installed here.
    var libraries: [String]
    var timeZone: String?

    static let hostAuthentication = "# Whoever can open the socket is its server's user, or root.\nlocal all all trust\n"

    /// - Parameters:
    ///   - control: of the restored cluster.
    ///   - settings: recorded in the base backup.
    static func minimums(_ control: ControlFile, _ settings: [String: String]) -> [String: UInt64] {
        var minimums: [String: UInt64] = [
            "max_connections": UInt64(control.maxConnections), "max_worker_processes": UInt64(control.maxWorkerProcesses),
            "max_wal_senders": UInt64(control.maxWALSenders), "max_prepared_transactions": UInt64(control.maxPreparedTransactions),
            "max_locks_per_transaction": UInt64(control.maxLocksPerTransaction),
        ]
        for (name, value) in minimums { minimums[name] = max(value, settings[name].flatMap { UInt64($0) } ?? 0) }
        return minimums
    }

    /// Names and values.
    var values: [(name: String, value: String)] {
        func minimum(_ name: String, _ least: UInt64) -> String { String(max(minimums[name] ?? 0, least)) }
        var values: [(String, String)] = [
            ("config_file", "\(folder)/postgresql.conf"), ("hba_file", "\(folder)/pg_hba.conf"), ("ident_file", "\(folder)/pg_ident.conf"),
            ("external_pid_file", ""),
            // No TCP, and a socket for the server's own user.
            ("listen_addresses", ""), ("port", "\(Self.port)"), ("unix_socket_directories", Self.listElement(socketFolder)),
            ("unix_socket_permissions", "0700"), ("unix_socket_group", ""), ("ssl", "off"),
            // It archives nowhere, waits for no standby, and follows no server.
            ("archive_mode", "off"), ("archive_command", ""), ("synchronous_standby_names", ""), ("primary_conninfo", ""),
            ("primary_slot_name", ""), ("wal_level", "replica"), ("max_logical_replication_workers", "0"),
            ("shared_buffers", "\(max(bufferBytes, 128 << 10) / 1024)kB"), ("huge_pages", "off"),
            ("max_connections", minimum("max_connections", 20)), ("max_wal_senders", minimum("max_wal_senders", 0)),
            ("max_prepared_transactions", minimum("max_prepared_transactions", 0)),
            ("max_locks_per_transaction", minimum("max_locks_per_transaction", 64)),
            // Subscriptions and scheduled jobs of the old server must not run here: with no place for background workers there are none. Replay has a
            // minimum only where readers are let in (CheckRequiredParameterValues, access/transam/xlogrecovery.c), and then none of them starts.
            ("max_worker_processes", isHotStandby ? minimum("max_worker_processes", 0) : "0"),
            ("hot_standby", isHotStandby ? "on" : "off"), ("track_commit_timestamp", trackCommitTimestamp ? "on" : "off"),
            ("shared_preload_libraries", libraries.map(Self.listElement).joined(separator: ", ")), ("session_preload_libraries", ""),
            ("local_preload_libraries", ""), ("autovacuum", "off"), ("jit", "off"), ("restart_after_crash", "off"),
            ("default_transaction_read_only", "off"), ("fsync", isDurable ? "on" : "off"), ("full_page_writes", isDurable ? "on" : "off"),
            ("synchronous_commit", isDurable ? "on" : "off"), ("log_destination", "stderr"), ("logging_collector", "off"),
            ("log_min_messages", "warning"), ("log_statement", "none"), ("log_min_duration_statement", "-1"), ("lc_messages", "C"),
            ("cluster_name", "repo throwaway"),
        ]
        if let timeZone { values.append(("TimeZone", timeZone)) }
        return values
    }

    static let port = 5432

    /// The files that `values` name. Throws `.failed`.
    static func writeFiles(_ folder: String, owner: FileOwner) throws(RepoError) {
        try TextFile.write("\(folder)/pg_hba.conf", hostAuthentication, owner: owner)
        try TextFile.write("\(folder)/pg_ident.conf", "", owner: owner)
        try TextFile.write("\(folder)/postgresql.conf", "# Everything stands on the server's command line.\n", owner: owner)
    }

    var arguments: [String] { values.flatMap { ["-c", "\($0.name)=\($0.value)"] } }

    /// One element of a list of names (`SplitDirectoriesString`, utils/adt/varlena.c).
    static func listElement(_ text: String) -> String { "\"" + text.replacing("\"", with: "\"\"") + "\"" }

    /// Those of a recorded `shared_preload_libraries` that these programs have, and the others.
    static func libraries(_ recorded: String, _ programs: ServerPrograms) -> (found: [String], missing: [String]) {
        var (found, missing): ([String], [String]) = ([], [])
        for part in recorded.split(separator: ",") {
            let name = String(part.trimmingSpaces.filter { $0 != "\"" }.trimmingPrefix("$libdir/"))
            guard !name.isEmpty else { continue }
            let places = name.contains("/") ? [name] : programs.libraryFolders.map { "\($0)/\(name)" }
            let isThere = places.contains { access($0, R_OK) == 0 || access($0 + ".so", R_OK) == 0 }
            if isThere { found.append(name) } else { missing.append(name) }
        }
        return (found, missing)
    }

    /// What the server said that it lacks for replay: names and the least values that would do.
    ///
    /// `max_connections = 20 is a lower setting than on the primary server, where its value was 100.` (`RecoveryRequiresIntParameter`,
    /// access/transam/xlogrecovery.c); `maximum number of prepared transactions reached` (access/transam/twophase.c).
    func lacking(_ log: String) -> [String: UInt64] {
        var lacking: [String: UInt64] = [:]
        for line in log.split(separator: "\n") {
            if line.contains("maximum number of prepared transactions reached") {
                lacking["max_prepared_transactions"] = max(lacking["max_prepared_transactions"] ?? 0, 8 * max(8, minimums["max_prepared_transactions"] ?? 0))
            }
            guard line.contains("is a lower setting than on the primary server") else { continue }
            let words = line.split(separator: " ")
            guard let equals = words.firstIndex(of: "="), equals > 0, let last = words.last,
                let value = UInt64(last.filter { $0.isNumber })
            else { continue }
            let name = String(words[equals - 1])
            if value > minimums[name] ?? 0 { lacking[name] = value }
        }
        return lacking
    }
}

extension Substring {
    var trimmingSpaces: String {
        var text = self.drop { $0 == " " }
        while text.last == " " { text.removeLast() }
        return String(text)
    }
}
