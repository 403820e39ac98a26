import BlobEngine
public import RepoBase

/// Looks for files by path in many snapshots: `repo find`.
///
/// A directory in which nothing matched is not read again where it stands at the same path with the same content, so that the search
/// through many snapshots costs little more than through one and what differs. Make one for a search, and give it the snapshots one after the other.
public struct FindFiles {
    private let reader: BlobReader
    /// What nothing matched in: hashes of path and tree.
    private var barren: Set<ObjectID> = []

    /// 32 bytes each; beyond this, directories are read again.
    private static let barrenLimit = 1 << 20

    public init(_ reader: BlobReader) { self.reader = reader }

    /// Calls `found` with each entry below `root` that `matches` accepts. Trees that do not read go to `onProblem`.
    public mutating func search(
        _ root: BlobID, matching matches: (_ path: [UInt8], TreeEntry) throws -> Bool,
        onProblem: ([UInt8], RepoError) throws -> Void = { throw $1 },
        found: (_ path: [UInt8], TreeEntry) throws -> Void
    ) throws {
        guard !barren.contains(Self.key([], root)) else { return }
        var known = barren
        // For each directory on the way down, whether something matched in it.
        var isFruitful = [false]
        try TreeListing(reader).walk(
            root,
            onProblem: { path, error in
                isFruitful = isFruitful.map { _ in true }
                try onProblem(path, error)
            },
            leave: { path, tree in
                let fruitful = isFruitful.removeLast()
                if fruitful, let last = isFruitful.indices.last { isFruitful[last] = true }
                if !fruitful, known.count < Self.barrenLimit { known.insert(Self.key(path, tree)) }
            },
            visit: { path, entry in
                if try matches(path, entry) {
                    isFruitful[isFruitful.count - 1] = true
                    try found(path, entry)
                }
                guard let tree = entry.subtree, !known.contains(Self.key(path, tree)) else { return .skip }
                isFruitful.append(false)
                return .descend
            })
        barren = known
    }

    private static func key(_ path: [UInt8], _ tree: BlobID) -> ObjectID {
        var hasher = ObjectHasher()
        hasher.update(tree.bytes)
        hasher.update(path)
        return hasher.finish()
    }
}
