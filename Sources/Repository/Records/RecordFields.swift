import RepoBase
public import Storage

/// The fields that records share (format.md, 7.1, 9 and 10); each kind uses some of them.
public struct RecordFields: Hashable, Sendable {
    /// Seconds since 1970, by the clock of who wrote it.
    public var time: Int64
    /// What was done, as in `key add` or `hold`.
    public var action: String?
    /// What it was done to: text for people's records, raw ids in the collector's.
    public var subjects: [[UInt8]] = []
    public var host: String?
    public var user: String?
    /// More about it, or the reason for a hold.
    public var details: [String] = []
    /// The kernel's id of the boot that a writer runs in (`/proc/sys/kernel/random/boot_id`).
    public var bootID: String?
    public var processID: UInt64?
    /// When the process started, in clock ticks since the boot; with `processID` and `bootID` it names a
    /// process for good.
    public var processStart: UInt64?
    /// The key of the object that this is, where it means something under that name alone: put under another one, a record is damage. The first programs gave none.
    public var name: String?

    public init(time: Int64, name: StoreKey? = nil) {
        self.time = time
        self.name = name.map { "\($0)" }
    }

    /// `subjects` as text; what is not UTF-8 is repaired.
    public var subjectTexts: [String] { subjects.map { String(decoding: $0, as: UTF8.self) } }

    func encoded() -> [UInt8] {
        var writer = ByteWriter()
        writer.field(1) { $0.zigzag(time) }
        if let action { writer.field(2) { $0.raw(action.utf8) } }
        for subject in subjects { writer.field(3) { $0.raw(subject) } }
        if let host { writer.field(16) { $0.raw(host.utf8) } }
        if let user { writer.field(17) { $0.raw(user.utf8) } }
        for detail in details { writer.field(18) { $0.raw(detail.utf8) } }
        if let bootID { writer.field(19) { $0.raw(bootID.utf8) } }
        if let processID { writer.field(20) { $0.varint(processID) } }
        if let processStart { writer.field(21) { $0.varint(processStart) } }
        if let name { writer.field(22) { $0.raw(name.utf8) } }
        return writer.bytes
    }

    init(_ bytes: [UInt8], object: String) throws(RepoError) {
        var reader = ByteReader(bytes, object: object)
        var time: Int64?
        var fields = RecordFields(time: 0)
        try reader.fields { (tag, field) throws(RepoError) -> Bool in
            switch tag {
            case 1: time = try field.recordedSeconds()
            case 2: fields.action = try field.restAsText()
            case 3: fields.subjects.append(Array(try field.raw(field.remaining)))
            case 16: fields.host = try field.restAsText()
            case 17: fields.user = try field.restAsText()
            case 18: fields.details.append(try field.restAsText())
            case 19: fields.bootID = try field.restAsText()
            case 20: fields.processID = try field.varint()
            case 21: fields.processStart = try field.varint()
            case 22: fields.name = try field.restAsText()
            default: return false
            }
            return true
        }
        guard let time else { throw .damaged(object, "its time is missing") }
        fields.time = time
        self = fields
    }
}

extension ByteReader {
    /// All that is left of a field, which must be UTF-8.
    mutating func restAsText() throws(RepoError) -> String {
        guard let text = String(validating: try raw(remaining), as: UTF8.self) else {
            throw fail("a text is not UTF-8")
        }
        return text
    }
}
