/// How much of a repository's data this machine has read and verified, in one check or in several of a part each.
public struct VerificationCoverage: Hashable, Sendable {
    /// Packs that the index names and the store has.
    public var packs: UInt64 = 0
    /// Those of them whose every blob was opened and whose every id was recomputed.
    public var verifiedPacks: UInt64 = 0
    /// Those that were never verified and cannot be read now: they are in an archival tier.
    public var archivedPacks: UInt64 = 0
    /// When the one that was verified longest ago was: seconds since 1970.
    public var since: Int64?

    public init() {}

    /// Everything that can be read was.
    public var isComplete: Bool { verifiedPacks + archivedPacks == packs }
}
