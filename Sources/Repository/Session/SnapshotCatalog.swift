import BlobEngine
public import RepoBase
import Storage

/// The snapshots of a repository.
public struct SnapshotCatalog {
    private let repository: OpenRepository

    public init(_ repository: OpenRepository) { self.repository = repository }

    /// A snapshot under its id.
    public struct Entry: Sendable, Hashable {
        public let id: ObjectID
        public let snapshot: Snapshot

        public init(id: ObjectID, snapshot: Snapshot) {
            self.id = id
            self.snapshot = snapshot
        }
    }

    /// All ids, from one listing, and which of them are held.
    public func names() throws -> (ids: [ObjectID], held: Set<ObjectID>) {
        var ids: [ObjectID] = []
        var held: Set<ObjectID> = []
        try repository.store.list(SnapshotObject.prefix) { object in
            let name = object.key.description.dropFirst(SnapshotObject.prefix.count)
            if let id = ObjectID(name) {
                ids.append(id)
            } else if name.hasSuffix(".hold"), let id = ObjectID(name.dropLast(5)) {
                held.insert(id)
            }
        }
        return (ids, held)
    }

    /// One snapshot. Throws `.notFound`, or `.damaged` when it does not read.
    public func read(_ id: ObjectID) throws -> Entry {
        let key = SnapshotObject.key(id)
        let bytes = try repository.store.get(key, atMost: SnapshotObject.maximumSize)
        guard ObjectHasher.hash(bytes) == id else {
            throw RepoError.damaged("\(key)", "its content does not match its name")
        }
        return Entry(
            id: id, snapshot: try SnapshotCodec.decode(bytes, object: "\(key)", keyRing: repository.keys))
    }

    /// All snapshots, oldest first; equal times by id. What does not read goes to `onProblem`, which may throw to end here; one
    /// deleted meanwhile is left out.
    public func all(onProblem: (ObjectID, RepoError) throws -> Void = { throw $1 }) throws -> [Entry] {
        var entries: [Entry] = []
        for id in try names().ids {
            do {
                entries.append(try read(id))
            } catch let error as RepoError where error.code == .notFound {
                continue
            } catch let error as RepoError where error.code == .damaged {
                try onProblem(id, error)
            }
        }
        return entries.sorted { ($0.snapshot.time, $0.id) < ($1.snapshot.time, $1.id) }
    }

    /// The newest snapshot of a source on a host: what the next one follows. Nil for a key that cannot read.
    public func latest(source: String, host: String) throws -> Entry? {
        guard repository.keys.role == .full else { return nil }
        return try all(onProblem: { _, _ in }).last {
            $0.snapshot.source == source && $0.snapshot.host == host
        }
    }

    /// The snapshot that `SNAP` of the command line means: an id, a unique prefix of one (4 digits or more), `latest`, or `latest:SOURCE`.
    public func find(_ text: String) throws -> Entry {
        if text == "latest" || text.hasPrefix("latest:") {
            let source = text.hasPrefix("latest:") ? String(text.dropFirst(7)) : nil
            guard let entry = try all(onProblem: { _, _ in }).last(where: { source == nil || $0.snapshot.source == source })
            else {
                throw RepoError(
                    .notFound, source.map { "there is no snapshot of source '\($0)'" } ?? "there is no snapshot yet",
                    advice: "'repo snapshots' lists what there is.")
            }
            return entry
        }
        guard text.utf8.count >= 4, text.allSatisfy(\.isHexDigit) else {
            throw RepoError(
                .usage, "'\(text)' does not name a snapshot",
                advice: "Use an id or the first 4 or more of its digits, 'latest', or 'latest:SOURCE'.")
        }
        let matches = try names().ids.filter { "\($0)".hasPrefix(text.lowercased()) }
        guard let id = matches.first else {
            throw RepoError(
                .notFound, "no snapshot's id begins with '\(text)'", advice: "'repo snapshots' lists what there is.")
        }
        guard matches.count == 1 else {
            throw RepoError(.usage, "\(matches.count) snapshots' ids begin with '\(text)'", advice: "Give more digits.")
        }
        return try read(id)
    }
}
