import BlobEngine
import RepoBase
import Storage

/// Puts back objects that are damaged or missing, as they are in a twin: verified before, and what was damaged kept below `damaged/`.
struct ObjectHealing {
    private let repository: OpenRepository
    private let twin: OpenRepository

    init(_ repository: OpenRepository, twin: OpenRepository) { (self.repository, self.twin) = (repository, twin) }

    /// False where the twin does not have it, or has it no better, or where objects of this kind are each repository's own.
    func heal(_ damage: Damage) throws -> Bool {
        guard let key = StoreKey(checking: damage.object), let good = try good(key, damage.kind) else { return false }
        try DamagedObjects.keep(key, in: repository.store)
        // In one step: the name is never without an object.
        try repository.store.put(key, good, .replace)
        return true
    }

    /// The twin's bytes, if they are what the name says.
    private func good(_ key: StoreKey, _ kind: Damage.Kind) throws -> [UInt8]? {
        guard [.config, .key, .pack, .snapshot, .hold, .journal, .report].contains(kind) else { return nil }
        do {
            let bytes = try twin.store.get(key, atMost: PackObject.maximumSize)
            return try isGood(bytes, key, kind) ? bytes : nil
        } catch let error as RepoError where error.code == .notFound || error.code == .damaged {
            return nil
        }
    }

    private func isGood(_ bytes: [UInt8], _ key: StoreKey, _ kind: Damage.Kind) throws -> Bool {
        let name = key.description.split(separator: "/").last.map(String.init) ?? ""
        switch kind {
        case .pack, .journal, .report: return "\(ObjectHasher.hash(bytes))" == name
        case .snapshot:
            guard "\(ObjectHasher.hash(bytes))" == name else { return false }
            _ = try repository.withKeys { try SnapshotCodec.decode(bytes, object: "\(key)", keyRing: $0) }
            return true
        case .hold:
            let record = try repository.withKeys { try SealedRecord.decode(.hold, bytes, object: "\(key)", keyRing: $0) }
            return record.fields.subjects.first == Array(name.dropLast(".hold".utf8.count).utf8)
        case .config:
            let signed = try RepositoryConfig.verified(bytes, object: "\(key)", authority: repository.keys.authority)
            if key != ConfigHistory.key { return ConfigHistory.generationKey(signed.config.generation) == key }
            return signed.config.generation >= repository.keys.config.generation
        case .key:
            let wrapped = try WrappedKey(bytes, object: "\(key)")
            return repository.keys.config.keys.contains {
                WrappedKey.storeKey($0.id) == key && $0.state == .active && $0.kind == wrapped.kind && $0.role == wrapped.role
                    && wrapped.isSigned(by: $0.verifyingKey)
            }
        case .index, .blob, .collection, .writer, .log, .parity: return false
        }
    }
}
