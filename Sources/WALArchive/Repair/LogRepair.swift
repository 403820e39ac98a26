import BlobEngine
import PostgresFormats
public import RepoBase
public import Repository
public import Storage

/// Moves damaged objects of the log aside, so that their names are free and whoever still has the files can push them again.
///
/// Objects are created and never changed, so a damaged one blocks its name: a push of the same file meets it and is refused. What is moved is kept
/// as it was found, below `damaged/wal/`. Order: proof, copy, journal, second look, deletion; a crash in between leaves the object where it was
/// or in both places, never nowhere (`docs/adr/0022-repairing-the-log.md`).
public struct LogRepair: Sendable {
    /// What was found of one object, and what became of it.
    public struct Outcome: Sendable {
        public let key: StoreKey
        /// What is wrong with it; nil for one that was named and is sound.
        public let problem: String?
        /// Where it is kept now; nil where it was left.
        public var movedTo: StoreKey?
        /// Why it was left where it is.
        public var leftBecause: String?
        /// Files that it is named after.
        public var files: [String] = []
        /// Other objects that hold a file of it, and read.
        public var others: [StoreKey] = []
        /// Base backups that need a file of it for themselves.
        public var backups: [ObjectID] = []
    }

    /// A repair that copied an object and did not come to its deletion is taken to be dead after so many seconds.
    static let patience: Int64 = 600
    static let prefix = PackRepair.damagedPrefix

    private let archive: WALArchive
    private let threads: Int
    private let progress: CheckProgress
    private let clock: StoreClock

    public init(
        _ archive: WALArchive, threads: Int = availableProcessors(), progress: CheckProgress = CheckProgress(), clock: StoreClock = .system
    ) {
        (self.archive, self.threads, self.progress, self.clock) = (archive, threads, progress, clock)
    }

    /// Looks at the objects that `names` tell (of a file, as PostgreSQL names it, or the object's key as a check names it), or at all of the log, which reads everything.
    ///
    /// Without being named, objects are left that a newer program or a key that config does not list may have written.
    /// Throws `.refused` for a writer key, `.notFound` for a name that the archive does not have, and what the store throws when it fails:
    /// an object is damaged when the store has delivered it twice and it does not open, never when it cannot be reached.
    public func run(_ names: [String]? = nil, stamp: JournalStamp = .now()) throws -> [Outcome] {
        guard archive.repository.keys.role == .full else {
            throw RepoError(.refused, "a writer key cannot repair the log", advice: "Use a full key.")
        }
        var objects: [StoredObject] = []
        try archive.store.list(WALObjectName.prefix) { objects.append($0) }
        objects.sort { $0.key < $1.key }
        if let names { objects = try select(names, objects) }
        let found = Monitor([Int: String]())
        let listed = objects
        progress.update { values in values.bytesToRead += listed.reduce(0) { $0 + $1.size } }
        try ParallelWork.run(listed.count, threads: threads, worker: {}) { number, _ in
            if let problem = try problem(listed[number].key, size: listed[number].size, archive.store) {
                found.withLock { $0[number] = problem }
            }
            progress.update { $0.bytesRead += listed[number].size }
        }
        let backups = try backups()
        var outcomes: [Outcome] = []
        for (number, object) in listed.enumerated() {
            guard let problem = found.withLock({ $0[number] }) else {
                if names != nil { outcomes.append(Outcome(key: object.key, problem: nil)) }
                continue
            }
            if let outcome = try repair(object.key, problem, isNamed: names != nil, backups, stamp) { outcomes.append(outcome) }
        }
        return outcomes
    }

    // MARK: - What is looked at

    private func select(_ names: [String], _ objects: [StoredObject]) throws -> [StoredObject] {
        var chosen: [StoredObject] = []
        for name in names {
            let own = objects.filter { object in
                let key = object.key.description
                if key == name || key.split(separator: "/").last.map(String.init) == name { return true }
                guard case .batch(let first, let last) = WALObjectName.parse(object.key)?.name else { return false }
                return first <= name && name <= last && name.utf8.count == first.utf8.count
            }
            guard !own.isEmpty else {
                throw RepoError(
                    .notFound, "the archive has no object '\(name)'",
                    advice: "Name a file of the log, or an object as 'repo check --read-data' does.")
            }
            chosen += own.filter { !chosen.contains($0) }
        }
        return chosen
    }

    private func backups() throws -> [UInt64: [BaseBackup]] {
        var backups: [UInt64: [BaseBackup]] = [:]
        for entry in try SnapshotCatalog(archive.repository).all(onProblem: { _, _ in }) {
            guard let backup = try? BaseBackup(entry) else { continue }
            backups[backup.facts.systemIdentifier, default: []].append(backup)
        }
        return backups
    }

    // MARK: - Whether it is damaged

    /// What is wrong with an object, everything read; nil for one that is sound, or gone.
    private func problem(_ key: StoreKey, size: UInt64, _ store: any Store) throws -> String? {
        guard let (_, name) = WALObjectName.parse(key) else { return "it is no object of the log" }
        do {
            let reader = try archive.reader(key, in: store)
            try reader.verify(name, size: size)
            try reader.verifyContent()
            return nil
        } catch let error as RepoError where error.code == .damaged {
            return error.reason(about: "\(key)")
        } catch let error as RepoError where error.code == .notFound {
            return nil
        }
    }

    /// Why these bytes may be right after all, for somebody else.
    private func doubt(_ key: StoreKey, _ bytes: [UInt8]) -> String? {
        guard WALObjectName.parse(key) != nil else { return "it is in nobody's way there" }
        let start = Array(bytes.prefix(WALObjectFrame.length))
        guard start.starts(with: WALObjectFrame.magic), start.count == WALObjectFrame.length else { return nil }
        let version = start[8..<12].reversed().reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
        if version > WALObjectFrame.version, version < 256 { return "a newer repo may have written it" }
        guard let frame = try? WALObjectFrame(start, object: "\(key)") else { return nil }
        let keys = archive.repository.keys
        guard keys.verifyingKey(frame.signer) != nil, keys.epochKeys(frame.epoch) != nil else {
            return "a key that this repository does not list, or an epoch that this key does not know, may have sealed it"
        }
        return nil
    }

    // MARK: - Moving it

    /// Nil where it is gone meanwhile.
    private func repair(
        _ key: StoreKey, _ problem: String, isNamed: Bool, _ backups: [UInt64: [BaseBackup]], _ stamp: JournalStamp
    ) throws -> Outcome? {
        guard let bytes = try content(of: key) else { return nil }
        // The bytes that are kept are those that are judged, not another reading of them.
        let copy = MemoryStore()
        try copy.put(key, bytes, .create)
        guard let proven = try self.problem(key, size: UInt64(bytes.count), copy) else {
            var outcome = Outcome(key: key, problem: problem)
            outcome.leftBecause = "read again it is sound: look at the disk and the memory of this machine"
            return outcome
        }
        var outcome = Outcome(key: key, problem: proven)
        if let (system, name) = WALObjectName.parse(key) {
            outcome.backups = LogCheck.hurt(by: name, backups[system] ?? [])
            (outcome.files, outcome.others) = try elsewhere(name, system)
        }
        if !isNamed, let doubt = doubt(key, bytes) {
            outcome.leftBecause = "\(doubt); 'repo repair wal \(key)' moves it all the same"
            return outcome
        }
        let target = StoreKey("\(Self.prefix)\(key).\("\(ObjectHasher.hash(bytes))".prefix(16))")
        do {
            try archive.store.put(target, bytes, .create)
        } catch let error as RepoError where error.code == .conflict {
            // Another repair has copied it, and may be about to delete it; the name may be free and taken again at any moment.
            if let made = try archive.store.stat(target)?.modified, clock.now() < made + Self.patience {
                outcome.leftBecause = "another repair took it up \(max(0, clock.now() - made)) s ago; run this again in \(Self.patience / 60) minutes"
                return outcome
            }
        }
        try Journal.append(
            to: archive.store, by: archive.repository.keys, stamp, action: "repair wal: set aside", subjects: ["\(key)"],
            details: [proven, "\(target)"])
        guard try content(of: key) == bytes else {
            outcome.leftBecause = "it has changed meanwhile"
            return outcome
        }
        try archive.store.delete(key)
        outcome.movedTo = target
        return outcome
    }

    private func content(of key: StoreKey) throws -> [UInt8]? {
        do {
            return try archive.store.get(key, atMost: Int.max - 1)
        } catch let error as RepoError where error.code == .notFound {
            return nil
        }
    }

    /// The files that an object is named after, and which other objects hold one of them and read.
    private func elsewhere(_ name: WALObjectName, _ system: UInt64) throws -> (files: [String], others: [StoreKey]) {
        var files: [String] = []
        switch name {
        case .file(let file): files = [file.name]
        case .received(let segment, _): files = [segment]
        case .batch(let first, let last):
            let digits = first.prefix(WALObjectName.batchPrefixCount)
            files = "0123456789ABCDEF".map { digits + String($0) }.filter { first <= $0 && $0 <= last }
        }
        var others: Set<StoreKey> = []
        for file in files {
            guard let file = ArchivedFile(name: file) else { continue }
            for other in try archive.objects(holding: file, system: system) where other != name {
                let key = other.key(systemIdentifier: system)
                guard let size = try archive.store.stat(key)?.size, try problem(key, size: size, archive.store) == nil else { continue }
                others.insert(key)
            }
        }
        return (files, others.sorted())
    }
}
