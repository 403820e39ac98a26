/// How a throwaway server is made.
public struct ThrowawayOptions: Sendable {
    /// The folder in which one of its own is made, by its whole path.
    public var scratch: String
    /// Where PostgreSQL's programs are; nil: looked for.
    public var programs: String?
    public var action: RecoveryAction = .promote
    /// `shared_buffers`.
    public var bufferBytes: UInt64 = 128 << 20
    /// Writes as durably as a real server, so that what is measured is what a real recovery takes.
    public var isDurable = false
    /// Reads every restored file again and compares it.
    public var verifies = false
    /// Reads every segment of the needed log before anything is restored.
    public var verifiesLog = true
    /// A superuser's name; nil: `postgres`, or as the server's system user is called, or one that the cluster's files name.
    public var user: String?

    /// Where nothing else is said: clusters are large, and `/tmp` is often in memory.
    public static let defaultScratch = "/var/tmp"

    public init(scratch: String = ThrowawayOptions.defaultScratch) { self.scratch = scratch }
}
