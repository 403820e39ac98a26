import CPQ
import Glibc
public import RepoBase

/// Where a server is and who asks: a connection string or URI as libpq takes it (libpq, 34.1.1).
///
/// What it does not say comes from libpq's own places: the environment, service files, `~/.pgpass`. Passwords best stand there.
public struct ConnectionTarget: Hashable, Sendable, CustomStringConvertible {
    /// As it was given; it may hold a password.
    let text: String
    private let parameters: [String: String]
    private let overrides: [String: String]

    /// - Parameter text: keywords and values, a URI, the name of a database, or nothing at all. Throws `.usage` for what libpq does not understand.
    public init(_ text: String) throws(RepoError) {
        self.text = text
        overrides = [:]
        guard text.contains("=") || text.hasPrefix("postgresql://") || text.hasPrefix("postgres://") else {
            parameters = text.isEmpty ? [:] : ["dbname": text]
            return
        }
        try ClientLibrary.load()
        var message: UnsafeMutablePointer<CChar>?
        guard let options = PQconninfoParse(text, &message) else {
            let why = message.map { String(cString: $0).trimmingNewlines } ?? "out of memory"
            PQfreemem(message)
            throw RepoError(
                .usage, "the connection string is not understood: \(Self.withoutValues(why, text))",
                advice: "Write it as in 'host=/run/postgresql user=backup' or 'postgresql://backup@db.example.com/shop'.")
        }
        defer { PQconninfoFree(options) }
        parameters = Self.values(options)
    }

    private init(_ other: ConnectionTarget, overrides: [String: String]) {
        (text, parameters) = (other.text, other.parameters)
        self.overrides = overrides
    }

    private static func values(_ options: UnsafeMutablePointer<PQconninfoOption>) -> [String: String] {
        var found: [String: String] = [:]
        var option = options
        while let keyword = option.pointee.keyword {
            if let value = option.pointee.val { found[String(cString: keyword)] = String(cString: value) }
            option += 1
        }
        return found
    }

    /// libpq repeats the text it stumbles over; a password must not get into logs that way.
    private static func withoutValues(_ message: String, _ text: String) -> String {
        text.contains("password") ? message.prefix { $0 != "\"" } + "…" : message
    }

    /// The same server and user, another database.
    public func database(_ name: String) -> ConnectionTarget {
        ConnectionTarget(self, overrides: overrides.merging(["dbname": name]) { $1 })
    }

    /// The same, under this name in `pg_stat_replication` and `synchronous_standby_names`, whatever the connection string says.
    public func named(_ applicationName: String) -> ConnectionTarget {
        ConnectionTarget(self, overrides: overrides.merging(["application_name": applicationName]) { $1 })
    }

    /// The database that is asked for, if any is.
    public var database: String? {
        overrides["dbname"] ?? parameters["dbname"] ?? Self.variable("PGDATABASE")
    }

    private var service: String? { parameters["service"] ?? Self.variable("PGSERVICE") }

    private static func variable(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }

    /// For people and logs: without password or keys.
    public var description: String {
        let shown = ["service", "host", "hostaddr", "port", "user", "dbname"]
        let words = shown.compactMap { key in (overrides[key] ?? parameters[key]).map { "\(key)=\($0)" } }
        return words.isEmpty ? "the default server" : words.joined(separator: " ")
    }

    /// Keywords and values for `PQconnectdbParams`, the string first, so that what follows counts over it.
    func keywords(_ kind: ConnectionKind, applicationName: String) -> [(String, String)] {
        var words = [("dbname", text)]
        for (key, value) in overrides { words.append((key, value)) }
        // libpq's own default would be a database named after the user, which roles for backups hardly have.
        if kind != .physicalReplication, database == nil, service == nil { words.append(("dbname", "postgres")) }
        words.append(("fallback_application_name", applicationName))
        if parameters["connect_timeout"] == nil, service == nil, Self.variable("PGCONNECT_TIMEOUT") == nil {
            words.append(("connect_timeout", "30"))
        }
        // A dead peer is found within minutes, not the kernel's two hours: a backup may wait long for a checkpoint.
        if parameters["keepalives_idle"] == nil { words.append(("keepalives_idle", "60")) }
        words.append(("client_encoding", "UTF8"))
        switch kind {
        case .ordinary: break
        case .physicalReplication: words.append(("replication", "true"))
        case .databaseReplication: words.append(("replication", "database"))
        }
        return words
    }

    /// What child processes such as pg_dump take as `--dbname`; the password stays out of their arguments.
    public var argumentWithoutPassword: String {
        var words = parameters.merging(overrides) { $1 }
        words["password"] = nil
        return words.sorted { $0.key < $1.key }.map { "\($0.key)=\(Self.quoted($0.value))" }.joined(separator: " ")
    }

    /// The password of the string itself: children get it as `PGPASSWORD`.
    public var password: String? { parameters["password"] }

    /// A value of a connection string (libpq, 34.1.1.1).
    public static func quoted(_ value: String) -> String {
        "'" + value.replacingScalars { $0 == "'" || $0 == "\\" ? "\\\($0)" : nil } + "'"
    }
}

/// What a connection is for (libpq's `replication`).
public enum ConnectionKind: Hashable, Sendable {
    /// SQL.
    case ordinary
    /// Replication commands alone; `pg_hba.conf` must have a line for `replication`.
    case physicalReplication
    /// Replication commands and SQL, in a database.
    case databaseReplication
}

extension String {
    /// libpq's messages end in a newline and may have several lines.
    var trimmingNewlines: String {
        split(separator: "\n").map { $0.drop { $0 == "\t" || $0 == " " } }.joined(separator: "; ")
    }
}
