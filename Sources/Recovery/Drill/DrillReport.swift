/// What a restore test did and found: `repo drill --json`, and what is kept in the repository (format.md, 7.3).
///
/// Everything that an older or another kind of report may lack is optional, so that any version reads any other's.
public struct DrillReport: Codable, Hashable, Sendable {
    public enum Outcome: String, Codable, Hashable, Sendable {
        case passed
        /// The data came back, and a check of it failed; or the server did not come up.
        case failed
        /// The repository is damaged.
        case damaged
        /// The moment cannot be recovered from what the repository has.
        case notRecoverable = "not recoverable"

        /// Of the command line.
        public var exitStatus: Int32 {
            switch self {
            case .passed: 0
            case .failed: 1
            case .damaged: 12
            case .notRecoverable: 13
            }
        }
    }

    /// One thing that was looked at.
    public struct Check: Codable, Hashable, Sendable {
        public enum Result: String, Codable, Hashable, Sendable {
            case passed, failed, skipped
        }

        public var name: String
        public var result: Result
        /// What was looked at, or why not, in a few words.
        public var detail: String
        /// What is wrong; of very many the first.
        public var findings: [String]?
        public var findingsTotal: Int?
        public var seconds: Double?

        public static let findingLimit = 100

        public init(_ name: String, _ result: Result, _ detail: String, findings: [String] = [], seconds: Double? = nil) {
            (self.name, self.result, self.detail, self.seconds) = (name, result, detail, seconds)
            guard !findings.isEmpty else { return }
            self.findings = Array(findings.prefix(Self.findingLimit))
            findingsTotal = findings.count
        }
    }

    public struct Database: Codable, Hashable, Sendable {
        public var name: String
        public var tables: Int
        public var bytes: UInt64
    }

    /// A table whose rows were recorded by a dump with --row-counts, and counted here.
    public struct RowCount: Codable, Hashable, Sendable {
        public var database: String
        public var table: String
        /// Nil where there is no such table.
        public var rows: UInt64?
        public var recorded: UInt64
        public var recordedAt: String
    }

    /// Seconds of each phase; absent where the test did not get there.
    public struct Phases: Codable, Hashable, Sendable {
        /// Finding the position, the base backup and the log.
        public var plan: Double?
        /// Looking up the backup's blobs and reading the needed log.
        public var check: Double?
        public var restore: Double?
        /// From the server's start to consistency, and from there to the end of recovery.
        public var start: Double?
        public var replay: Double?
        public var verification: Double?
        public var total: Double?

        public init() {}
    }

    /// When it began, RFC 3339 in UTC.
    public var time: String
    public var source: String
    /// `postgres` for a cluster, `dumps`, or the snapshot's kind: `files`, `stdin`, `command`.
    public var kind: String
    public var outcome: Outcome = .passed
    /// Why it did not pass, in a sentence.
    public var message: String?
    public var advice: String?
    /// `latest`, `random`, or the moment that was asked for.
    public var asked: String
    /// The moment that was recovered, where it was one.
    public var moment: String?
    public var snapshotId: String?
    public var snapshotTime: String?
    public var systemIdentifier: String?
    public var serverVersion: UInt32?
    public var timeline: UInt32?
    public var stopLsn: String?
    public var stopInclusive: Bool?
    public var reachedLsn: String?
    /// When the last transaction ended that came back.
    public var lastTransactionTime: String?
    public var segments: Int?
    public var logBytes: UInt64?
    public var files: UInt64?
    public var bytes: UInt64?
    public var phases = Phases()
    /// From the beginning of the restore to a server that answers: what a real recovery would take, on this machine, without looking for a place.
    public var secondsToRecovery: Double?
    public var checks: [Check] = []
    public var databases: [Database]?
    public var rowCounts: [RowCount]?
    public var notes: [String] = []
    public var host: String
    public var user: String
    public var programVersion: String
    /// Where the restored files were left for people to look at.
    public var kept: String?

    public init(time: String, source: String, kind: String, asked: String, host: String, user: String, programVersion: String) {
        (self.time, self.source, self.kind, self.asked) = (time, source, kind, asked)
        (self.host, self.user, self.programVersion) = (host, user, programVersion)
    }

    /// Adds a check; one that failed fails the test.
    public mutating func add(_ check: Check) {
        checks.append(check)
        guard check.result == .failed, outcome == .passed else { return }
        outcome = .failed
        message = "\(check.name): \(check.findings?.first ?? check.detail)"
    }

    static func rounded(_ seconds: Double) -> Double { (seconds * 1000).rounded() / 1000 }
    static func rounded(_ duration: Duration) -> Double { rounded(duration / .seconds(1)) }
}
