public import BlobEngine
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
        /// The key that signed it; nil where it was not read from the store.
        public let signer: KeyID?
        /// When it came, in seconds since 1970 by the store's clock; nil where no listing told.
        public let stored: Int64?

        public init(id: ObjectID, snapshot: Snapshot, signer: KeyID? = nil, stored: Int64? = nil) {
            self.id = id
            self.snapshot = snapshot
            self.signer = signer
            self.stored = stored
        }
    }

    /// All ids, from one listing, and which of them are held.
    public func names() throws -> (ids: [ObjectID], held: Set<ObjectID>) {
        let before = repository.freshness?.memory()
        let listing = try SnapshotListing.complete(repository.store)
        if let before { try repository.freshness?.compare(listing.ids, since: before, repository) }
        return (listing.ids, listing.held)
    }

    /// One snapshot. Throws `.notFound`, or `.damaged` when it does not read.
    public func read(_ id: ObjectID) throws -> Entry { try read(id, stored: nil) }

    private func read(_ id: ObjectID, stored: Int64?) throws -> Entry {
        let key = SnapshotObject.key(id)
        do {
            let bytes = try repository.object(key, named: id, atMost: SnapshotObject.maximumSize)
            let snapshot = try repository.withKeys { keys in
                try SnapshotCodec.decode(bytes, object: "\(key)", keyRing: keys)
            }
            return Entry(id: id, snapshot: snapshot, signer: SnapshotCodec.signer(bytes), stored: stored)
        } catch let error as RepoError where error.code == .damaged {
            throw RepoError(
                .damaged, error.message,
                advice: "Use another snapshot. 'repo repair snapshots \(id.short)' sets this one aside, so that 'forget' and 'prune' go on.")
        }
    }

    /// The id of a snapshot that is named by it or by a unique prefix, without reading it: for what is done to a snapshot that may be damaged.
    /// Throws as `find`.
    public func identify(_ text: String) throws -> ObjectID {
        if text == "latest" || text.hasPrefix("latest:") { return try find(text).id }
        guard text.utf8.count >= 4, text.allSatisfy(\.isHexDigit) else {
            throw RepoError(
                .usage, "'\(text)' does not name a snapshot",
                advice: "Use an id or the first 4 or more of its digits, 'latest', or 'latest:SOURCE'.")
        }
        let (ids, held) = try names()
        let matches = Set(ids).union(held).filter { "\($0)".hasPrefix(text.lowercased()) }
        guard let id = matches.first else {
            throw RepoError(
                .notFound, "no snapshot's id begins with '\(text)'", advice: "'repo snapshots' lists what there is.")
        }
        guard matches.count == 1 else {
            throw RepoError(.usage, "\(matches.count) snapshots' ids begin with '\(text)'", advice: "Give more digits.")
        }
        return id
    }

    /// All snapshots, oldest first; equal times by id. What does not read goes to `onProblem`, which may throw to end here; one
    /// deleted meanwhile is left out. Where one that was listed is not there, it is listed once more: its name may have been another's, altered on
    /// the way.
    public func all(onProblem: (ObjectID, RepoError) throws -> Void = { throw $1 }) throws -> [Entry] {
        try allAndHeld(onProblem: onProblem).entries
    }

    /// The same, and which of them are held: all from one listing.
    public func allAndHeld(
        onProblem: (ObjectID, RepoError) throws -> Void = { throw $1 }
    ) throws -> (entries: [Entry], held: Set<ObjectID>) {
        let before = repository.freshness?.memory()
        var listing = try SnapshotListing.complete(repository.store)
        var entries: [Entry] = []
        var absent: Set<ObjectID> = []
        func read(_ objects: some Sequence<(id: ObjectID, stored: Int64)>) throws {
            for (id, stored) in objects {
                do {
                    entries.append(try self.read(id, stored: stored))
                } catch let error as RepoError where error.code == .notFound {
                    absent.insert(id)
                } catch let error as RepoError where error.code == .damaged {
                    try onProblem(id, error)
                }
            }
        }
        try read(listing.objects)
        if !absent.isEmpty {
            let first = listing.objects.count
            listing.join(try SnapshotListing.complete(repository.store))
            try read(listing.objects[first...])
        }
        if let before { try repository.freshness?.compare(listing.ids.filter { !absent.contains($0) }, entries, since: before, repository) }
        return (entries.sorted { ($0.snapshot.time, $0.id) < ($1.snapshot.time, $1.id) }, listing.held)
    }

    /// The newest snapshot of a source on a host: what the next one follows. For a key that cannot read, the one that this machine made last
    /// and remembers, where that is still there.
    public func latest(source: String, host: String) throws -> Entry? {
        guard repository.keys.role == .full else {
            // One listing, which also shows what is missing of what this machine has seen.
            let present = try Set(names().ids)
            return RememberedSnapshot(repository.cacheDirectory, source: source, host: host).flatMap {
                present.contains($0.entry.id) ? $0.entry : nil
            }
        }
        return try all(onProblem: { _, _ in }).last {
            $0.snapshot.source == source && $0.snapshot.host == host
        }
    }

    /// The newest of these. One that is dated later than an hour from `now` was made by a clock that was wrong then: it would be the newest for ever. It
    /// counts from when the store got it, or where that is unknown before all others.
    public static func newest(_ entries: [Entry], now: FileTime = SystemClock.now()) -> Entry? {
        func age(_ entry: Entry) -> (Int64, Int64, Int32, ObjectID) {
            let time = entry.snapshot.time
            let isCredible = time.seconds <= now.seconds + 3600
            return (isCredible ? time.seconds : entry.stored ?? .min, time.seconds, Int32(time.nanoseconds), entry.id)
        }
        return entries.max { age($0) < age($1) }
    }

    /// The snapshot that `SNAP` of the command line means: an id, a unique prefix of one (4 digits or more), `latest`, or `latest:SOURCE`.
    /// Throws `.damaged` for the latter two where any snapshot does not read.
    public func find(_ text: String) throws -> Entry {
        if text == "latest" || text.hasPrefix("latest:") {
            let source = text.hasPrefix("latest:") ? String(text.dropFirst(7)) : nil
            var unreadable = UnreadableSnapshots()
            let entry = Self.newest(try all(onProblem: { unreadable.add($0, $1) }).filter { source == nil || $0.snapshot.source == source })
            try unreadable.requireNone(besides: entry)
            guard let entry else {
                throw RepoError(
                    .notFound, source.map { "there is no snapshot of source '\($0)'" } ?? "there is no snapshot yet",
                    advice: "'repo snapshots' lists what there is.")
            }
            return entry
        }
        return try read(identify(text))
    }
}

/// Snapshots that did not read where the newest was asked for, of some source or at some time: each of them may be the one that is meant, since what
/// does not read does not tell its source. To take the one before it instead would bring back an older state that looks like the newest.
public struct UnreadableSnapshots {
    private var damaged: [(id: ObjectID, error: RepoError)] = []

    public init() {}

    public mutating func add(_ id: ObjectID, _ error: RepoError) { damaged.append((id, error)) }

    /// - Parameter newest: the newest that reads, to be named.
    /// Throws `.damaged` where there is any.
    public func requireNone(besides newest: SnapshotCatalog.Entry?) throws(RepoError) {
        guard let first = damaged.first else { return }
        let others = damaged.count > 1 ? " (and \(damaged.count - 1) more)" : ""
        let named = newest.map { "The newest that reads is \($0.id.short): name it to take it. " } ?? ""
        throw RepoError(
            .damaged, "\(first.error.message)\(others); it may be the newest, and does not tell what it is of",
            advice: "\(named)'repo check --heal-from' brings it back from a copy, 'repo repair snapshots \(first.id.short)' sets it aside.")
    }
}
