import BlobEngine
import RepoBase
import Storage

/// Who is writing, by one listing of `writers/`; and who is waited for.
struct WriterCensus {
    private let repository: OpenRepository
    private let fenceAfter: Int64
    private let own: [UInt8]?
    /// The store's clock, read off the own registration; nil without one.
    private let now: Int64?
    /// Registered writers, with the time of their last sign.
    private(set) var writers: [[UInt8]: Int64] = [:]
    private(set) var fences: [[UInt8]: Int64] = [:]
    /// Objects that show that a writer lives, with their times; some may be of writers that are gone.
    private var signs: [[UInt8]: Int64] = [:]

    private static let fenceSuffix = ".fence"
    private static let signSuffix = ".alive"

    /// - Parameter own: the collector's own registration, which nobody waits for here.
    init(_ repository: OpenRepository, own: [UInt8]?, fenceAfter: Int64) throws {
        self.repository = repository
        self.fenceAfter = fenceAfter
        self.own = own
        var listed: [[UInt8]: Int64] = [:]
        var fenced: [[UInt8]: Int64] = [:]
        var alive: [[UInt8]: Int64] = [:]
        try repository.store.list(WriterRegistration.prefix) { object in
            let name = object.key.description.dropFirst(WriterRegistration.prefix.count)
            if name.hasSuffix(Self.fenceSuffix) {
                guard let id = Hexadecimal.decode(name.dropLast(Self.fenceSuffix.count)) else { return }
                fenced[id] = object.modified
            } else if name.hasSuffix(Self.signSuffix) {
                guard let id = Hexadecimal.decode(name.dropLast(Self.signSuffix.count)) else { return }
                alive[id] = object.modified
            } else if let id = Hexadecimal.decode(name) {
                listed[id] = object.modified
            }
        }
        for (id, time) in alive {
            if let registered = listed[id] { listed[id] = max(registered, time) }
        }
        now = own.flatMap { listed[$0] }
        (writers, fences, signs) = (listed, fenced, alive)
    }

    /// All but the own.
    var others: [[UInt8]] { Self.ordered(writers).map(\.key).filter { $0 != own } }

    /// By the writers' ids, so that the same runs make the same requests.
    private static func ordered(_ times: [[UInt8]: Int64]) -> [(key: [UInt8], value: Int64)] {
        times.sorted { $0.key.lexicographicallyPrecedes($1.key) }
    }

    /// Whether nobody needs to wait for that writer: it has ended, or is fenced. A writer that is certainly dead, or was silent for too long, is
    /// fenced here; only then may it be passed over, since a fence is what it looks for should it be alive after all.
    func isGone(_ id: [UInt8]) throws -> Bool {
        guard id != own, let lastSign = writers[id], fences[id] == nil else { return true }
        guard try isDead(id, lastSign) else { return false }
        let key = WriterRegistration.fenceKey(id)
        let fence = SealedRecord.encode(.writer, RecordFields(time: JournalStamp.now().time, name: key), by: repository.keys)
        try repository.store.put(key, fence, .replace)
        return true
    }

    /// Whether that writer will write no more, as far as one can tell; nothing is changed, and nothing's safety may rest on it.
    func hasDied(_ id: [UInt8]) throws -> Bool { try writers[id].map { try isDead(id, $0) } ?? false }

    private func isDead(_ id: [UInt8], _ lastSign: Int64) throws -> Bool {
        guard let now else { return false }
        if now - lastSign >= fenceAfter {
            // A listing may miss what is replaced meanwhile, so silence is confirmed by a look at the sign itself.
            guard signs[id] == nil, let sign = try repository.store.stat(WriterRegistration.signKey(id)) else {
                return true
            }
            return now - sign.modified >= fenceAfter
        }
        guard let fields = try record(id) else { return false }
        guard let host = fields.host, let boot = fields.bootID, let process = fields.processID,
            let start = fields.processStart, host == JournalStamp.now().host
        else { return false }
        return ProcessIdentity(bootID: boot, processID: process, start: start).isGone
    }

    /// Nil when it does not read: such a writer is waited for until it has been silent for long enough.
    private func record(_ id: [UInt8]) throws -> RecordFields? {
        let key = WriterRegistration.key(id)
        do {
            let bytes = try repository.store.get(key, atMost: SealedRecord.byteLimit)
            return try repository.withKeys {
                try SealedRecord.decode(.writer, bytes, object: "\(key)", keyRing: $0).fields
            }
        } catch let error as RepoError where error.code == .notFound || error.code == .damaged {
            return nil
        }
    }

    func describe(_ id: [UInt8]) throws -> WaitingWriter {
        let fields = try record(id)
        return WaitingWriter(
            id: Hexadecimal.encode(id), host: fields?.host ?? "an unknown host",
            user: fields?.user ?? "an unknown user",
            processID: fields?.processID ?? 0, lastSign: writers[id] ?? 0)
    }

    /// Removes what dead writers left: of those that were fenced long ago and have given no sign for as long, and fences whose writer has ended.
    /// A writer that wakes up later finds its registration gone, which it takes for a fence.
    func removeStale() throws {
        guard let now else { return }
        for (id, fenced) in Self.ordered(fences) where now - fenced >= fenceAfter {
            if let lastSign = writers[id] {
                guard now - lastSign >= fenceAfter else { continue }
                try repository.store.delete(WriterRegistration.key(id))
            }
            if signs[id] != nil { try repository.store.delete(WriterRegistration.signKey(id)) }
            try repository.store.delete(WriterRegistration.fenceKey(id))
        }
        // Given by a process that stalled while its registration was removed.
        for (id, time) in Self.ordered(signs) where writers[id] == nil && fences[id] == nil && now - time >= fenceAfter {
            try repository.store.delete(WriterRegistration.signKey(id))
        }
    }
}
