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

/// The record of deletions, repairs and changes of keys: objects that are created and never changed
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
        try store.put(StoreKey("\(prefix)\(id)"), bytes, .create)
        return id
    }
}
