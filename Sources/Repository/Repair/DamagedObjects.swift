import BlobEngine
import RepoBase
import Storage

/// What is kept of objects that are put back: below `damaged/`, for whoever wants to look at them (format.md, 2).
enum DamagedObjects {
    /// Moves nothing: a copy of what is there, under a name of its own, created once. An absent object leaves none.
    static func keep(_ key: StoreKey, in store: any Store) throws {
        let bytes: [UInt8]
        do {
            bytes = try store.get(key, atMost: Int.max - 1)
        } catch let error as RepoError where error.code == .notFound {
            return
        }
        let name = StoreKey("\(PackRepair.damagedPrefix)\(key).\("\(ObjectHasher.hash(bytes))".prefix(16))")
        do {
            try store.put(name, bytes, .create)
        } catch let error as RepoError where error.code == .conflict {
            return
        }
    }
}
