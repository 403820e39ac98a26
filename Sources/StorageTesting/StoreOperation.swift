/// One call on a store.
public struct StoreOperation: Hashable, Sendable, CustomStringConvertible {
    public enum Kind: String, Hashable, Sendable, CaseIterable {
        case put, read, stat, list, listKeys, folders, makeDurable, delete
    }

    public let kind: Kind
    /// The key, or the prefix of a listing.
    public let name: String
    /// 1 for the first call on the store.
    public let ordinal: Int

    public init(kind: Kind, name: String, ordinal: Int) {
        self.kind = kind
        self.name = name
        self.ordinal = ordinal
    }

    public var description: String { "\(kind.rawValue) \(name)" }
}
