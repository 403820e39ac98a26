import BlobEngine
import RepoBase
import Storage

/// One `gc/<n>`: packs that were condemned together, and how far their collection is (docs/collection.md).
struct GarbageRecord {
    let number: Int
    let packs: [ObjectID]
    /// Nil while it is not armed: nobody has listed the writers yet.
    let writers: [[UInt8]]?
    /// The writers that may hold an index which still names its packs; nil until it is swept.
    let swept: [[UInt8]]?

    enum Part: String {
        case condemned, writers, swept
    }

    static func key(_ number: Int, _ part: Part) -> StoreKey {
        let digits = String(number)
        return StoreKey(
            "\(CondemnedPacks.prefix)\(String(repeating: "0", count: max(0, 8 - digits.count)))\(digits)/\(part.rawValue)"
        )
    }

    /// All records, by number, and the numbers of those of which only remains are left.
    static func all(_ repository: OpenRepository) throws -> (records: [GarbageRecord], remains: [Int]) {
        var parts: [Int: Set<String>] = [:]
        try repository.store.list(CondemnedPacks.prefix) { object in
            let names = object.key.description.split(separator: "/")
            guard names.count == 3, let number = Int(names[1]) else { return }
            parts[number, default: []].insert(String(names[2]))
        }
        var records: [GarbageRecord] = []
        var remains: [Int] = []
        for (number, found) in parts.sorted(by: { $0.key < $1.key }) {
            func read(_ part: Part) throws -> CollectionRecord? {
                guard found.contains(part.rawValue) else { return nil }
                do {
                    return try CollectionRecord.read(key(number, part), repository)
                } catch let error as RepoError where error.code == .notFound {
                    return nil  // another collector has finished it meanwhile
                }
            }
            guard let condemned = try read(.condemned) else {
                remains.append(number)
                continue
            }
            records.append(
                GarbageRecord(
                    number: number, packs: condemned.packs, writers: try read(.writers)?.subjects,
                    swept: try read(.swept)?.subjects))
        }
        return (records, remains)
    }

    /// Creates the next free record. Two collectors never share one.
    static func condemn(_ packs: [ObjectID], _ repository: OpenRepository) throws -> Int {
        while true {
            var last = 0
            try repository.store.list(CondemnedPacks.prefix) { object in
                let names = object.key.description.split(separator: "/")
                if names.count == 3, let number = Int(names[1]) { last = max(last, number) }
            }
            do {
                try CollectionRecord.write(key(last + 1, .condemned), packs.map(\.bytes), repository)
                return last + 1
            } catch let error as RepoError where error.code == .conflict {
                continue
            }
        }
    }

    /// Creates a part that another collector may create at the same time; the first counts.
    static func add(_ part: Part, _ number: Int, _ writers: [[UInt8]], _ repository: OpenRepository) throws {
        do {
            try CollectionRecord.write(key(number, part), writers, repository)
        } catch let error as RepoError where error.code == .conflict {
            return
        }
    }

    /// The list of condemned packs goes last: until then the record may be gone on with.
    static func remove(_ number: Int, _ repository: OpenRepository) throws {
        for part in [Part.swept, .writers, .condemned] { try repository.store.delete(key(number, part)) }
    }
}
