import BlobEngine
public import RepoBase
public import Storage

/// When, where and by whom something was done.
public struct JournalStamp: Hashable, Sendable {
    /// Seconds since 1970.
    public var time: Int64
    public var host: String
    public var user: String

    public init(time: Int64, host: String, user: String) {
        self.time = time
        self.host = host
        self.user = user
    }

    /// This machine's clock and name, and the effective user's.
    public static func now() -> JournalStamp {
        JournalStamp(time: SystemClock.now().seconds, host: MachineNames.host, user: MachineNames.user)
    }
}

/// The record of deletions, repairs, changes of keys, and checks of the data: objects that are created and never changed
/// (format.md, 9).
public enum Journal {
    public static let prefix = "journal/"

    /// Writes one entry and returns its id.
    @discardableResult
    public static func append(
        to store: any Store, by keyRing: KeyRing, _ stamp: JournalStamp, action: String, subjects: [String],
        details: [String] = []
    ) throws -> ObjectID {
        var fields = RecordFields(time: stamp.time)
        fields.action = action
        fields.subjects = subjects.map { Array($0.utf8) }
        fields.host = stamp.host
        fields.user = stamp.user
        fields.details = details
        let bytes = SealedRecord.encode(.journal, fields, by: keyRing)
        let id = ObjectHasher.hash(bytes)
        try store.put(key(id), bytes, .create)
        return id
    }

    static func key(_ id: ObjectID) -> StoreKey { StoreKey("\(prefix)\(id)") }

    /// Nil for a name that is none of an entry.
    static func id(_ key: StoreKey) -> ObjectID? { ObjectID(key.description.dropFirst(prefix.count)) }

    /// Nil for an entry that does not read, which `check` names, or is gone.
    static func read(_ id: ObjectID, _ repository: OpenRepository) throws -> SealedRecord? {
        let key = key(id)
        do {
            let bytes = try repository.store.get(key, atMost: SealedRecord.byteLimit)
            guard ObjectHasher.hash(bytes) == id else { return nil }
            return try repository.withKeys { try SealedRecord.decode(.journal, bytes, object: "\(key)", keyRing: $0) }
        } catch let error as RepoError where error.code == .damaged || error.code == .notFound {
            return nil
        }
    }
}
