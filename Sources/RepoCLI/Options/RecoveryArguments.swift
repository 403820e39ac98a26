import ArgumentParser
import PostgresFormats
import Recovery
import RepoBase

/// --action.
enum ActionChoice: String, CaseIterable, ExpressibleByArgument {
    case pause
    case promote
    case shutdown

    var action: RecoveryAction {
        switch self {
        case .pause: .pause
        case .promote: .promote
        case .shutdown: .shutdown
        }
    }
}

/// What `repo restore` takes for PostgreSQL.
struct RecoveryArguments: ParsableArguments {
    @Option(name: .customLong("target-lsn"), help: ArgumentHelp("Recover up to this position of the log.", valueName: "lsn"))
    var position: String?
    @Option(name: .customLong("target-xid"), help: ArgumentHelp("Recover up to the end of this transaction.", valueName: "xid"))
    var transaction: UInt64?
    @Option(
        name: .customLong("target-name"),
        help: ArgumentHelp("Recover up to this restore point (pg_create_restore_point).", valueName: "name"))
    var name: String?
    @Flag(name: .customLong("target-immediate"), help: "Recover to the moment at which the base backup was complete.")
    var immediate = false
    @Flag(help: "Recover all that there is.") var latest = false
    @Flag(name: .customLong("target-exclusive"), help: "Stop before the target itself instead of behind it.") var exclusive = false
    @Option(
        help: ArgumentHelp(
            "Which history to follow: 'latest', 'current' (that of the base backup), or a number. (default: latest)", valueName: "timeline"))
    var timeline: String?
    @Option(help: ArgumentHelp("What the server does at the target. (default: promote)", valueName: "action"))
    var action: ActionChoice?
    @Option(
        name: .customLong("tablespace"),
        help: ArgumentHelp("Where a tablespace goes, by its old place or its oid; may be repeated.", valueName: "old=new"))
    var tablespaces: [String] = []
    @Flag(help: "Leave archive_mode as it was: the restored server archives as the old one did.") var keepArchiving = false
    @Flag(help: "Move what stands in the target aside first, by renaming it.") var safetyCopy = false
    @Flag(help: "Start the server and wait until it has recovered.") var start = false
    @Option(help: ArgumentHelp("Where pg_ctl is, for --start.", valueName: "folder")) var postgresBin: String?
    @Option(parsing: .unconditional, help: ArgumentHelp("Handed to the server by --start, as in '-p 5433'.", valueName: "options")) var serverOptions: String?
    @Flag(help: "Do not read the needed log beforehand; damage, and tablespaces that replay makes where others are, then show only when the server gets there.")
    var skipLogCheck = false

    /// Whether a recovery was asked for, and not just files.
    var isAsked: Bool { !targets.isEmpty || hasDetails }

    private var targets: [String] {
        [
            ("--target-lsn", position != nil), ("--target-xid", transaction != nil), ("--target-name", name != nil),
            ("--target-immediate", immediate), ("--latest", latest),
        ].filter(\.1).map(\.0)
    }

    private var hasDetails: Bool {
        exclusive || timeline != nil || action != nil || !tablespaces.isEmpty || keepArchiving || safetyCopy || start || postgresBin != nil
            || serverOptions != nil || skipLogCheck
    }

    /// What a cluster takes that stays, and single tables do not.
    var misplacedForTables: [(String, Bool)] {
        [
            ("--action", action != nil), ("--tablespace", !tablespaces.isEmpty), ("--keep-archiving", keepArchiving), ("--safety-copy", safetyCopy),
            ("--start", start), ("--server-options", serverOptions != nil),
        ]
    }

    /// - Parameter time: what --at says.
    /// Throws `.usage` for several targets and for what is none.
    func target(_ time: FileTime?) throws(RepoError) -> RecoveryTarget {
        let named = targets + (time == nil ? [] : ["--at"])
        guard named.count < 2 else {
            throw RepoError(.usage, "\(named.joined(separator: " and ")) are different targets", advice: "Keep one of them.")
        }
        if exclusive, immediate || latest || named.isEmpty {
            throw RepoError(.usage, "--target-exclusive needs a target that can be left out")
        }
        if let time { return .time(time) }
        if let position {
            guard let position = LogSequenceNumber(position) else {
                throw RepoError(.usage, "'\(position)' is no position of the log", advice: "Write it as PostgreSQL does: 16/B374D848.")
            }
            return .position(position)
        }
        // pg_current_xact_id() tells 64 bits, of which the log has the lower half.
        if let transaction { return .transaction(UInt32(truncatingIfNeeded: transaction)) }
        if let name { return .name(name) }
        return immediate ? .immediate : .latest
    }

    func timelineChoice() throws(RepoError) -> TimelineChoice {
        switch timeline {
        case nil, "latest": return .latest
        case "current": return .ofBackup
        case .some(let text):
            guard let number = UInt32(text), number > 0 else {
                throw RepoError(.usage, "'\(text)' is no timeline", advice: "Use 'latest', 'current', or a number from 1 on.")
            }
            return .number(number)
        }
    }

    /// By the old place.
    func tablespacePlaces() throws(RepoError) -> [String: String] {
        var places: [String: String] = [:]
        for text in tablespaces {
            guard let equals = text.firstIndex(of: "="), equals != text.startIndex, text.index(after: equals) != text.endIndex else {
                throw RepoError(.usage, "'\(text)' does not say where a tablespace goes", advice: "Write --tablespace /old/place=/new/place.")
            }
            places[String(text[..<equals])] = try LogAccess.absolute(String(text[text.index(after: equals)...]))
        }
        return places
    }
}
