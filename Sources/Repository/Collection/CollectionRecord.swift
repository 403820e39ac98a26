import BlobEngine
import RepoBase
import Storage

/// What a collector has written down: packs, or writers (format.md, 10).
struct CollectionRecord {
    let time: Int64
    /// Ids as stored: of packs 32 bytes each, of writers 16.
    let subjects: [[UInt8]]

    var packs: [ObjectID] { subjects.compactMap { ObjectID(bytes: $0) } }

    /// Throws `.notFound` when it is gone.
    static func read(_ key: StoreKey, _ repository: OpenRepository) throws -> CollectionRecord {
        let bytes = try repository.store.get(key, atMost: SealedRecord.byteLimit)
        let record = try repository.withKeys {
            try SealedRecord.decode(.collection, bytes, object: "\(key)", keyRing: $0)
        }
        return CollectionRecord(time: record.fields.time, subjects: record.fields.subjects)
    }

    static func write(_ key: StoreKey, _ subjects: [[UInt8]], _ repository: OpenRepository) throws {
        var fields = RecordFields(time: JournalStamp.now().time, name: key)
        fields.subjects = subjects
        try repository.store.put(key, SealedRecord.encode(.collection, fields, by: repository.keys), .create)
    }
}
