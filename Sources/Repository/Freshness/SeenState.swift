import BlobEngine
import RepoBase

/// What this machine has seen of a repository in one place (format.md, appendix F).
public struct SeenState: Hashable, Sendable {
    /// The newest that was seen of one timeline's log.
    struct Log: Hashable, Sendable {
        /// Of its object.
        var key: String
        /// The last sixteen digits of its last segment's name, as a number.
        var last: UInt64
        /// A record says that it was let go.
        var isRemoved = false
    }

    /// A snapshot that was listed, with what was known of it when it was.
    struct Snapshot: Hashable, Sendable {
        /// Nil where only its name was seen.
        var signer: KeyID?
        /// Its own time, in seconds since 1970; nil where only its name was seen.
        var time: Int64?
        var source = ""
        /// The last moment at which nothing was missing, in seconds since 1970 by this machine's clock; nil while it is there.
        var lastSeen: Int64?
    }

    /// The latest generation of config, and the hash of its bytes; 0 and nil before any was seen.
    var generation: UInt64 = 0
    var config: ObjectID?
    /// When all that is remembered was there, in seconds since 1970 by this machine's clock. For people: nothing is decided by it.
    var seen: Int64 = 0
    var snapshots: [ObjectID: Snapshot] = [:]
    /// Snapshots of which only the name was listed, and once: a network without protection may have altered it.
    var listedOnce: Set<ObjectID> = []
    /// Snapshots that a record says were let go, or whose absence was accepted; the oldest first.
    private(set) var removed: [ObjectID] = []
    /// Entries of the journal that were read for that; the oldest first.
    private(set) var records: [ObjectID] = []
    /// By what the timeline's keys begin with, as `wal/7300000000000000000/00000001/`.
    var log: [String: Log] = [:]

    /// Of removed snapshots and of records, each.
    static let idLimit = 1 << 16
    static let snapshotLimit = 1 << 20
    static let sourceByteLimit = 255

    mutating func noteRemoved(_ ids: some Sequence<ObjectID>) { Self.append(ids, to: &removed) }

    mutating func noteRead(_ ids: some Sequence<ObjectID>) { Self.append(ids, to: &records) }

    /// Takes up what records tell; they are not read again.
    mutating func note(_ records: RemovalRecords) {
        noteRemoved(records.removed)
        noteRead(records.read)
        for (folder, log) in log where records.removedKeys.contains(log.key) { self.log[folder]?.isRemoved = true }
    }

    private static func append(_ ids: some Sequence<ObjectID>, to list: inout [ObjectID]) {
        let known = Set(list)
        list += ids.filter { !known.contains($0) }
        if list.count > idLimit { list.removeFirst(list.count - idLimit) }
    }
}

extension SeenState {
    static let magic = Array("reposeen".utf8)
    private static let version: UInt32 = 1
    private static let headerLength = 16
    static let byteLimit = 512 << 20

    func encoded() -> [UInt8] {
        var writer = ByteWriter(capacity: 256 + snapshots.count * 80 + (removed.count + records.count) * 34)
        writer.raw(Self.magic)
        writer.u32(Self.version)
        writer.u32(0)
        if let config {
            writer.field(1) { field in
                field.varint(generation)
                field.hash(config)
            }
        }
        writer.field(2) { $0.zigzag(seen) }
        for (id, snapshot) in snapshots.sorted(by: { $0.key < $1.key }) {
            writer.field(16) { field in
                field.hash(id)
                field.raw(snapshot.signer?.bytes ?? [UInt8](repeating: 0, count: KeyID.byteCount))
                field.zigzag(snapshot.time ?? 0)
                field.zigzag(snapshot.lastSeen ?? 0)
                field.raw(snapshot.source.utf8)
            }
        }
        for id in listedOnce.sorted() { writer.field(20) { $0.hash(id) } }
        for id in removed { writer.field(17) { $0.hash(id) } }
        for id in records { writer.field(18) { $0.hash(id) } }
        for (_, log) in log.sorted(by: { $0.key < $1.key }) {
            writer.field(19) { field in
                field.u8(log.isRemoved ? 1 : 0)
                field.u64(log.last)
                field.raw(log.key.utf8)
            }
        }
        return writer.bytes + ObjectHasher.hash(writer.bytes).bytes
    }

    /// The first three parts of a key of the log.
    static func folder(ofLog key: String) -> String { key.split(separator: "/").prefix(3).joined(separator: "/") + "/" }

    /// Throws `.damaged` for what is no such file, or not whole.
    init(_ bytes: [UInt8], object: String) throws(RepoError) {
        let body = Array(bytes.dropLast(32))
        var reader = ByteReader(body, object: object)
        guard bytes.count >= Self.headerLength + 32, try reader.raw(8).elementsEqual(Self.magic), try reader.u32() == Self.version,
            try reader.u32() == 0
        else { throw reader.fail("it is of another kind or version") }
        guard ObjectHasher.hash(body).bytes == Array(bytes.suffix(32)) else { throw reader.fail("its content does not match its checksum") }
        var state = SeenState()
        try reader.fields { (tag, field) throws(RepoError) -> Bool in
            switch tag {
            case 1:
                state.generation = try field.varint()
                state.config = try field.hash()
            case 2: state.seen = try field.recordedSeconds()
            case 16:
                let id = try field.hash()
                let signer = Array(try field.raw(KeyID.byteCount))
                let (time, lastSeen) = (try field.recordedSeconds(), try field.recordedSeconds())
                state.snapshots[id] = Snapshot(
                    signer: signer.allSatisfy { $0 == 0 } ? nil : KeyID(bytes: signer), time: time == 0 ? nil : time,
                    source: try field.restAsText(), lastSeen: lastSeen == 0 ? nil : lastSeen)
            case 17: state.removed.append(try field.hash())
            case 18: state.records.append(try field.hash())
            case 19:
                let isRemoved = try field.u8() == 1
                let last = try field.u64()
                let key = try field.restAsText()
                state.log[Self.folder(ofLog: key)] = Log(key: key, last: last, isRemoved: isRemoved)
            case 20: state.listedOnce.insert(try field.hash())
            default: return false
            }
            return true
        }
        self = state
    }
}
