import RepoBase
import Storage

/// Names of what parity stores (format.md, 13).
enum ParityObject {
    static let prefix = "parity/"
    /// Copies of snapshots' objects, by id.
    static let snapshotPrefix = "parity/snapshots/"
    static let groupIDByteCount = 16
    /// Of a group's description, all alike.
    static let descriptionCopies = 3

    static func description(_ group: [UInt8], copy: Int) -> StoreKey {
        StoreKey("\(prefix)\(Hexadecimal.encode(group))/group-\(copy)")
    }

    static func shard(_ group: [UInt8], row: Int) -> StoreKey {
        let digits = String(row)
        return StoreKey("\(prefix)\(Hexadecimal.encode(group))/\(String(repeating: "0", count: max(0, 5 - digits.count)))\(digits)")
    }

    static func snapshotCopy(_ id: ObjectID) -> StoreKey { StoreKey("\(snapshotPrefix)\(id)") }

    /// What a key names.
    enum Name: Hashable {
        case description(group: [UInt8], copy: Int)
        case shard(group: [UInt8], row: Int)
        case snapshot(ObjectID)
    }

    /// Nil for what is none of them.
    static func name(_ key: StoreKey) -> Name? {
        let parts = key.description.split(separator: "/")
        guard parts.count == 3, parts[0] == "parity" else { return nil }
        if parts[1] == "snapshots" { return ObjectID(parts[2]).map(Name.snapshot) }
        guard let group = Hexadecimal.decode(parts[1]), group.count == groupIDByteCount else { return nil }
        if parts[2].hasPrefix("group-") {
            guard let copy = Int(parts[2].dropFirst("group-".count)), key == description(group, copy: copy) else { return nil }
            return .description(group: group, copy: copy)
        }
        guard let row = Int(parts[2]), row >= 0, key == shard(group, row: row) else { return nil }
        return .shard(group: group, row: row)
    }
}
