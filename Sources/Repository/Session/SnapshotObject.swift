import BlobEngine
public import RepoBase
public import Storage

/// Names and bounds of snapshots (format.md, 7).
public enum SnapshotObject {
    public static let prefix = "snapshots/"
    public static let maximumSize = 64 << 20

    public static func key(_ id: ObjectID) -> StoreKey { StoreKey("snapshots/\(id)") }
    public static func holdKey(_ id: ObjectID) -> StoreKey { StoreKey("snapshots/\(id).hold") }

    /// The id in a snapshot's key; nil for a hold's.
    public static func id(_ key: StoreKey) -> ObjectID? {
        guard key.description.hasPrefix(prefix) else { return nil }
        return ObjectID(key.description.dropFirst(prefix.count))
    }
}
