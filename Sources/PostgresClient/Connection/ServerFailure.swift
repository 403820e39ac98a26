import CPQ
import RepoBase

/// Errors of the server and of libpq in our words, with what to do about the usual ones (Appendix A of PostgreSQL's manual).
enum ServerFailure {
    /// A connection that could not be made.
    static func connecting(_ message: String, _ target: ConnectionTarget, _ kind: ConnectionKind) -> RepoError {
        RepoError(
            .sourceFailed, "cannot connect to \(target): \(message.trimmingNewlines)",
            advice: adviceOnConnecting(message, kind))
    }

    /// A connection that was lost.
    static func lost(_ message: String, _ target: ConnectionTarget) -> RepoError {
        let why = message.trimmingNewlines
        return RepoError(
            .sourceFailed, "the connection to \(target) was lost" + (why.isEmpty ? "" : ": \(why)"),
            advice: "See the server's log for the reason (a restart, a crash, wal_sender_timeout, the network), then try again.")
    }

    /// A command that the server refused. `command` is shown in short.
    static func refused(_ fields: Fields, command: String, _ target: ConnectionTarget) -> RepoError {
        var message = "\(verb(command)) failed on \(target): \(fields.message)"
        if !fields.detail.isEmpty { message += " (\(fields.detail.trimmingNewlines))" }
        let known = advice(fields)
        return RepoError(.sourceFailed, message, advice: known.isEmpty ? fields.hint.trimmingNewlines : known)
    }

    /// The fields of an error or a notice (libpq, PQresultErrorField).
    struct Fields {
        var severity = ""
        var state = ""
        var message = ""
        var detail = ""
        var hint = ""

        init(_ result: OpaquePointer?) {
            func field(_ code: Unicode.Scalar) -> String {
                PQresultErrorField(result, CInt(code.value)).map { String(cString: $0) } ?? ""
            }
            // Codes of postgres_ext.h: PG_DIAG_SEVERITY_NONLOCALIZED, _SQLSTATE, _MESSAGE_PRIMARY, _DETAIL, _HINT.
            severity = field("V")
            state = field("C")
            message = field("M")
            detail = field("D")
            hint = field("H")
            if message.isEmpty { message = String(cString: PQresultErrorMessage(result)).trimmingNewlines }
        }
    }

    private static func verb(_ command: String) -> String {
        let words = command.split(whereSeparator: \.isWhitespace)
        let first = words.first.map(String.init) ?? "a command"
        // Replication commands are one telling word; of SQL the beginning tells.
        return first.contains("_") ? first : "'\(words.joined(separator: " ").prefix(60))'"
    }

    private static func advice(_ fields: Fields) -> String {
        switch fields.state {
        case "42501":
            "The role lacks a right: ALTER ROLE … REPLICATION lets it take base backups and stream the log; "
                + "GRANT pg_read_all_data and pg_read_all_settings lets it dump and see settings."
        case "53300": "Every connection is in use: raise max_connections or max_wal_senders, or end idle ones."
        case "53400" where fields.message.contains("replication slots"):
            "Raise max_replication_slots, or drop slots that nobody uses."
        case "58P01" where fields.message.contains("WAL") || fields.message.contains("wal"):
            "The log that is asked for is gone from the server: use a replication slot, or raise wal_keep_size."
        default: ""
        }
    }

    private static func adviceOnConnecting(_ message: String, _ kind: ConnectionKind) -> String {
        func has(_ text: String) -> Bool { message.contains(text) }
        if has("pg_hba.conf") {
            return kind == .physicalReplication
                ? "Add a line as 'host replication ROLE ADDRESS/32 scram-sha-256' (or 'local replication ROLE peer') to pg_hba.conf and reload."
                : "Add a line for this role, database and address to pg_hba.conf and reload."
        }
        if has("password") {
            return "Put the password into ~/.pgpass (mode 0600) or a service file of the user who runs this, or set PGPASSWORD."
        }
        if has("eer authentication failed") {
            return "The socket's 'peer' rule wants a system user of the same name: run as that user, or map it in pg_ident.conf."
        }
        if has("replication role") || has("WAL sender") {
            return "Give the role the right: ALTER ROLE … REPLICATION."
        }
        if has("max_wal_senders") { return "Raise max_wal_senders (a restart is needed), or end idle replication connections." }
        if has("wal_level") { return "Set wal_level = replica (a restart is needed)." }
        if has("connection slots") || has("too many clients") || has("too many connections") {
            return "Every connection is in use: raise max_connections, or end idle ones."
        }
        if has("starting up") || has("shutting down") || has("recovery mode") {
            return "The server is not ready; try again when it is (on a standby, hot_standby must be on)."
        }
        if has("does not exist") { return "Name an existing role and database in the connection string." }
        if has("timeout") || has("timed out") || has("refused") || has("No such file") || has("could not translate") {
            return "Check that the server runs, and host, port or socket folder in the connection string."
        }
        return kind == .ordinary
            ? "Check the connection string with psql."
            : "The role needs REPLICATION, and pg_hba.conf a line for database 'replication'."
    }
}

/// Something that the server said beside its answers: a warning, a notice.
public struct ServerNotice: Hashable, Sendable {
    /// `WARNING`, `NOTICE`, …
    public let severity: String
    /// SQLSTATE.
    public let state: String
    public let message: String

    init(_ fields: ServerFailure.Fields) { (severity, state, message) = (fields.severity, fields.state, fields.message) }
}
