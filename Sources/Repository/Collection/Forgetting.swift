import BlobEngine
public import Policy
public import RepoBase
import Storage

/// Lets snapshots go: by rules, or by id. What they alone needed is freed by the next collection.
public struct Forgetting {
    let repository: OpenRepository

    public init(_ repository: OpenRepository) { self.repository = repository }

    /// Which snapshots compete for the places of a rule.
    public enum Grouping: String, Sendable, CaseIterable {
        /// Those of one source on one host.
        case sourceAndHost = "source,host"
        case source
        /// All of the repository.
        case none
    }

    /// Which snapshots are looked at. Nil and empty: all.
    public struct Selection: Hashable, Sendable {
        public var source: String?
        public var host: String?
        /// `K=V`, all of which a snapshot must have.
        public var tags: [String] = []

        public init() {}

        func includes(_ snapshot: Snapshot) -> Bool {
            (source == nil || snapshot.source == source) && (host == nil || snapshot.host == host)
                && tags.allSatisfy(snapshot.tags.contains)
        }
    }

    /// A snapshot and what becomes of it.
    public struct Decision: Sendable {
        public let entry: SnapshotCatalog.Entry
        /// What it competes within, for people.
        public let group: String
        public let isKept: Bool
        /// Every rule that keeps it, or the one that lets it go, in words; never empty.
        public let reasons: [String]

        /// The same, with the reason why it stays although rules for all snapshots together would let it go.
        func apart() -> Decision {
            Decision(entry: entry, group: group, isKept: isKept, reasons: reasons + ["other keys' snapshots take no place of it"])
        }

        /// The same, kept for one more reason, which comes first.
        public func keeping(because reason: String) -> Decision {
            Decision(entry: entry, group: group, isKept: true, reasons: [reason] + (isKept ? reasons : []))
        }
    }

    /// Deletes what was decided to go. Returns the ids. Throws `.refused` for a writer key, and `.damaged` where the store hides snapshots that this
    /// machine has seen.
    ///
    /// A hold that was put on since the decision counts. The journal is written before anything is deleted.
    @discardableResult
    public func apply(_ decisions: [Decision], rules: RetentionRules, stamp: JournalStamp = .now()) throws
        -> [ObjectID]
    {
        try repository.requireNothingMissing(to: "let snapshots go by rules that do not see all of them")
        let going = decisions.filter { !$0.isKept }
        return try delete(
            going.map { ($0.entry.id, $0.reasons.joined(separator: "; ")) }, because: "rules: \(rules)",
            stamp,
            whenHeld: { _ in })
    }

    /// Deletes these snapshots, whatever rules say. Throws `.refused`, having deleted nothing, when one of them is held or for a writer key; `.notFound`
    /// when one does not exist.
    public func remove(_ ids: [ObjectID], stamp: JournalStamp = .now()) throws {
        for id in ids where try repository.store.stat(SnapshotObject.key(id)) == nil {
            throw RepoError(
                .notFound, "there is no snapshot \(id.short)", advice: "'repo snapshots' lists what there is."
            )
        }
        _ = try delete(ids.map { ($0, "named") }, because: "named by id", stamp) { id in
            throw RepoError(
                .refused, "snapshot \(id.short) is held and cannot be let go",
                advice: "'repo hold list' shows why; 'repo hold remove \(id.short)' ends the hold.")
        }
    }

    private func delete(
        _ snapshots: [(id: ObjectID, reason: String)], because: String, _ stamp: JournalStamp,
        whenHeld: (ObjectID) throws -> Void
    ) throws -> [ObjectID] {
        try repository.requireFullKey("let snapshots go")
        let held = try SnapshotCatalog(repository).names().held
        var going: [(id: ObjectID, reason: String)] = []
        for snapshot in snapshots {
            if held.contains(snapshot.id) {
                try whenHeld(snapshot.id)
            } else {
                going.append(snapshot)
            }
        }
        guard !going.isEmpty else { return [] }
        let store = ReservingStore(repository.store)
        func record() throws {
            try Journal.append(
                to: store, by: repository.keys, stamp, action: "forget",
                subjects: going.map { "\($0.id)" },
                details: [because] + going.map { "\($0.id.short): \($0.reason)" })
        }
        do {
            try record()
        } catch let error as RepoError where error.code == .storeFull {
            try makeRoom(by: going[0].id, record)
        }
        for snapshot in going { try store.delete(SnapshotObject.key(snapshot.id)) }
        repository.freshness?.removed(going.map(\.id))
        if store.hasUsedReserve { SpaceReserve.keep(in: repository.store) }
        return going.map(\.id)
    }

    /// Where there is not even a reserve, the first snapshot's own bytes make room for the record of its end.
    private func makeRoom(by id: ObjectID, _ record: () throws -> Void) throws {
        try repository.store.delete(SnapshotObject.key(id))
        do {
            try record()
        } catch let error as RepoError where error.code == .storeFull {
            throw RepoError(
                .storeFull, "snapshot \(id.short) was let go, the others were not: \(repository.store.location) has no room for the journal",
                advice: "Free some kilobytes there, and run this again.")
        }
    }
}
