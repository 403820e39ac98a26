import BlobEngine
public import RepoBase

/// The entries of one directory in order of their names, holding one leaf at a time.
public struct TreeCursor {
    private var stack: [(parts: [TreeNode.Branch], next: Int)] = []
    private var leaf: [TreeEntry] = []
    private var position = 0
    private let reader: BlobReader
    /// The leaf at hand, for writers that want it as a base.
    public private(set) var leafID: BlobID?

    /// A branch above this depth is damage or malice: each level has at least two parts.
    static let maximumDepth = 32

    public init(_ id: BlobID, _ reader: BlobReader) throws {
        self.reader = reader
        try open(id)
    }

    /// The next entry, or nil at the end.
    public mutating func next() throws -> TreeEntry? {
        while position == leaf.count {
            guard try advance() else { return nil }
        }
        defer { position += 1 }
        return leaf[position]
    }

    /// The entry with that name, moving forward only: names must be asked for in ascending order.
    public mutating func entry(named name: [UInt8]) throws -> TreeEntry? {
        while true {
            if position == leaf.count {
                guard try advance() else { return nil }
                continue
            }
            let entry = leaf[position]
            if entry.name == name {
                position += 1
                return entry
            }
            if isBefore(name, entry.name) { return nil }
            position += 1
        }
    }

    private mutating func advance() throws -> Bool {
        while let last = stack.indices.last {
            let top = stack[last]
            guard top.next < top.parts.count else {
                stack.removeLast()
                continue
            }
            stack[last].next += 1
            let previous = leaf.last?.name
            try open(top.parts[top.next].id)
            if let previous, let first = leaf.first, !isBefore(previous, first.name) {
                throw RepoError.damaged("tree \(leafID.map { "\($0)" } ?? "")", "its names are out of order")
            }
            return true
        }
        return false
    }

    private mutating func open(_ id: BlobID) throws {
        var id = id
        while true {
            switch try TreeCodec.decode(try reader.bytes(id, .tree), object: "tree \(id)") {
            case .leaf(let entries):
                leaf = entries
                position = 0
                leafID = id
                return
            case .branch(let parts):
                guard stack.count < Self.maximumDepth else {
                    throw RepoError.damaged("tree \(id)", "its branches are too deep")
                }
                stack.append((parts, 1))
                id = parts[0].id
            }
        }
    }
}
