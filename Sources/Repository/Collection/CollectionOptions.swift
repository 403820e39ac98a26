public import RepoBase

/// How a collection goes about it.
public struct CollectionOptions: Hashable, Sendable {
    /// The share of sealed bytes that may stay unused, over all packs together; packs are rewritten until no more is. 0 to 1.
    public var maximumUnused = 0.05
    /// Packs that no index segment names are condemned at this age, in seconds, by the store's clock.
    public var minimumAge: Int64 = 24 * 3600
    /// A writer on another host that gave no sign for so many seconds, by the store's clock, is no longer waited for.
    public var fenceAfter: Int64 = 7 * 24 * 3600
    /// Says what would be done and touches nothing, not even to register.
    public var isDryRun = false
    /// Snapshots that a dry run takes as gone: those that a dry run of `forget` would let go.
    public var withoutSnapshots: Set<ObjectID> = []
    /// Packs in archival tiers are rewritten as others are, which reads them: they have to have been brought back.
    public var rewritesArchived = false
    /// Rewrites every pack that is sealed with the keys of an earlier epoch: what ends a rotation.
    public var endsRotation = false

    public init() {}
}

/// What a collection did, or would do.
public struct CollectionOutcome: Hashable, Sendable {
    /// Bytes of packs that were deleted; in a dry run, of those that would be condemned.
    public var bytesFreed: UInt64 = 0
    /// Sealed bytes that were copied out of packs with too much garbage.
    public var bytesRewritten: UInt64 = 0
    public var packsDeleted = 0
    public var packsCondemned = 0
    public var packsRewritten = 0
    /// Blobs that snapshots need, the bases of deltas among them.
    public var blobsLive = 0
    public var blobsDead = 0
    /// Sealed bytes of blobs that nothing needs, in packs that stay.
    public var bytesUnused: UInt64 = 0
    /// Segments of the index that were put together with others, or freed of packs that are gone.
    public var segmentsMerged = 0
    /// Packs that a collection before condemned and that still wait, and those of this one.
    public var packsWaiting = 0
    /// The writers that sweeping waits for: who, where, since when.
    public var waitingFor: [WaitingWriter] = []
    /// Condemned packs that nobody needs any more and that stay until their locks end, their bytes, and when the last of these locks does: seconds since 1970.
    public var packsLocked = 0
    public var bytesLocked: UInt64 = 0
    public var lockedUntil: Int64?
    /// Packs that would have been rewritten and were not, since they are in an archival tier.
    public var packsLeftArchived = 0
    /// What is condemned, or would be, and why.
    public var condemned: [CondemnedPack] = []
    /// The store was too full to copy what is needed out of packs with garbage; those stay until there is room.
    public var ranOutOfSpace = false
    /// What became of parity, where some is kept.
    public var parity: ParityOutcome?
    /// What kept a pack from being collected; the rest was.
    public var problems: [String] = []

    public init() {}
}

/// A pack that goes, and why.
public struct CondemnedPack: Hashable, Sendable {
    /// `packs/…`, as in the store.
    public let object: String
    /// Bytes.
    public let size: UInt64
    public let reason: String
}

/// A writer that was at work when packs were condemned, and still is.
public struct WaitingWriter: Hashable, Sendable, CustomStringConvertible {
    /// 32 hexadecimal digits.
    public let id: String
    public let host: String
    public let user: String
    public let processID: UInt64
    /// When it last gave a sign, in seconds since 1970 by the store's clock.
    public let lastSign: Int64

    public var description: String { "process \(processID) of \(user) on \(host)" }
}
