public import RepoBase

/// Compares two trees: `repo diff`. Equal subtrees are recognised by their ids and not read.
public struct SnapshotDiff {
    public enum Change: Hashable, Sendable {
        case added(TreeEntry)
        case removed(TreeEntry)
        /// Content, link target or device number differ.
        case modified(from: TreeEntry, to: TreeEntry)
        /// Another kind of file under the same name.
        case typeChanged(from: TreeEntry, to: TreeEntry)
        /// Only ownership, permissions, times or extended attributes differ.
        case metadataChanged(from: TreeEntry, to: TreeEntry)
    }

    private let reader: BlobReader

    public init(_ reader: BlobReader) { self.reader = reader }

    /// Calls `visit` with every difference, depth first, names ascending. All that is below an added or removed directory is told of as well.
    /// Memory: two leaves for each directory on the way down.
    public func compare(
        _ old: BlobID, _ new: BlobID, _ visit: (_ path: [UInt8], Change) throws -> Void
    ) throws {
        guard old != new else { return }
        var path: [UInt8] = []
        var stack = [try Frame(old, new, reader, pathLength: 0)]
        while let last = stack.indices.last {
            path.removeSubrange(stack[last].pathLength...)
            guard let pair = try stack[last].next() else {
                stack.removeLast()
                continue
            }
            path += [UInt8(ascii: "/")] + (pair.old ?? pair.new)!.name
            switch (pair.old, pair.new) {
            case (let entry?, nil): try report(entry, path, visit) { .removed($0) }
            case (nil, let entry?): try report(entry, path, visit) { .added($0) }
            case (let from?, let to?):
                if from.metadata.type != to.metadata.type {
                    try visit(path, .typeChanged(from: from, to: to))
                    try reportBelow(from, path, visit) { .removed($0) }
                    try reportBelow(to, path, visit) { .added($0) }
                    continue
                }
                if let change = Self.change(from, to) { try visit(path, change) }
                guard let a = from.subtree, let b = to.subtree, a != b else { continue }
                guard stack.count < TreeListing.maximumDepth else {
                    throw RepoError.damaged("tree \(b)", "its directories are nested too deep")
                }
                stack.append(try Frame(a, b, reader, pathLength: path.count))
            case (nil, nil): continue
            }
        }
    }

    private func report(
        _ entry: TreeEntry, _ path: [UInt8], _ visit: ([UInt8], Change) throws -> Void,
        _ change: (TreeEntry) -> Change
    ) throws {
        try visit(path, change(entry))
        try reportBelow(entry, path, visit, change)
    }

    private func reportBelow(
        _ entry: TreeEntry, _ path: [UInt8], _ visit: ([UInt8], Change) throws -> Void,
        _ change: (TreeEntry) -> Change
    ) throws {
        guard let tree = entry.subtree else { return }
        try TreeListing(reader).walk(tree, base: path) { path, entry in
            try visit(path, change(entry))
            return .descend
        }
    }

    /// Nil where nothing differs that a restore would show; inode, change time and link count are the machine's own business.
    static func change(_ from: TreeEntry, _ to: TreeEntry) -> Change? {
        let isSameContent =
            switch (from.payload, to.payload) {
            case (.file(let a), .file(let b)): a == b && from.metadata.size == to.metadata.size
            case (.directory, .directory): true
            default:
                from.payload == to.payload && from.metadata.deviceNumber == to.metadata.deviceNumber
            }
        guard isSameContent else { return .modified(from: from, to: to) }
        let (a, b) = (from.metadata, to.metadata)
        let isSameMetadata =
            a.permissions == b.permissions && a.userID == b.userID && a.groupID == b.groupID
            && a.userName == b.userName && a.groupName == b.groupName
            && a.modificationTime == b.modificationTime && a.extendedAttributes == b.extendedAttributes
        return isSameMetadata ? nil : .metadataChanged(from: from, to: to)
    }

    /// Two directories of the same path, gone through side by side.
    private struct Frame {
        var old: TreeCursor
        var new: TreeCursor
        var nextOld: TreeEntry?
        var nextNew: TreeEntry?
        let pathLength: Int

        init(_ a: BlobID, _ b: BlobID, _ reader: BlobReader, pathLength: Int) throws {
            old = try TreeCursor(a, reader)
            new = try TreeCursor(b, reader)
            nextOld = try old.next()
            nextNew = try new.next()
            self.pathLength = pathLength
        }

        mutating func next() throws -> (old: TreeEntry?, new: TreeEntry?)? {
            switch (nextOld, nextNew) {
            case (nil, nil): return nil
            case (let a?, let b?) where a.name == b.name:
                nextOld = try old.next()
                nextNew = try new.next()
                return (a, b)
            case (let a?, let b) where b.map({ isBefore(a.name, $0.name) }) ?? true:
                nextOld = try old.next()
                return (a, nil)
            case (_, let b):
                nextNew = try new.next()
                return (nil, b)
            }
        }
    }
}
