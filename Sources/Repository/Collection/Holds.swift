import BlobEngine
public import RepoBase
import Storage

/// Legal holds: a snapshot that is held is never let go, by no rule and by no command (format.md, 7.1).
public struct Holds {
    private let repository: OpenRepository

    public init(_ repository: OpenRepository) { self.repository = repository }

    /// Why and since when a snapshot is held.
    public struct Hold: Hashable, Sendable {
        public let snapshot: ObjectID
        /// Seconds since 1970.
        public let time: Int64
        public let reason: String
        /// Who holds it: a key of the repository.
        public let key: String
    }

    /// Holds a snapshot, which must exist. Holding one twice changes nothing. Throws `.notFound`.
    public func add(_ snapshot: ObjectID, reason: String, stamp: JournalStamp = .now()) throws {
        try requireSnapshot(snapshot)
        var fields = RecordFields(time: stamp.time)
        fields.action = "hold"
        fields.subjects = [Array("\(snapshot)".utf8)]
        fields.details = [reason]
        let bytes = SealedRecord.encode(.hold, fields, by: repository.keys)
        do {
            try repository.store.put(SnapshotObject.holdKey(snapshot), bytes, .create)
        } catch let error as RepoError where error.code == .conflict {
            return
        }
        do {
            // Somebody may have let it go in between, not having seen the hold.
            try requireSnapshot(snapshot)
        } catch {
            try repository.store.delete(SnapshotObject.holdKey(snapshot))
            throw error
        }
        try Journal.append(
            to: repository.store, by: repository.keys, stamp, action: "hold add", subjects: ["\(snapshot)"],
            details: [reason])
    }

    private func requireSnapshot(_ id: ObjectID) throws {
        guard try repository.store.stat(SnapshotObject.key(id)) == nil else { return }
        throw RepoError(
            .notFound, "there is no snapshot \(id.short)", advice: "'repo snapshots' lists what there is.")
    }

    /// Ends a hold. Throws `.notFound` when there is none, `.refused` for a writer key.
    public func remove(_ snapshot: ObjectID, stamp: JournalStamp = .now()) throws {
        try repository.requireFullKey("end a hold")
        let key = SnapshotObject.holdKey(snapshot)
        guard try repository.store.stat(key) != nil else {
            throw RepoError(.notFound, "snapshot \(snapshot.short) is not held")
        }
        // Recorded first, so that no hold ends unrecorded.
        try Journal.append(
            to: repository.store, by: repository.keys, stamp, action: "hold remove", subjects: ["\(snapshot)"]
        )
        try repository.store.delete(key)
    }

    /// All holds, by snapshot. Throws `.damaged` for one that does not read; it holds all the same.
    public func list() throws -> [Hold] {
        try SnapshotCatalog(repository).names().held.sorted().compactMap { id in
            let key = SnapshotObject.holdKey(id)
            let bytes: [UInt8]
            do {
                bytes = try repository.store.get(key, atMost: SealedRecord.byteLimit)
            } catch let error as RepoError where error.code == .notFound {
                return nil
            }
            let record = try repository.withKeys {
                try SealedRecord.decode(.hold, bytes, object: "\(key)", keyRing: $0)
            }
            return Hold(
                snapshot: id, time: record.fields.time, reason: record.fields.details.first ?? "",
                key: "\(record.signer)")
        }
    }
}

extension OpenRepository {
    /// Throws `.refused` for a writer key; `what` says what it cannot do.
    func requireFullKey(_ what: String) throws {
        guard keys.role == .full else {
            throw RepoError(.refused, "a writer key cannot \(what)", advice: "Use a full key.")
        }
    }
}
