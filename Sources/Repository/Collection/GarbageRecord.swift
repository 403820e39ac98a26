import BlobEngine
import RepoBase
import Storage

/// One `gc/<name>`: packs that were condemned together, and how far their collection is (docs/collection.md).
///
/// A name is a number, for order and for people, and 8 random bytes, so that it is never used again: what a collector that was fenced
/// long ago still writes must not become part of another record.
struct GarbageRecord {
    let name: String
    let packs: [ObjectID]
    /// Nil while it is not armed: nobody has listed the writers yet.
    let writers: [[UInt8]]?
    /// The writers that may hold an index which still names its packs; nil until it is swept.
    let swept: [[UInt8]]?

    enum Part: String {
        case condemned, writers, swept
    }

    static func key(_ name: String, _ part: Part) -> StoreKey {
        StoreKey("\(CondemnedPacks.prefix)\(name)/\(part.rawValue)")
    }

    /// The record's name in a key; nil for what is none.
    private static func recordName(_ key: StoreKey) -> Substring? {
        let parts = key.description.split(separator: "/")
        return parts.count == 3 && number(parts[1]) != nil ? parts[1] : nil
    }

    /// Names of the first programs end with the number.
    private static func number(_ name: Substring) -> Int? { Int(name.prefix { $0 != "-" }) }

    /// All records, by number, and the names of those of which only remains are left.
    static func all(_ repository: OpenRepository) throws -> (records: [GarbageRecord], remains: [String]) {
        var parts: [String: Set<String>] = [:]
        try repository.store.list(CondemnedPacks.prefix) { object in
            guard let name = recordName(object.key) else { return }
            parts[String(name), default: []].insert(String(object.key.description.split(separator: "/")[2]))
        }
        var records: [GarbageRecord] = []
        var remains: [String] = []
        for (name, found) in parts.sorted(by: { $0.key < $1.key }) {
            func read(_ part: Part) throws -> CollectionRecord? {
                // A record that is being created may be listed without its packs; only when they are not there does nobody want the rest.
                guard found.contains(part.rawValue) || part == .condemned else { return nil }
                do {
                    return try CollectionRecord.read(key(name, part), repository)
                } catch let error as RepoError where error.code == .notFound {
                    return nil  // another collector has finished it meanwhile
                }
            }
            guard let condemned = try read(.condemned) else {
                remains.append(name)
                continue
            }
            records.append(
                GarbageRecord(
                    name: name, packs: condemned.packs, writers: try read(.writers)?.subjects,
                    swept: try read(.swept)?.subjects))
        }
        return (records, remains)
    }

    /// Creates a new record and returns its name.
    static func condemn(_ packs: [ObjectID], _ repository: OpenRepository) throws -> String {
        while true {
            var last = 0
            try repository.store.list(CondemnedPacks.prefix) { object in
                last = max(last, recordName(object.key).flatMap(number) ?? 0)
            }
            let digits = String(last + 1)
            let name =
                String(repeating: "0", count: max(0, 8 - digits.count)) + digits + "-"
                + Hexadecimal.encode(RandomBytes.make(8))
            do {
                try CollectionRecord.write(key(name, .condemned), packs.map(\.bytes), repository)
                return name
            } catch let error as RepoError where error.code == .conflict {
                continue
            }
        }
    }

    /// Creates a part that another collector may create at the same time; the first counts.
    static func add(_ part: Part, _ name: String, _ writers: [[UInt8]], _ repository: OpenRepository) throws {
        do {
            try CollectionRecord.write(key(name, part), writers, repository)
        } catch let error as RepoError where error.code == .conflict {
            return
        }
    }

    /// The list of condemned packs goes last: until then the record may be gone on with.
    static func remove(_ name: String, _ repository: OpenRepository) throws {
        for part in [Part.swept, .writers, .condemned] { try repository.store.delete(key(name, part)) }
    }
}
