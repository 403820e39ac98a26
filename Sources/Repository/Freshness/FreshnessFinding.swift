import BlobEngine
public import RepoBase

/// Something that this machine has seen in the repository and that is not there any more.
public enum FreshnessFinding: Hashable, Sendable {
    /// A snapshot that nobody let go. Its own time and source are nil and empty where only its name was seen; `lastSeen` is the last moment at which
    /// nothing was missing. Times are in seconds since 1970.
    case snapshot(ObjectID, source: String, time: Int64?, lastSeen: Int64)
    /// The store gives an older config than this machine has seen.
    case olderConfig(generation: UInt64, seen: UInt64, lastSeen: Int64)
    /// The store gives a config that does not follow from the one that this machine has seen.
    case otherConfig(generation: UInt64, seen: UInt64, lastSeen: Int64)

    /// The end of a timeline's log: its newest object.
    case log(String, lastSeen: Int64)

    /// The key on the store.
    public var object: String {
        switch self {
        case .snapshot(let id, _, _, _): "\(SnapshotObject.key(id))"
        case .log(let key, _): key
        case .olderConfig, .otherConfig: ConfigHistory.object
        }
    }

    public var isOfConfig: Bool {
        switch self {
        case .snapshot, .log: false
        case .olderConfig, .otherConfig: true
        }
    }

    /// When all was as it should be the last time, in seconds since 1970 by this machine's clock.
    public var lastSeen: Int64 {
        switch self {
        case .snapshot(_, _, _, let lastSeen), .olderConfig(_, _, let lastSeen), .otherConfig(_, _, let lastSeen),
            .log(_, let lastSeen):
            lastSeen
        }
    }

    /// In words, without the object.
    public var problem: String {
        switch self {
        case .snapshot, .log: "it is missing: this machine has seen it, and no record tells that it was let go"
        case .olderConfig(let generation, let seen, _): "the store gives generation \(generation), and this machine has seen generation \(seen)"
        case .otherConfig(let generation, let seen, _):
            "generation \(generation) does not follow from generation \(seen) as this machine has seen it"
        }
    }

    public static let advice =
        "Whoever has the store may hide this, or have put an older copy in its place: look at the store, its versions and its log of accesses. "
        + "If it was brought back from an older copy on purpose, 'repo snapshots --accept-missing' accepts that."
}

extension OpenRepository {
    /// For what would lose or betray something by a store that hides things. Throws `.damaged`; `what` as in "delete what no snapshot needs".
    public func requireNothingMissing(to what: String) throws(RepoError) { try refuse(freshness?.findings ?? [], what) }

    /// For what is sealed to the keys that config names: in an older config they may be those that a removed key opens. Throws `.damaged`.
    public func requireLatestConfig(to what: String) throws(RepoError) { try refuse(freshness?.findings.filter(\.isOfConfig) ?? [], what) }

    private func refuse(_ findings: [FreshnessFinding], _ what: String) throws(RepoError) {
        guard let first = findings.first else { return }
        let others = findings.count == 1 ? "" : ", and \(findings.count - 1) more like it"
        throw RepoError(.damaged, "refusing to \(what): \(first.object): \(first.problem)\(others)", advice: FreshnessFinding.advice)
    }
}
