import PostgresFormats
import RepoBase

/// `recovery_target_action`.
public enum RecoveryAction: String, Hashable, Sendable, CaseIterable {
    /// The server waits at the target, readable: for looking before deciding. `pg_wal_replay_resume()` then ends recovery.
    case pause
    /// The server becomes an ordinary one on a new timeline.
    case promote
    /// The server stops at the target; it goes on from there when it is started again.
    case shutdown
}

/// What a restored cluster is told in `postgresql.auto.conf`, which is read behind all other files (PostgreSQL 15, 20.1.2).
public struct RecoverySettings: Hashable, Sendable {
    public var restoreCommand: String
    public var stop: RecoveryStop
    /// Nil for that of the base backup, whatever its number.
    public var timeline: UInt32?
    public var action: RecoveryAction
    /// Leaves `archive_mode` as the cluster has it.
    public var keepsArchiving: Bool
    /// What the log needs more of than the base backup had, as the server had it by then.
    public var limits: [String: UInt32] = [:]

    public init(restoreCommand: String, stop: RecoveryStop, timeline: UInt32?, action: RecoveryAction, keepsArchiving: Bool) {
        self.restoreCommand = restoreCommand
        self.stop = stop
        self.timeline = timeline
        self.action = action
        self.keepsArchiving = keepsArchiving
    }

    /// What an earlier recovery may have left: taken out of `postgresql.auto.conf`, so that nothing of it is mixed with this one.
    static let stale: Set<String> = [
        "restore_command", "archive_cleanup_command", "recovery_end_command", "recovery_target", "recovery_target_lsn",
        "recovery_target_name", "recovery_target_time", "recovery_target_xid", "recovery_target_inclusive", "recovery_target_timeline",
        "recovery_target_action", "recovery_min_apply_delay",
    ]

    /// Names and values, in the order in which they have to stand.
    ///
    /// The targets that are not used come first, and empty: they may stand in another file, PostgreSQL refuses two targets, and setting
    /// one to nothing unsets whichever was set before (`assign_recovery_target`, access/transam/xlogrecovery.c).
    var values: [(name: String, value: String)] {
        var values: [(String, String)] = [("restore_command", restoreCommand)]
        var targets: [(String, String)]
        switch stop {
        case .before(let position): targets = [("recovery_target_lsn", "\(position)"), ("recovery_target_inclusive", "off")]
        case .after(let position): targets = [("recovery_target_lsn", "\(position)"), ("recovery_target_inclusive", "on")]
        case .consistency: targets = [("recovery_target", "immediate")]
        }
        for name in ["recovery_target", "recovery_target_lsn", "recovery_target_name", "recovery_target_time", "recovery_target_xid"]
        where name != targets[0].0 {
            values.append((name, ""))
        }
        targets += [("recovery_target_timeline", timeline.map(String.init) ?? "current"), ("recovery_target_action", action.rawValue)]
        // What was archived was applied by the server in its time.
        targets += [("recovery_min_apply_delay", "0"), ("archive_cleanup_command", ""), ("recovery_end_command", "")]
        values += targets
        if !keepsArchiving { values.append(("archive_mode", "off")) }
        values += limits.sorted { $0.key < $1.key }.map { ($0.key, "\($0.value)") }
        return values
    }

    /// The lines for the end of the file.
    var text: String {
        var text = "\n# Written by 'repo restore'. Once the server has ended recovery, the lines above archive_mode have done their work.\n"
        for (name, value) in values { text += "\(name) = \(Self.quoted(value))\n" }
        return text
    }

    /// As a value in a configuration file (utils/misc/guc-file.l): quotes doubled, and backslashes, which begin an escape there.
    static func quoted(_ value: String) -> String {
        "'" + value.replacingScalars { $0 == "\\" ? "\\\\" : $0 == "'" ? "''" : nil } + "'"
    }

    /// The file without what an earlier recovery left, and with this one's settings.
    func applied(to file: String) -> String {
        var removed = Self.stale
        if !keepsArchiving { removed.insert("archive_mode") }
        var lines: [Substring] = []
        for line in file.split(separator: "\n", omittingEmptySubsequences: false) {
            let name = line.drop { $0 == " " || $0 == "\t" }.prefix { $0.isLetter || $0.isNumber || $0 == "_" || $0 == "." }
            if removed.contains(name.lowercased()) || line.hasPrefix("# Written by 'repo restore'.") { continue }
            lines.append(line)
        }
        while lines.last?.isEmpty == true { lines.removeLast() }
        let kept = lines.joined(separator: "\n")
        return (kept.isEmpty ? "" : kept + "\n") + text
    }
}
