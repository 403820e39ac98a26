import BlobEngine
public import RepoBase
import Storage

extension SnapshotRepair {
    /// A snapshot whose object does not read, so nothing of it can be found again.
    public struct Unreadable: Sendable {
        public let id: ObjectID
        public let problem: String
        /// Why it was left where it is; nil when it was moved to `damaged/`, or came back.
        public let leftBecause: String?
        /// It came back as it was, from the second copy that is kept beside parity.
        public var isHealed = false
    }

    /// Takes snapshots out whose objects do not read, since they stand in the way of `forget` and `prune`: they are kept as they were found,
    /// below `damaged/`, until somebody deletes them or puts a good copy back under the old name.
    ///
    /// What only they needed is freed by the next collection. Left alone are those that are held, and, unless named, those whose bytes are
    /// still what their name says: a newer program or a key that config does not list may have written them.
    /// - Parameter ids: the snapshots to look at; nil: all. Those that read are passed over.
    /// Throws `.refused` for a writer key.
    public func setAsideUnreadable(_ ids: [ObjectID]? = nil, stamp: JournalStamp = .now()) throws
        -> [Unreadable]
    {
        _ = try repository.keys.requireFull("repair snapshots")
        let catalog = SnapshotCatalog(repository)
        let names = try catalog.names()
        var found: [Unreadable] = []
        for id in ids ?? names.ids.sorted() {
            do {
                _ = try catalog.read(id)
            } catch let error as RepoError where error.code == .damaged {
                let problem = error.reason(about: "\(SnapshotObject.key(id))")
                if try heal(id, stamp) {
                    var one = Unreadable(id: id, problem: problem, leftBecause: nil)
                    one.isHealed = true
                    found.append(one)
                    continue
                }
                let reason = try obstacle(id, isNamed: ids != nil, isHeld: names.held.contains(id))
                if reason == nil { try setAside(id, problem, stamp) }
                found.append(Unreadable(id: id, problem: problem, leftBecause: reason))
            } catch let error as RepoError where error.code == .notFound && ids == nil {
                continue  // forgotten meanwhile
            }
        }
        return found
    }

    /// Nothing for one that is as it was written: its copy would read no better.
    private func heal(_ id: ObjectID, _ stamp: JournalStamp) throws -> Bool {
        let key = SnapshotObject.key(id)
        let bytes = try? repository.store.get(key, atMost: SnapshotObject.maximumSize)
        if let bytes, ObjectHasher.hash(bytes) == id { return false }
        guard try SnapshotCopies(repository).heal(id) else { return false }
        try Journal.append(
            to: repository.store, by: repository.keys, stamp, action: "repair snapshots: heal", subjects: ["\(id)"],
            details: ["from \(ParityObject.snapshotCopy(id))"])
        return true
    }

    private func obstacle(_ id: ObjectID, isNamed: Bool, isHeld: Bool) throws -> String? {
        if isHeld { return "it is held; 'repo hold remove \(id.short)' ends the hold" }
        guard !isNamed else { return nil }
        let bytes = try? repository.store.get(SnapshotObject.key(id), atMost: SnapshotObject.maximumSize)
        guard let bytes, ObjectHasher.hash(bytes) == id else { return nil }
        return
            "it is as it was written, by a newer repo or an unknown key; 'repo repair snapshots \(id.short)' sets it aside all the same"
    }

    /// Copied, recorded, deleted, in this order.
    private func setAside(_ id: ObjectID, _ problem: String, _ stamp: JournalStamp) throws {
        let key = SnapshotObject.key(id)
        try repository.store.put(
            StoreKey("\(PackRepair.damagedPrefix)\(id)"), try repository.store.get(key, atMost: Int.max - 1),
            .replace)
        try Journal.append(
            to: repository.store, by: repository.keys, stamp, action: "repair snapshots: set aside",
            subjects: ["\(id)"], details: [problem])
        try repository.store.delete(key)
    }
}
