import BlobEngine
import RepoBase

/// Reads a snapshot that was copied before, and its copy, side by side: what has not changed since is called there what it was called.
///
/// The copy mirrors the snapshot blob for blob, but for the ids, so entries belong together by their place. What does not read in either, or
/// does not fit, is passed over: it is then copied as if it were new.
final class EarlierCopy {
    private let destination: OpenRepository
    private let here: BlobReader
    private let there: BlobReader
    /// Whether everything that the index there names stays: then a root that is there has all it needs.
    private let isLasting: Bool

    /// - Parameter looksAtEach: whether blobs may be missing there for another reason than a collection.
    init(_ source: OpenRepository, _ destination: OpenRepository, looksAtEach: Bool = false) {
        self.destination = destination
        here = BlobReader(source)
        there = BlobReader(destination)
        isLasting = !looksAtEach && (try? destination.index().isLasting) ?? false
    }

    /// What a directory, or a part of one, held.
    struct Pairs {
        typealias Pair = (source: BlobID, destination: BlobID)

        /// Chunks that are a file's whole content.
        var ids: [BlobID: BlobID] = [:]
        fileprivate var directories: [[UInt8]: Pair] = [:]
        fileprivate var contents: [[UInt8]: Pair] = [:]
        fileprivate var parts: [(firstName: [UInt8], pair: Pair)] = []

        func directory(_ name: [UInt8]) -> Pair? { directories[name] }
        func content(_ name: [UInt8]) -> Pair? { contents[name] }

        /// The same part, or the one whose names it shares.
        func part(_ part: TreeNode.Branch) -> Pair? {
            if let same = parts.first(where: { $0.pair.source == part.id }) { return same.pair }
            return (parts.last { !isBefore(part.firstName, $0.firstName) } ?? parts.first)?.pair
        }
    }

    /// - Parameter node: what is copied; only what it has is taken.
    func pairs(_ pair: Pairs.Pair?, below node: TreeNode) -> Pairs {
        var pairs = Pairs()
        guard let pair, let old = try? tree(pair.source, here), let copy = try? tree(pair.destination, there) else { return pairs }
        switch (old, copy, node) {
        case (.leaf(let old), .leaf(let copy), .leaf) where old.count == copy.count:
            for (old, copy) in zip(old, copy) where old.name == copy.name {
                switch (old.payload, copy.payload) {
                case (.directory(let source), .directory(let destination)): pairs.directories[old.name] = (source, destination)
                case (.file(.chunk(let source)), .file(.chunk(let destination))): pairs.ids[source] = destination
                case (.file(.list(let source)), .file(.list(let destination))): pairs.contents[old.name] = (source, destination)
                default: continue
                }
            }
        case (.branch(let old), .branch(let copy), .branch) where old.count == copy.count:
            for (old, copy) in zip(old, copy) where old.firstName == copy.firstName {
                pairs.parts.append((old.firstName, (old.id, copy.id)))
            }
        default: break
        }
        return pairs
    }

    private func tree(_ id: BlobID, _ reader: BlobReader) throws -> TreeNode {
        try TreeCodec.decode(try reader.bytes(id, .tree), object: "tree \(id)")
    }

    /// The entries of a list and of its copy, in their order, holes left out.
    func lists(_ pair: Pairs.Pair?) -> [Pairs.Pair] {
        guard let pair, let old = try? list(pair.source, here), let copy = try? list(pair.destination, there),
            old.level == copy.level, old.entries.map(\.length) == copy.entries.map(\.length)
        else { return [] }
        return zip(old.entries, copy.entries).compactMap { old, copy in
            guard let source = old.id, let destination = copy.id else { return nil }
            return (source, destination)
        }
    }

    private func list(_ id: BlobID, _ reader: BlobReader) throws -> ContentList {
        try ContentList.decode(try reader.bytes(id, .list), object: "list \(id)")
    }

    /// Whether a tree or list of the copy may be taken with all that is below it. The copy's root was there after the index was loaded, so
    /// nothing of it can have been condemned before; where something is condemned or missing all the same, each blob is looked at
    /// (docs/copies.md).
    func isWhole(_ id: BlobID, _ type: BlobType) throws -> Bool {
        let index = try destination.index()
        guard index.containsForDeduplication(id) else { return false }
        if isLasting { return true }
        struct Absent: Error {}
        var seen: Set<BlobID> = []
        func look(_ blob: BlobID, _ type: BlobType) throws -> Bool {
            guard index.containsForDeduplication(blob) else { throw Absent() }
            return type != .chunk && seen.insert(blob).inserted
        }
        do {
            if type == .tree {
                try Reachability.walk(roots: [id], destination, reader: there, onProblem: { _ in throw Absent() }, visit: look)
            } else {
                guard try look(id, .list) else { return true }
                try ContentWalk.lists(of: .list(id), there) { list, content, _ in
                    guard index.containsForDeduplication(list) else { throw Absent() }
                    for entry in content.entries {
                        if let chunk = entry.id { _ = try look(chunk, .chunk) }
                    }
                    return true
                }
            }
            return true
        } catch is Absent {
            return false
        } catch let error as RepoError where error.code == .damaged {
            return false
        }
    }
}
