import RepoBase
import Repository

/// Finds contents of the snapshot before by their paths, asked for in any order.
///
/// The entries of the directory asked for last, and of those above it, are held: a server sends one directory after the other.
/// Cost: reading each directory once; about 150 bytes for each of its entries while it is held.
struct EarlierTree {
    struct Found {
        let content: Content?
        let subtree: BlobID?
    }

    private struct Level {
        let name: [UInt8]
        let entries: [[UInt8]: Found]
    }

    private let reader: BlobReader
    private var levels: [Level] = []

    init(_ root: BlobID?, _ reader: BlobReader) {
        self.reader = reader
        levels = [Level(name: [], entries: root.map { Self.load($0, reader) } ?? [:])]
    }

    /// What stood there; a damaged tree is as good as none.
    mutating func entry(_ components: [[UInt8]]) -> Found? {
        guard let name = components.last else { return nil }
        let above = components.dropLast()
        var depth = 0
        while depth < above.count, depth + 1 < levels.count, levels[depth + 1].name == above[depth] { depth += 1 }
        levels.removeLast(levels.count - 1 - depth)
        while depth < above.count {
            guard let tree = levels[depth].entries[above[depth]]?.subtree else { return nil }
            levels.append(Level(name: above[depth], entries: Self.load(tree, reader)))
            depth += 1
        }
        return levels[depth].entries[name]
    }

    private static func load(_ tree: BlobID, _ reader: BlobReader) -> [[UInt8]: Found] {
        var entries: [[UInt8]: Found] = [:]
        do {
            var cursor = try TreeCursor(tree, reader)
            while let entry = try cursor.next() {
                if entry.isIncomplete { continue }
                entries[entry.name] = Found(content: entry.content, subtree: entry.subtree)
            }
        } catch {
            // What was read until then serves.
        }
        return entries
    }
}
