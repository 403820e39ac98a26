public import RepoBase

/// Goes through what a tree holds, depth first, names ascending: `repo ls`, and the base of comparing and finding.
public struct TreeListing {
    /// What to do below a directory.
    public enum Next: Sendable {
        case descend
        case skip
        /// Ends the whole listing.
        case stop
    }

    /// Directories deeper than this are damage or malice (format.md, 1).
    public static let maximumDepth = 65_536

    private let reader: BlobReader

    public init(_ reader: BlobReader) { self.reader = reader }

    /// Calls `visit` with every entry below `tree` and its path, `base` first, and goes below directories where it says `.descend`.
    /// `leave` is called with the path of each directory that was gone through.
    ///
    /// What cannot be read goes to `onProblem`, which may throw to end here. Memory: one leaf for each directory on the way down.
    public func walk(
        _ tree: BlobID, base: [UInt8] = [],
        onProblem: (_ path: [UInt8], RepoError) throws -> Void = { throw $1 },
        leave: (_ path: [UInt8], _ tree: BlobID) throws -> Void = { _, _ in },
        visit: (_ path: [UInt8], TreeEntry) throws -> Next
    ) throws {
        var path = base
        var stack: [Frame] = []

        func enter(_ tree: BlobID, pathLength: Int) throws {
            guard stack.count < Self.maximumDepth else {
                throw RepoError.damaged("tree \(tree)", "its directories are nested too deep")
            }
            do {
                stack.append(Frame(cursor: try TreeCursor(tree, reader), tree: tree, pathLength: pathLength))
            } catch let error as RepoError where error.code == .damaged {
                try onProblem(path, error)
                try leave(path, tree)
            }
        }

        try enter(tree, pathLength: path.count)
        while let last = stack.indices.last {
            path.removeSubrange(stack[last].pathLength...)
            var entry: TreeEntry?
            do {
                entry = try stack[last].cursor.next()
            } catch let error as RepoError where error.code == .damaged {
                try onProblem(path, error)
            }
            guard let entry else {
                let frame = stack.removeLast()
                try leave(path, frame.tree)
                continue
            }
            path.append(UInt8(ascii: "/"))
            path += entry.name
            switch try visit(path, entry) {
            case .stop: return
            case .skip: continue
            case .descend: if let subtree = entry.subtree { try enter(subtree, pathLength: path.count) }
            }
        }
    }

    private struct Frame {
        var cursor: TreeCursor
        let tree: BlobID
        /// Bytes of the path of the directory itself.
        let pathLength: Int
    }
}
