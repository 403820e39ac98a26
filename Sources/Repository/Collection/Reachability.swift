public import BlobEngine
public import RepoBase

/// Goes through everything that roots need: trees, lists and chunks, each blob once for each time it is met, trees and lists that were seen
/// before not again.
public enum Reachability {
    /// A blob that could not be followed.
    public struct Problem: Sendable {
        public let blob: BlobID
        public let type: BlobType
        /// Where it was met, from the snapshot's root.
        public let path: [UInt8]
        public let error: RepoError
    }

    /// A blob as something names it, and what is said of it there.
    struct Reference {
        let id: BlobID
        let type: BlobType
        /// Bytes of content; nil for trees.
        var length: UInt64?
        /// That a list is to have; nil where nothing tells.
        var level: UInt8?
        /// A part of a directory in several.
        var isPart = false
    }

    /// What a reference leads to, where that reads.
    enum Node {
        case tree(TreeNode)
        case list(ContentList)
    }

    /// - Parameters:
    ///   - roots: ids of root trees.
    ///   - onProblem: told of trees and lists that are missing or damaged; the walk goes on without them.
    ///   - visit: told of every blob met; returns whether to go on below it (false for what was seen before).
    /// Memory: one leaf of each directory on the way down, and what `visit` keeps.
    public static func walk(
        roots: [BlobID], _ repository: OpenRepository, reader: BlobReader? = nil,
        onProblem: (Problem) throws -> Void, visit: (BlobID, BlobType) throws -> Bool
    ) throws {
        try follow(roots: roots, repository, reader: reader, onProblem: onProblem) { try visit($0.id, $0.type) }
    }

    /// The same, told what is said of each blob where it is named.
    /// - Parameter inspect: told of each tree and list that is gone below, and where it was met.
    static func follow(
        roots: [BlobID], _ repository: OpenRepository, reader: BlobReader? = nil,
        onProblem: (Problem) throws -> Void, inspect: (Reference, Node, BlobReader) throws -> Void = { _, _, _ in }, visit: (Reference) throws -> Bool
    ) throws {
        let reader = reader ?? BlobReader(repository)
        for root in roots {
            var walk = Walk(reader: reader)
            try walk.tree(root, onProblem, inspect, visit)
        }
    }

    private struct Walk {
        let reader: BlobReader
        var path: [UInt8] = []

        /// Directories wait on a stack of our own: trees may be as deep as paths are long.
        mutating func tree(
            _ root: BlobID, _ onProblem: (Problem) throws -> Void, _ inspect: (Reference, Node, BlobReader) throws -> Void,
            _ visit: (Reference) throws -> Bool
        ) throws {
            var stack: [(reference: Reference, path: [UInt8])] = [(Reference(id: root, type: .tree), [])]
            while let (reference, at) = stack.popLast() {
                guard try visit(reference) else { continue }
                let id = reference.id
                path = at
                do {
                    let node = try TreeCodec.decode(try reader.bytes(id, .tree), object: "tree \(id)")
                    try inspect(reference, .tree(node), reader)
                    switch node {
                    case .branch(let parts):
                        for part in parts.reversed() { stack.append((Reference(id: part.id, type: .tree, isPart: true), at)) }
                    case .leaf(let entries):
                        for entry in entries.reversed() {
                            let below = at + [UInt8(ascii: "/")] + entry.name
                            switch entry.payload {
                            case .directory(let subtree): stack.append((Reference(id: subtree, type: .tree), below))
                            case .file(let content):
                                path = below
                                try self.content(content, entry.metadata.size, onProblem, inspect, visit)
                            case .symbolicLink, .special: continue
                            }
                        }
                    }
                } catch let error as RepoError where error.code == .damaged {
                    try onProblem(Problem(blob: id, type: .tree, path: at, error: error))
                }
            }
        }

        func content(
            _ content: Content, _ size: UInt64, _ onProblem: (Problem) throws -> Void, _ inspect: (Reference, Node, BlobReader) throws -> Void,
            _ visit: (Reference) throws -> Bool
        ) throws {
            switch content {
            case .empty: return
            case .chunk(let id): _ = try visit(Reference(id: id, type: .chunk, length: size))
            case .list(let id): try list(Reference(id: id, type: .list, length: size), depth: 0, onProblem, inspect, visit)
            }
        }

        func list(
            _ reference: Reference, depth: Int, _ onProblem: (Problem) throws -> Void, _ inspect: (Reference, Node, BlobReader) throws -> Void,
            _ visit: (Reference) throws -> Bool
        ) throws {
            guard try visit(reference) else { return }
            let id = reference.id
            do {
                let list = try ContentList.decode(try reader.bytes(id, .list), object: "list \(id)")
                guard depth + Int(list.level) <= ContentList.maximumLevel else {
                    throw RepoError.damaged("list \(id)", "its levels are too deep")
                }
                try inspect(reference, .list(list), reader)
                for entry in list.entries {
                    guard let below = entry.id else { continue }
                    if list.level == 0 {
                        _ = try visit(Reference(id: below, type: .chunk, length: entry.length))
                    } else {
                        try self.list(
                            Reference(id: below, type: .list, length: entry.length, level: list.level - 1), depth: depth + 1, onProblem, inspect, visit)
                    }
                }
            } catch let error as RepoError where error.code == .damaged {
                try onProblem(Problem(blob: id, type: .list, path: path, error: error))
            }
        }
    }
}
