/// The one error type that reaches people: what failed, on which object, why, and what to do next.
///
/// The code decides the exit status (see `ExitStatus`); the texts are for a tired reader at night and
/// stay within two lines. Lower layers throw it directly, so that nothing is lost on the way up.
public struct RepoError: Error, Hashable, Sendable, CustomStringConvertible {
    public let code: Code
    /// What failed, on which object, and why: a sentence without a full stop at its end.
    public let message: String
    /// What the reader can do next; empty when the message says it all.
    public let advice: String

    public init(_ code: Code, _ message: String, advice: String = "") {
        self.code = code
        self.message = message
        self.advice = advice
    }

    public var description: String { advice.isEmpty ? message : "\(message)\n\(advice)" }

    /// An open set of kinds, compared by value; each belongs to one exit status of the command line.
    public struct Code: Hashable, Sendable, CustomStringConvertible {
        public let description: String
        public let exitStatus: Int32

        public init(_ description: String, exitStatus: Int32) {
            self.description = description
            self.exitStatus = exitStatus
        }

        public static let failed = Code("failed", exitStatus: 1)
        public static let usage = Code("usage", exitStatus: 2)
        public static let incompleteSource = Code("incomplete source", exitStatus: 3)
        public static let noRepository = Code("no repository", exitStatus: 10)
        public static let wrongKey = Code("wrong key", exitStatus: 11)
        public static let damaged = Code("damaged", exitStatus: 12)
        public static let timeNotRecoverable = Code("time not recoverable", exitStatus: 13)
        public static let conflict = Code("conflict", exitStatus: 14)
        public static let refused = Code("refused by policy", exitStatus: 15)
        /// An object in an archival tier, which has to be brought back first.
        public static let archived = Code("archived", exitStatus: 15)
        /// Archived objects were asked for, and are not there yet.
        public static let thawing = Code("being brought back from the archive", exitStatus: 75)
        public static let unreachable = Code("store unreachable", exitStatus: 75)
        public static let interrupted = Code("interrupted", exitStatus: 130)

        /// Finer kinds that share an exit status with a general one.
        public static let notFound = Code("not found", exitStatus: 1)
        public static let storeFull = Code("store full", exitStatus: 1)
        public static let sourceFailed = Code("source failed", exitStatus: 1)
    }

    /// Bytes that do not parse. `object` is the store's key, or what the bytes claim to be.
    public static func damaged(_ object: String, _ why: String) -> RepoError {
        RepoError(
            .damaged, "\(object) is damaged: \(why)",
            advice: "Run 'repo check --read-data' to see which snapshots this concerns.")
    }
}
