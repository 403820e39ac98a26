import BlobEngine
import RepoBase

/// Whose snapshots a snapshot gives way to (docs/adr/0035-whose-snapshots-count.md).
///
/// A key that can only write must not make retention let go of what others wrote, whatever names and times it claims: so a snapshot competes
/// for the places of rules with those of its own key and of full keys alone.
enum SnapshotStanding: Hashable {
    /// A full key's, which could delete anything itself.
    case full
    /// A writer key's. `isTimely`: it came when it says that it was made; one that did not takes no place of one that did.
    case writer(KeyID, isTimely: Bool)
    /// Of a key that was removed, or that nobody knows any more.
    case former

    /// A snapshot may say to have been made so many seconds after it came, for clocks differ.
    private static let ahead: Int64 = 3600
    /// Or so long before: what the backup took. One that took longer is judged apart, as are all of a repository that was copied with new times.
    private static let behind: Int64 = 86_400

    init(_ entry: SnapshotCatalog.Entry, _ repository: OpenRepository) {
        guard let signer = entry.signer, let key = repository.keys.config.key(signer), key.state == .active else {
            self = .former
            return
        }
        guard key.role == .writer else {
            self = .full
            return
        }
        var isTimely = true
        if let stored = entry.stored {
            let time = entry.snapshot.time.seconds
            isTimely = time <= stored + Self.ahead && time >= stored - Self.behind
        }
        self = .writer(signer, isTimely: isTimely)
    }

    func competes(with other: SnapshotStanding) -> Bool {
        switch (self, other) {
        case (.former, _), (_, .full): true
        case (.full, _), (.writer, .former): false
        case (.writer(let mine, let isTimely), .writer(let theirs, let areTimely)): mine == theirs && (areTimely || !isTimely)
        }
    }
}
