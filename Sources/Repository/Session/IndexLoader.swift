import BlobEngine
import Glibc
import RepoBase
import Storage

/// Brings the store's index segments into the local cache as tables, and opens them (design: memory).
///
/// Segments never change, so a table is made once per segment and machine; tables of segments that are gone are
/// removed. A table that does not open is made again.
struct IndexLoader {
    static let prefix = "index/"
    static let maximumSegmentSize = 256 << 20
    private let repository: OpenRepository

    init(_ repository: OpenRepository) { self.repository = repository }

    /// Order matters for writers (docs/collection.md): condemned packs are read after the index was listed would be too
    /// early for what is condemned meanwhile, so a writer registers before it calls this.
    /// - Parameters:
    ///   - looksForPacks: whether packs that the store does not have are found out, by a listing of all: for those who rest new data on what
    ///     the index says.
    ///   - onDamaged: told of each segment, and each record of condemned packs, that does not read; the index is loaded without it
    ///     unless this throws. Only for those that write nothing which rests on it.
    func load(
        looksForPacks: Bool = false, onDamaged: (StoreKey, RepoError) throws -> Void = { throw $1 }
    ) throws -> IndexView {
        let folder = repository.cacheDirectory + "/index"
        var tables: [(ObjectID, IndexTable)] = []
        var present: Set<String> = []
        for object in try repository.store.list(Self.prefix) {
            guard let id = ObjectID(object.key.description.dropFirst(Self.prefix.count)) else { continue }
            let table: IndexTable
            do {
                guard let found = try self.table(id, key: object.key, folder: folder) else { continue }
                table = found
            } catch let error as RepoError where error.code == .damaged {
                try onDamaged(object.key, error)
                continue
            }
            present.insert("\(id)")
            tables.append((id, table))
        }
        removeStale(folder, keeping: present)
        // A segment counts unless another valid one replaces it. A writer key replaces none: it could hide what others stored.
        let replaced = Set(tables.flatMap { repository.role(of: $0.1.signer) == .full ? $0.1.replaces : [] })
        let condemned = try CondemnedPacks.load(repository, onDamaged: onDamaged)
        let counting = tables.filter { !replaced.contains($0.0) }
        var absent: Set<ObjectID> = []
        if looksForPacks {
            // Last: a pack whose record of being condemned is gone already went before that record did.
            let stored = try PackObject.all(in: repository.store)
            for (_, table) in counting {
                for pack in table.packs where !stored.contains(pack.id) { absent.insert(pack.id) }
            }
        }
        return IndexView(
            tables: counting.map { (name: $0.0, table: $0.1) }, condemned: condemned, absent: absent,
            usableForDeduplication: repository.trust)
    }

    /// Nil when the segment was replaced and deleted since it was listed.
    private func table(_ id: ObjectID, key: StoreKey, folder: String) throws -> IndexTable? {
        let path = "\(folder)/\(id)"
        if let table = try? IndexTable(path: path) { return table }
        let bytes: [UInt8]
        do {
            bytes = try repository.store.get(key, atMost: Self.maximumSegmentSize)
        } catch let error as RepoError where error.code == .notFound {
            return nil
        }
        guard ObjectHasher.hash(bytes) == id else {
            throw RepoError.damagedObject("\(key)", "its content does not match its name", "Run 'repo repair index'.")
        }
        let (segment, signer) = try repository.tellingKeys {
            try IndexSegment.decode(bytes, object: "\(key)", keys: repository.epochKeys, verifyingKey: repository.verifyingKey)
        }
        return try repository.keptTable(segment, signer: signer, named: id)
    }

    private func removeStale(_ folder: String, keeping present: Set<String>) {
        guard let names = try? LocalFolder.names(in: folder) else { return }
        // A table of the last hour may belong to a process that has just stored its segment and not been listed yet.
        let limit = time(nil) - 3600
        for name in names where name.utf8.count == 64 && !present.contains(name) {
            var status = stat()
            let path = "\(folder)/\(name)"
            if stat(path, &status) == 0, status.st_mtim.tv_sec < limit { unlink(path) }
        }
    }
}

extension RepoError {
    static func damagedObject(_ object: String, _ why: String, _ advice: String) -> RepoError {
        RepoError(.damaged, "\(object) is damaged: \(why)", advice: advice)
    }
}
