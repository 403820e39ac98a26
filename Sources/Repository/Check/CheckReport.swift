public import RepoBase

/// What a check found.
public struct CheckReport: Sendable {
    /// Objects of the store that were looked at.
    public var objects: UInt64 = 0
    /// Blobs: indexed ones that a snapshot needs, or with data the ones that were opened, copies counted.
    public var blobs: UInt64 = 0
    /// Bytes fetched from packs in whole.
    public var bytesRead: UInt64 = 0
    /// Everything that is wrong, by object.
    public var errors: [Damage] = []
    /// Packs that no index segment names: of a writer under way, or of a crash, which is no damage; or of a segment that is lost.
    public var unindexedPacks: [ObjectID] = []
    /// Packs whose every blob was opened and whose every id was recomputed.
    public var verifiedPacks: UInt64 = 0
    /// Packs in an archival tier that were to be read and were left out, and their bytes.
    public var archivedPacks: UInt64 = 0
    public var archivedBytes: UInt64 = 0
    /// Packs that could not be verified in whole, since deltas in them rest on what is archived.
    public var halfVerifiedPacks: UInt64 = 0
    /// `config` was an older one than the latest generation, as a crash during a change of keys or an old copy leaves it, and is a copy of that again.
    public var hasFinishedKeyChange = false
    /// Packs of writers that this full key now vouches for.
    public var endorsedPacks: UInt64 = 0

    /// Segments of the log that are missing behind base backups and that no backup needs for itself. No damage: a server may have had its reasons.
    public var logGaps: [LogGap] = []

    /// What of the data was verified so far, where this check has read some of it.
    public var coverage: VerificationCoverage?

    /// What parity can do about the errors; nil where there is none.
    public var parity: ParityReport?

    /// Consecutive segments that are missing.
    public struct LogGap: Hashable, Sendable {
        public let system: UInt64
        public let timeline: UInt32
        /// One name, or "first to last".
        public let segments: String
        public let cause: String

        public init(system: UInt64, timeline: UInt32, segments: String, cause: String) {
            (self.system, self.timeline, self.segments, self.cause) = (system, timeline, segments, cause)
        }
    }

    public init() {}

    /// Takes over what another check found, of another part of the repository.
    public mutating func add(_ other: CheckReport) {
        objects += other.objects
        blobs += other.blobs
        bytesRead += other.bytesRead
        errors += other.errors
        logGaps += other.logGaps
    }

    public var isClean: Bool { errors.isEmpty }

    /// Something is missing that packs without an index may hold: the index is to be made anew.
    public var lacksIndex: Bool { !unindexedPacks.isEmpty && errors.contains { $0.kind == .blob || $0.kind == .index } }
}

/// One damaged or missing object, and whom it hurts.
public struct Damage: Hashable, Sendable {
    public enum Kind: String, Hashable, Sendable, CaseIterable {
        case config, key, pack, index, blob, snapshot, hold, journal, report, collection, writer, log, parity
    }

    /// The key on the store, or `blob <id>`.
    public var object: String
    public var kind: Kind
    /// What is wrong with it.
    public var problem: String
    /// The snapshots that miss something by it.
    public var snapshots: [ObjectID] = []
    /// The first few paths in them that do.
    public var paths: [[UInt8]] = []

    public static let pathLimit = 8

    public init(object: String, kind: Kind, problem: String) {
        self.object = object
        self.kind = kind
        self.problem = problem
    }

    init(_ object: String, _ kind: Kind, _ error: RepoError) {
        self.init(object: object, kind: kind, problem: error.reason(about: object))
    }
}

extension RepoError {
    /// The message without the name of its object, where it begins with it.
    public func reason(about object: String) -> String {
        let opening = "\(object) is damaged: "
        return message.hasPrefix(opening) ? String(message.dropFirst(opening.count)) : message
    }
}

/// How far a check has come; read by displays while it runs.
public final class CheckProgress: Sendable {
    public struct Values: Hashable, Sendable {
        /// Blobs that snapshots need, seen so far.
        public var blobsWalked: UInt64 = 0
        public var packsVerified: UInt64 = 0
        public var packsToVerify: UInt64 = 0
        public var bytesRead: UInt64 = 0
        public var bytesToRead: UInt64 = 0
    }

    private let state = Monitor(Values())

    public init() {}

    public var values: Values { state.withLock { $0 } }

    public func update(_ change: (inout Values) -> Void) { state.withLock { change(&$0) } }
}
