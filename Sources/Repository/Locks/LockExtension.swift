import BlobEngine
import RepoBase
public import Storage

/// Extends the locks of everything that a repository still needs, so that they never run out under what is in use.
///
/// Needed is all that is there, but what is condemned and what the caller names: who deletes an object leaves its lock to end. A lock is extended to its whole length
/// when less than half of it is left, so an object costs two requests in each such time, however often this runs; and one more the first time that this
/// machine meets it (`LockLedger`).
public struct LockExtension {
    public struct Outcome: Hashable, Sendable {
        /// Objects whose locks are kept up, extended or not.
        public var objects = 0
        public var bytes: UInt64 = 0
        public var extended = 0
        /// Of these, how many had no lock, or one that was over.
        public var unlocked = 0
        /// Objects that are let go and still locked, and until when the last of them is.
        public var ending = 0
        public var endingBytes: UInt64 = 0
        public var lastEnd: Int64?
    }

    private let repository: OpenRepository
    private let now: Int64

    /// - Parameter now: seconds since 1970.
    public init(_ repository: OpenRepository, now: Int64 = JournalStamp.now().time) {
        (self.repository, self.now) = (repository, now)
    }

    /// Nil for a store that locks nothing. One listing of the whole repository.
    /// - Parameter leaving: what nobody needs any more, besides condemned packs.
    ///
    /// Throws `.refused` for a writer key, and where the store lets no lock be extended.
    public func run(leaving: Set<StoreKey> = []) throws -> Outcome? {
        guard let lock = repository.store.lock else { return nil }
        try repository.requireFullKey("say which locks are still needed")
        var objects: [StoredObject] = []
        try repository.store.list("") { if ObjectLock.isExtended($0.key) { objects.append($0) } }
        // After the listing: a pack that is condemned meanwhile is locked once more, and no pack that is needed is not.
        let condemned = try CondemnedPacks.load(repository)
        let groups = Dictionary(grouping: objects) { object in
            leaving.contains(object.key) || PackObject.id(object.key).map(condemned.contains) ?? false
        }
        let (needed, ending) = (groups[false] ?? [], groups[true] ?? [])
        let ledger = LockLedger(repository)
        defer { ledger.save() }
        ledger.keep(only: Set(objects.map(\.key)))
        var outcome = Outcome()
        outcome.objects = needed.count
        outcome.bytes = needed.reduce(0) { $0 + $1.size }
        let ends = try ledger.ends(of: needed)
        let due = zip(needed, ends).filter { $1 - now < lock.seconds / 2 }
        try ledger.extend(due.map(\.0), until: now + lock.seconds)
        outcome.extended = due.count
        outcome.unlocked = due.count { $1 <= now }
        for (object, end) in zip(ending, try ledger.ends(of: ending)) where end > now {
            outcome.ending += 1
            outcome.endingBytes += object.size
            outcome.lastEnd = max(outcome.lastEnd ?? end, end)
        }
        return outcome
    }
}
