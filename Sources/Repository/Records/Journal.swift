import BlobEngine
import Glibc
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

    /// This machine's clock and name (gethostname), and the name of the effective user, or its number where
    /// it has no name.
    public static func now() -> JournalStamp {
        var name = [CChar](repeating: 0, count: 256)
        let named = gethostname(&name, name.count - 1) == 0
        let host =
            named
            ? String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self) : ""
        return JournalStamp(time: Int64(Glibc.time(nil)), host: host, user: userName(geteuid()))
    }

    private static func userName(_ id: uid_t) -> String {
        var buffer = [CChar](repeating: 0, count: 16384)
        var record = passwd()
        var found: UnsafeMutablePointer<passwd>?
        return buffer.withUnsafeMutableBufferPointer { buffer in
            guard getpwuid_r(id, &record, buffer.baseAddress!, buffer.count, &found) == 0, found != nil else {
                return String(id)
            }
            return String(cString: record.pw_name)
        }
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
