import BlobEngine
import RepoBase
import Storage

/// What the journal tells of snapshots that were let go (format.md, 9). Any key reads it; only what a full key signed counts, and of a snapshot that
/// its own writer withdrew what that writer signed.
struct RemovalRecords {
    static let withdrawal = "withdraw"
    static let acceptance = "accept missing"
    private static let actions: Set<String> = ["forget", "repair snapshots: set aside", acceptance]
    private static let actionsOnTheLog: Set<String> = ["prune: log", "repair wal: set aside"]

    /// Snapshots that records name as gone, whether they were asked for or not.
    private(set) var removed: Set<ObjectID> = []
    /// Keys of the log likewise.
    private(set) var removedKeys: Set<String> = []
    /// The entries that were read.
    private(set) var read: [ObjectID] = []

    /// Nothing was looked for.
    init() {}

    /// Looks for records of `missing` and of these keys of the log, newest first, until all are found or all are read. One listing, and a get for each entry that is not in
    /// `known`. An entry that does not read is passed over: `check` names it.
    init(of missing: [ObjectID: SeenState.Snapshot], _ keys: Set<String> = [], besides known: Set<ObjectID>, _ repository: OpenRepository) throws {
        var entries: [(id: ObjectID, time: Int64)] = []
        try repository.store.list(Journal.prefix) { object in
            guard let id = Journal.id(object.key), !known.contains(id) else { return }
            entries.append((id, object.modified))
        }
        var wanted = Set(missing.keys)
        var wantedKeys = keys
        // The store's times only decide what is read first.
        for entry in entries.sorted(by: { $0.time > $1.time }) where !wanted.isEmpty || !wantedKeys.isEmpty {
            guard let record = try Journal.read(entry.id, repository) else { continue }
            read.append(entry.id)
            let subjects = record.fields.subjectTexts.compactMap { ObjectID($0) }
            let isFull = repository.role(of: record.signer) == .full
            switch record.fields.action {
            case .some(let action) where isFull && Self.actions.contains(action): removed.formUnion(subjects)
            case .some(let action) where isFull && Self.actionsOnTheLog.contains(action): removedKeys.formUnion(record.fields.subjectTexts)
            case Self.withdrawal: removed.formUnion(subjects.filter { isFull || missing[$0]?.signer == record.signer })
            default: continue
            }
            wanted.subtract(removed)
            wantedKeys.subtract(removedKeys)
        }
    }
}
