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

    /// - Parameters:
    ///   - roots: ids of root trees.
    ///   - onProblem: told of trees and lists that are missing or damaged; the walk goes on without them.
    ///   - visit: told of every blob met; returns whether to go on below it (false for what was seen before).
    /// Memory: one leaf of each directory on the way down, and what `visit` keeps.
    public static func walk(
        roots: [BlobID], _ repository: OpenRepository, reader: BlobReader? = nil,
        onProblem: (Problem) throws -> Void, visit: (BlobID, BlobType) throws -> Bool
    ) throws {
        let reader = reader ?? BlobReader(repository)
        for root in roots {
            var walk = Walk(reader: reader)
            try walk.tree(root, onProblem, visit)
        }
    }

    private struct Walk {
        let reader: BlobReader
        var path: [UInt8] = []

        /// Directories wait on a stack of our own: trees may be as deep as paths are long.
        mutating func tree(
            _ root: BlobID, _ onProblem: (Problem) throws -> Void, _ visit: (BlobID, BlobType) throws -> Bool
        ) throws {
            var stack: [(id: BlobID, path: [UInt8])] = [(root, [])]
            while let (id, at) = stack.popLast() {
                guard try visit(id, .tree) else { continue }
                path = at
                do {
                    switch try TreeCodec.decode(try reader.bytes(id, .tree), object: "tree \(id)") {
                    case .branch(let parts):
                        for part in parts.reversed() { stack.append((part.id, at)) }
                    case .leaf(let entries):
                        for entry in entries.reversed() {
                            let below = at + [UInt8(ascii: "/")] + entry.name
                            switch entry.payload {
                            case .directory(let subtree): stack.append((subtree, below))
                            case .file(let content):
                                path = below
                                try self.content(content, onProblem, visit)
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
            _ content: Content, _ onProblem: (Problem) throws -> Void,
            _ visit: (BlobID, BlobType) throws -> Bool
        ) throws {
            switch content {
            case .empty: return
            case .chunk(let id): _ = try visit(id, .chunk)
            case .list(let id): try list(id, depth: 0, onProblem, visit)
            }
        }

        func list(
            _ id: BlobID, depth: Int, _ onProblem: (Problem) throws -> Void,
            _ visit: (BlobID, BlobType) throws -> Bool
        ) throws {
            guard try visit(id, .list) else { return }
            do {
                let list = try ContentList.decode(try reader.bytes(id, .list), object: "list \(id)")
                guard depth + Int(list.level) <= ContentList.maximumLevel else {
                    throw RepoError.damaged("list \(id)", "its levels are too deep")
                }
                for entry in list.entries {
                    guard let below = entry.id else { continue }
                    if list.level == 0 {
                        _ = try visit(below, .chunk)
                    } else {
                        try self.list(below, depth: depth + 1, onProblem, visit)
                    }
                }
            } catch let error as RepoError where error.code == .damaged {
                try onProblem(Problem(blob: id, type: .list, path: path, error: error))
            }
        }
    }
}
