import BlobEngine
public import RepoBase
import Storage

/// What a restore test found (format.md, 7.3).
public struct Report: Hashable, Sendable {
    /// When it began.
    public var time: FileTime
    public var source: String
    /// The exit status that the test ended with.
    public var outcome: Int32
    /// One JSON object.
    public var text: String
    public var host = ""
    public var user = ""

    public init(time: FileTime, source: String, outcome: Int32, text: String, stamp: JournalStamp = .now()) {
        (self.time, self.source, self.outcome, self.text) = (time, source, outcome, text)
        (host, user) = (stamp.host, stamp.user)
    }

    func encoded() -> [UInt8] {
        var writer = ByteWriter()
        writer.field(1) { $0.recordedMoment(time) }
        writer.field(2) { $0.raw(source.utf8) }
        writer.field(3) { $0.varint(UInt64(UInt32(bitPattern: outcome))) }
        writer.field(4) { $0.raw(text.utf8) }
        writer.field(16) { $0.raw(host.utf8) }
        writer.field(17) { $0.raw(user.utf8) }
        return writer.bytes
    }

    init(_ bytes: [UInt8], object: String) throws(RepoError) {
        var reader = ByteReader(bytes, object: object)
        var time: FileTime?
        var (source, text): (String?, String?)
        var outcome: UInt64?
        var (host, user) = ("", "")
        try reader.fields { (tag, field) throws(RepoError) -> Bool in
            switch tag {
            case 1: time = try field.recordedMoment()
            case 2: source = try field.restAsText()
            case 3: outcome = try field.varint()
            case 4: text = try field.restAsText()
            case 16: host = try field.restAsText()
            case 17: user = try field.restAsText()
            default: return false
            }
            return true
        }
        guard let time, let source, let outcome, outcome <= 255, let text else { throw .damaged(object, "a part of it is missing") }
        self.init(time: time, source: source, outcome: Int32(outcome), text: text, stamp: JournalStamp(time: 0, host: host, user: user))
    }
}

/// The reports of a repository. Only full keys read them.
public struct Reports {
    public static let prefix = "reports/"

    private static let frame = EnvelopedFrame(magic: "reporept", word: "report", name: "report", byteLimit: 4 << 20)
    private let repository: OpenRepository

    public init(_ repository: OpenRepository) { self.repository = repository }

    /// A report under its id.
    public struct Entry: Hashable, Sendable {
        public let id: ObjectID
        public let report: Report
    }

    static func key(_ id: ObjectID) -> StoreKey { StoreKey("\(prefix)\(id)") }

    /// Stores one and returns its id. Throws what the store throws.
    @discardableResult
    public func add(_ report: Report) throws -> ObjectID {
        let keys = repository.keys
        let bytes = try Self.frame.encode(report.encoded(), epoch: keys.currentEpoch, signer: keys.signer)
        let id = ObjectHasher.hash(bytes)
        try repository.store.put(Self.key(id), bytes, .create)
        return id
    }

    /// Throws `.notFound`, or `.damaged` when it does not read.
    public func read(_ id: ObjectID) throws -> Entry {
        let key = Self.key(id)
        let bytes = try repository.store.get(key, atMost: Self.frame.byteLimit)
        guard ObjectHasher.hash(bytes) == id else { throw RepoError.damaged("\(key)", "its content does not match its name") }
        let fields = try repository.withKeys { try Self.frame.open(bytes, object: "\(key)", keyRing: $0) }
        return Entry(id: id, report: try Report(fields, object: "\(key)"))
    }

    /// All ids, from one listing.
    public func ids() throws -> [ObjectID] {
        var ids: [ObjectID] = []
        try repository.store.list(Self.prefix) { object in
            if let id = ObjectID(object.key.description.dropFirst(Self.prefix.count)) { ids.append(id) }
        }
        return ids
    }

    /// All reports, oldest first. What does not read goes to `onProblem`, which may throw to end here.
    public func all(onProblem: (ObjectID, RepoError) throws -> Void = { throw $1 }) throws -> [Entry] {
        var entries: [Entry] = []
        for id in try ids() {
            do {
                entries.append(try read(id))
            } catch let error as RepoError where error.code == .damaged {
                try onProblem(id, error)
            } catch let error as RepoError where error.code == .notFound {
                // Removed by hand in between.
            }
        }
        return entries.sorted { ($0.report.time, $0.id) < ($1.report.time, $1.id) }
    }

    /// The report that is named by its id, by a unique prefix of it (4 digits or more), or by `latest`.
    ///
    /// Throws `.usage`, `.notFound`, or `.damaged` when it does not read.
    public func find(_ text: String) throws -> Entry {
        if text == "latest" {
            guard let entry = try all(onProblem: { _, _ in }).last else {
                throw RepoError(.notFound, "there is no report yet", advice: "'repo drill --source NAME' makes one.")
            }
            return entry
        }
        guard text.utf8.count >= 4, text.allSatisfy(\.isHexDigit) else {
            throw RepoError(
                .usage, "'\(text)' does not name a report", advice: "Use an id or the first 4 or more of its digits, or 'latest'.")
        }
        let matches = try ids().filter { "\($0)".hasPrefix(text.lowercased()) }
        guard let id = matches.first else {
            throw RepoError(.notFound, "no report's id begins with '\(text)'", advice: "'repo drill --list' lists what there is.")
        }
        guard matches.count == 1 else {
            throw RepoError(.usage, "\(matches.count) reports' ids begin with '\(text)'", advice: "Give more digits.")
        }
        return try read(id)
    }
}
