import BlobEngine
import RepoBase
import Storage

/// Reads every small object of the store: config and its generations, keys, index segments, snapshots, holds, the journal, reports, and the
/// collectors' and writers' records.
struct ObjectCheck {
    private let repository: OpenRepository
    private(set) var objects: UInt64 = 0
    private(set) var errors: [Damage] = []
    /// `config` was behind a change of keys that was interrupted, and no longer is.
    private(set) var hasFinishedKeyChange = false
    /// The snapshots that read, oldest first.
    private(set) var snapshots: [SnapshotCatalog.Entry] = []
    /// Index segments that do not read.
    private(set) var damagedSegments: Set<ObjectID> = []

    init(_ repository: OpenRepository) { self.repository = repository }

    mutating func run() throws {
        try checkConfig()
        try checkKeys()
        try checkIndex()
        try checkSnapshots()
        let remembered = repository.freshness?.memory()
        let journal = try checkRecords(Journal.prefix, .journal, .journal) { (key, bytes, _) throws(RepoError) in
            guard key.description == "\(Journal.prefix)\(ObjectHasher.hash(bytes))" else {
                throw RepoError.damaged("\(key)", "its content does not match its name")
            }
        }
        try checkFreshness(remembered, journal)
        try checkReports()
        try checkRecords("gc/", .collection, .collection) { (key, _, fields) throws(RepoError) in
            // Packs and writers have ids of different lengths, so the one's list cannot pass for the other's.
            let length = key.description.hasSuffix("/condemned") ? 32 : 16
            guard fields.subjects.allSatisfy({ $0.count == length }) else {
                throw RepoError.damaged("\(key)", "it is a list of another kind")
            }
        }
        try checkRecords(WriterRegistration.prefix, .writer, .writer) { _, _, _ in }
    }

    private mutating func checkConfig() throws {
        let authority = repository.keys.authority
        var latest: SignedConfig?
        for object in try repository.store.list("configs/").sorted(by: { $0.key < $1.key }) {
            guard let bytes = try bytes(object.key, limit: RepositoryConfig.byteLimit, .config) else {
                continue
            }
            let before = latest
            try examine("\(object.key)", .config) { () throws(RepoError) in
                let signed = try RepositoryConfig.verified(
                    bytes, object: "\(object.key)", authority: authority)
                latest = signed
                guard ConfigHistory.generationKey(signed.config.generation) == object.key else {
                    throw .damaged("\(object.key)", "it is generation \(signed.config.generation)")
                }
                guard before == nil || signed.config.previous == before.map({ ObjectHasher.hash($0.bytes) })
                else {
                    throw .damaged("\(object.key)", "it does not follow the generation before it")
                }
            }
        }
        // After its generations, which are stored first.
        let known = errors
        guard let config = try bytes(ConfigHistory.key, limit: RepositoryConfig.byteLimit, .config) else {
            if errors.count == known.count {
                errors.append(Damage(object: "config", kind: .config, problem: "it is missing"))
            }
            return
        }
        var current = latest?.config.generation ?? 1
        var isBehind = false
        try examine("config", .config) { () throws(RepoError) in
            let signed = try RepositoryConfig.verified(config, object: "config", authority: authority)
            current = max(current, signed.config.generation)
            guard
                latest == nil || signed.config.generation > latest!.config.generation
                    || latest!.bytes == config
            else {
                isBehind = true
                return
            }
        }
        if isBehind, let latest, !finish(latest) {
            errors.append(
                Damage(
                    object: "config", kind: .config,
                    problem: "it is not a copy of the latest generation under configs/: a key change was interrupted, or an old copy put back; 'repo prune', or a check that may write there, puts that right"))
        }
        for generation in 1...min(current, Self.generationLimit) {
            let key = ConfigHistory.generationKey(generation)
            if try repository.store.stat(key) == nil {
                errors.append(Damage(object: "\(key)", kind: .config, problem: "it is missing"))
            }
        }
    }

    /// Makes `config` a copy of the latest generation, as a prune does; what a crash leaves behind between two puts is no damage. False where nothing may be written.
    private mutating func finish(_ latest: SignedConfig) -> Bool {
        guard repository.keys.role == .full, !repository.store.isReadOnly, (try? repository.keys.history(in: repository.store).publish(latest)) != nil else {
            return false
        }
        hasFinishedKeyChange = true
        return true
    }

    /// A config's generations are counted one by one up to here.
    private static let generationLimit: UInt64 = 10_000

    private mutating func checkKeys() throws {
        var found: Set<KeyID> = []
        for object in try repository.store.list(WrappedKey.prefix) {
            guard let bytes = try bytes(object.key, limit: WrappedKey.byteLimit, .key) else { continue }
            let entries = repository.keys.config.keys
            try examine("\(object.key)", .key) { () throws(RepoError) in
                let wrapped = try WrappedKey(bytes, object: "\(object.key)")
                // A key that config does not list is one that an interrupted change has left: harmless.
                guard let entry = entries.first(where: { WrappedKey.storeKey($0.id) == object.key }) else {
                    return
                }
                found.insert(entry.id)
                guard wrapped.kind == entry.kind, wrapped.role == entry.role else {
                    throw .damaged("\(object.key)", "config describes the key otherwise")
                }
                guard wrapped.isSigned(by: entry.verifyingKey) else {
                    throw .damaged("\(object.key)", "its signature is wrong, so what its password or key file opens may be lost")
                }
            }
        }
        for entry in repository.keys.config.keys where entry.state == .active && !found.contains(entry.id) {
            let object = "\(WrappedKey.storeKey(entry.id))"
            guard !errors.contains(where: { $0.object == object }) else { continue }
            errors.append(
                Damage(object: object, kind: .key, problem: "it is missing, so the key opens nothing"))
        }
    }

    /// Every segment, whatever the local cache holds of it; a table of the cache that differs from its segment is made again.
    private mutating func checkIndex() throws {
        let folder = repository.cacheDirectory + "/index"
        for object in try repository.store.list(IndexLoader.prefix) {
            let name = object.key.description.dropFirst(IndexLoader.prefix.count)
            guard let id = ObjectID(name) else { continue }
            do {
                guard let bytes = try bytes(object.key, limit: IndexLoader.maximumSegmentSize, .index) else {
                    continue
                }
                guard ObjectHasher.hash(bytes) == id else {
                    throw RepoError.damaged("\(object.key)", "its content does not match its name")
                }
                let (segment, signer) = try repository.tellingKeys {
                    try IndexSegment.decode(bytes, object: "\(object.key)", keys: repository.epochKeys, verifyingKey: repository.verifyingKey)
                }
                if let table = try? IndexTable(path: "\(folder)/\(id)") {
                    if !Self.isSame(table, segment) { try repository.cachedTable(segment, signer: signer, named: id) }
                } else {
                    // Where that fails, whoever loads the index tells.
                    _ = try? repository.cachedTable(segment, signer: signer, named: id)
                }
            } catch let error as RepoError where error.code == .damaged {
                damagedSegments.insert(id)
                // A table made when the segment was whole must not hide that it no longer is.
                try? LocalFolder.remove("\(folder)/\(id)")
                if !errors.contains(where: { $0.object == "\(object.key)" }) {
                    errors.append(Damage("\(object.key)", .index, error))
                }
            }
        }
    }

    private static func isSame(_ table: IndexTable, _ segment: IndexSegment) -> Bool {
        guard table.count == segment.blobs.count, table.packs == segment.packs,
            table.replaces == segment.replaces
        else {
            return false
        }
        for (position, blob) in segment.blobs.enumerated() {
            guard table.record(at: position) == blob.record, table.pack(at: position) == Int(blob.pack) else {
                return false
            }
        }
        return true
    }

    private mutating func checkSnapshots() throws {
        var damaged: [Damage] = []
        let (entries, held) = try SnapshotCatalog(repository).allAndHeld { id, error in
            var damage = Damage("\(SnapshotObject.key(id))", .snapshot, error)
            damage.snapshots = [id]
            damaged.append(damage)
        }
        snapshots = entries
        objects += UInt64(entries.count + damaged.count)
        errors += damaged
        for id in held {
            let key = SnapshotObject.holdKey(id)
            guard let bytes = try bytes(key, limit: SealedRecord.byteLimit, .hold) else { continue }
            let repository = repository
            try examine("\(key)", .hold) {
                let record = try repository.withKeys {
                    try SealedRecord.decode(.hold, bytes, object: "\(key)", keyRing: $0)
                }
                guard
                    record.fields.subjects.first == Array("\(id)".utf8)
                        || record.fields.subjects.first == id.bytes
                else {
                    throw RepoError.damaged("\(key)", "it is of another snapshot")
                }
            }
        }
    }

    /// What this machine has seen and the store does not show any more.
    private mutating func checkFreshness(_ remembered: SeenState?, _ journal: [StoreKey]) throws {
        for finding in repository.freshness?.findings ?? [] {
            if case .log = finding { continue }  // The check of the log names it.
            var damage = Damage(object: finding.object, kind: finding.isOfConfig ? .config : .snapshot, problem: finding.problem)
            if case .snapshot(let id, _, _, _) = finding { damage.snapshots = [id] }
            errors.append(damage)
        }
        guard let remembered else { return }
        let listed = Set(journal.map(\.description))
        for key in remembered.records.map({ "\(Journal.prefix)\($0)" }) where !listed.contains(key) {
            // A listing may have been altered on the way.
            if try repository.store.stat(StoreKey(key)) != nil { continue }
            errors.append(Damage(object: key, kind: .journal, problem: "it is missing: this machine has read it, and nothing ever deletes one"))
        }
    }

    private mutating func checkReports() throws {
        let reports = Reports(repository)
        for id in try reports.ids() {
            do {
                _ = try reports.read(id)
                objects += 1
            } catch let error as RepoError where error.code == .notFound {
                continue
            } catch let error as RepoError where error.code == .damaged {
                objects += 1
                errors.append(Damage("\(Reports.key(id))", .report, error))
            }
        }
    }

    /// Returns what was listed.
    @discardableResult
    private mutating func checkRecords(
        _ prefix: String, _ kind: SealedRecord.Kind, _ damageKind: Damage.Kind,
        _ body: (StoreKey, [UInt8], RecordFields) throws(RepoError) -> Void
    ) throws -> [StoreKey] {
        let repository = repository
        let listed = try repository.store.list(prefix)
        for object in listed {
            guard let bytes = try bytes(object.key, limit: SealedRecord.byteLimit, damageKind) else {
                continue
            }
            try examine("\(object.key)", damageKind) {
                let record = try repository.withKeys {
                    try SealedRecord.decode(kind, bytes, object: "\(object.key)", keyRing: $0)
                }
                try body(object.key, bytes, record.fields)
            }
        }
        return listed.map(\.key)
    }

    /// Nil when it is gone or damaged; damage is noted.
    private mutating func bytes(_ key: StoreKey, limit: Int, _ kind: Damage.Kind) throws -> [UInt8]? {
        do {
            let bytes = try repository.store.get(key, atMost: limit)
            objects += 1
            return bytes
        } catch let error as RepoError where error.code == .notFound {
            return nil
        } catch let error as RepoError where error.code == .damaged {
            errors.append(Damage("\(key)", kind, error))
            return nil
        }
    }

    private mutating func examine(_ object: String, _ kind: Damage.Kind, _ body: () throws -> Void) rethrows {
        do { try body() } catch let error as RepoError { errors.append(Damage(object, kind, error)) }
    }
}
