import BlobEngine
import RepoBase
import Storage

/// The groups of parity that the store has, by one listing and a description each.
struct ParityCatalog {
    struct Entry {
        let group: ParityGroup
        let signer: KeyID
        /// Rows whose object is there and has its size.
        let rows: Set<Int>
        /// Descriptions that are there; of those that were read all alike.
        let descriptions: Set<Int>
        /// Bytes of all its objects.
        let bytes: UInt64

        /// Nothing of it is missing, as far as a listing tells.
        var isWhole: Bool { rows.count == group.parityCount && descriptions.count == ParityObject.descriptionCopies }
    }

    /// Parity without a description: of a run that was interrupted or is under way, or whose descriptions are all lost.
    struct Remains {
        let keys: [StoreKey]
        /// Of the newest, by the store's clock.
        let modified: Int64
    }

    /// By their ids.
    private(set) var entries: [Entry] = []
    private(set) var remains: [Remains] = []
    /// Copies of snapshots' objects and their sizes.
    private(set) var snapshotCopies: [ObjectID: UInt64] = [:]
    /// What is wrong with descriptions, and rows that are missing or have another size.
    private(set) var damages: [Damage] = []
    /// Objects below `parity/`, and their bytes.
    private(set) var objects: UInt64 = 0
    private(set) var bytes: UInt64 = 0

    private struct Folder {
        var descriptions: [Int: StoredObject] = [:]
        var rows: [Int: StoredObject] = [:]

        var all: [StoredObject] { Array(descriptions.values) + Array(rows.values) }
    }

    /// - Parameter readsAllCopies: also those descriptions that the first one makes needless.
    init(_ repository: OpenRepository, readsAllCopies: Bool = false) throws {
        var folders: [[UInt8]: Folder] = [:]
        try repository.store.list(ParityObject.prefix) { object in
            objects += 1
            bytes += object.size
            switch ParityObject.name(object.key) {
            case .snapshot(let id): snapshotCopies[id] = object.size
            case .description(let group, let copy): folders[group, default: Folder()].descriptions[copy] = object
            case .shard(let group, let row): folders[group, default: Folder()].rows[row] = object
            case nil: break
            }
        }
        for (id, folder) in folders.sorted(by: { $0.key.lexicographicallyPrecedes($1.key) }) {
            try add(id, folder, readsAllCopies, repository)
        }
    }

    private mutating func add(_ id: [UInt8], _ folder: Folder, _ readsAllCopies: Bool, _ repository: OpenRepository) throws {
        var found: (group: ParityGroup, signer: KeyID)?
        var good: Set<Int> = []
        for (copy, object) in folder.descriptions.sorted(by: { $0.key < $1.key }) {
            // A copy that nobody reads is taken for what it is named.
            if found != nil, !readsAllCopies {
                good.insert(copy)
                continue
            }
            do {
                let read = try Self.read(object.key, id, repository)
                found = found ?? read
                good.insert(copy)
            } catch let error as RepoError where error.code == .notFound {
                continue  // deleted meanwhile
            } catch let error as RepoError where error.code == .damaged {
                damages.append(Damage("\(object.key)", .parity, error))
            }
        }
        guard let (group, signer) = found else {
            remains.append(Remains(keys: folder.all.map(\.key), modified: folder.all.map(\.modified).max() ?? 0))
            return
        }
        let rows = (0..<group.parityCount).filter { folder.rows[$0]?.size == group.shardSize }
        for row in 0..<group.parityCount where folder.rows[row]?.size != group.shardSize {
            let problem = folder.rows[row].map { "it has \($0.size) bytes instead of \(group.shardSize)" } ?? "it is missing"
            damages.append(Damage(object: "\(ParityObject.shard(id, row: row))", kind: .parity, problem: problem))
        }
        for copy in 0..<ParityObject.descriptionCopies where folder.descriptions[copy] == nil {
            damages.append(Damage(object: "\(ParityObject.description(id, copy: copy))", kind: .parity, problem: "it is missing; other copies are there"))
        }
        entries.append(
            Entry(
                group: group, signer: signer, rows: Set(rows), descriptions: good,
                bytes: folder.all.reduce(0) { $0 + $1.size }))
    }

    /// What another catalog, made later, still finds wrong: groups come and go while one looks.
    func lasting(in later: ParityCatalog) -> [Damage] {
        let objects = Set(later.damages.map(\.object))
        return damages.filter { objects.contains($0.object) }
    }

    private static func read(_ key: StoreKey, _ id: [UInt8], _ repository: OpenRepository) throws -> (group: ParityGroup, signer: KeyID) {
        let bytes = try repository.store.get(key, atMost: SealedRecord.byteLimit)
        return try repository.withKeys { keyRing in
            let (signer, _, body) = try SealedRecord.open(.parity, bytes, object: "\(key)", keyRing: keyRing)
            let group = try ParityGroup(body, object: "\(key)")
            guard group.id == id else { throw RepoError.damaged("\(key)", "it is the description of another group") }
            return (group, signer)
        }
    }
}

extension OpenRepository {
    /// Whether this key may count what a group promises: one of its own, or of a full key. What a group gives back proves itself whoever made it.
    func countsParity(of signer: KeyID) -> Bool { signer == keys.keyID || role(of: signer) == .full }
}
