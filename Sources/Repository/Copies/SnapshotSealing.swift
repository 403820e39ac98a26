import BlobEngine
import RepoBase

/// Stores what one snapshot needs in a repository with other keys: chunks are read, verified and sealed under the ids that they have there, and
/// lists and trees are written anew, since they hold ids.
///
/// What has not changed since the snapshot before, which was copied, is found by going down both side by side, and is not read. Memory: the
/// directories from the root to where it is, and a list of each level.
final class SnapshotSealing {
    let source: OpenRepository
    let destination: OpenRepository
    let known: KnownBlobs
    let sink: BlobSink
    let chunks: ChunkSealing
    let reader: BlobReader
    let lane: BlobSink.Lane
    private let earlier: EarlierCopy

    /// - Parameter looksAtEach: whether something may be missing there of a snapshot that is.
    init(
        _ source: OpenRepository, _ destination: OpenRepository, known: KnownBlobs, looksAtEach: Bool = false, progress: CopyProgress
    ) throws {
        (self.source, self.destination, self.known) = (source, destination, known)
        sink = BlobSink(destination, compressionLevel: BlobCoder.defaultLevel)
        lane = sink.makeLane()
        reader = BlobReader(source)
        chunks = ChunkSealing(source, destination, sink: sink, known: known, progress: progress)
        earlier = EarlierCopy(source, destination, looksAtEach: looksAtEach)
    }

    /// A directory, or a part of one, that is being rewritten. Its ids become the other repository's from the first on.
    private struct Frame {
        let id: BlobID
        var node: TreeNode
        var position = 0
        let pairs: EarlierCopy.Pairs
    }

    /// - Parameter earlier: the roots of the snapshot before and of its copy.
    /// Returns the root's id there. Throws `.damaged` where something does not read here.
    func copy(_ root: BlobID, earlier pair: (source: BlobID, destination: BlobID)?) throws -> BlobID {
        if let found = try unchanged(root, .tree, pair) { return found }
        // Directories wait on a stack of our own: trees may be as deep as paths are long.
        var stack = [try frame(root, pair)]
        while true {
            guard let (child, pair) = try advance(&stack[stack.count - 1]) else {
                let done = stack.removeLast()
                let bytes =
                    switch done.node {
                    case .leaf(let entries): TreeCodec.encode(leaf: entries)
                    case .branch(let parts): TreeCodec.encode(branch: parts)
                    }
                let id = try bytes.withUnsafeBytes { try sink.store(.tree, $0, lane: lane) }
                known.note(done.id, as: id)
                try chunks.indexFinishedPacks()
                guard !stack.isEmpty else { return id }
                Self.assign(id, to: &stack[stack.count - 1])
                continue
            }
            if let found = try unchanged(child, .tree, pair) {
                Self.assign(found, to: &stack[stack.count - 1])
            } else {
                stack.append(try frame(child, pair))
            }
        }
    }

    private func frame(_ id: BlobID, _ pair: (source: BlobID, destination: BlobID)?) throws -> Frame {
        let node = try TreeCodec.decode(try reader.bytes(id, .tree), object: "tree \(id)")
        let pairs = earlier.pairs(pair, below: node)
        if case .leaf(let entries) = node {
            // Small files are one chunk each: all of a directory at once.
            let contents = entries.compactMap { entry -> BlobID? in
                guard case .chunk(let chunk)? = entry.content else { return nil }
                return chunk
            }
            try chunks.copy(contents, pairs: pairs.ids)
        }
        return Frame(id: id, node: node, pairs: pairs)
    }

    /// Goes through a directory until it meets one below it, which it returns with what it was before; nil at the end.
    private func advance(_ frame: inout Frame) throws -> (BlobID, (source: BlobID, destination: BlobID)?)? {
        switch frame.node {
        case .branch(let parts):
            guard frame.position < parts.count else { return nil }
            return (parts[frame.position].id, frame.pairs.part(parts[frame.position]))
        case .leaf(var entries):
            // Held by this variable alone while it is changed.
            frame.node = .leaf([])
            defer { frame.node = .leaf(entries) }
            while frame.position < entries.count {
                switch entries[frame.position].payload {
                case .directory(let id): return (id, frame.pairs.directory(entries[frame.position].name))
                case .file(let content):
                    let pair = frame.pairs.content(entries[frame.position].name)
                    entries[frame.position].payload = .file(try copy(content, pair))
                case .symbolicLink, .special: break
                }
                frame.position += 1
            }
            return nil
        }
    }

    private static func assign(_ id: BlobID, to frame: inout Frame) {
        switch frame.node {
        case .branch(var parts):
            frame.node = .branch([])
            let part = parts[frame.position]
            parts[frame.position] = TreeNode.Branch(firstName: part.firstName, entryCount: part.entryCount, id: id)
            frame.node = .branch(parts)
        case .leaf(var entries):
            frame.node = .leaf([])
            entries[frame.position].payload = .directory(id)
            frame.node = .leaf(entries)
        }
        frame.position += 1
    }

    /// The id there of a tree or list that is there with all below it.
    private func unchanged(
        _ id: BlobID, _ type: BlobType, _ pair: (source: BlobID, destination: BlobID)?
    ) throws -> BlobID? {
        if let found = known[id] { return found }
        guard let pair, pair.source == id, try earlier.isWhole(pair.destination, type) else { return nil }
        known.note(id, as: pair.destination)
        return pair.destination
    }

    // MARK: Contents

    private func copy(_ content: Content, _ pair: (source: BlobID, destination: BlobID)?) throws -> Content {
        switch content {
        case .empty: .empty
        case .chunk(let id): .chunk(try chunks.copy([id], pairs: [:])[0])
        case .list(let id): .list(try copyList(id, pair, level: nil))
        }
    }

    private func copyList(_ id: BlobID, _ pair: (source: BlobID, destination: BlobID)?, level: UInt8?) throws -> BlobID {
        if let found = try unchanged(id, .list, pair) { return found }
        var list = try ContentList.decode(try reader.bytes(id, .list), object: "list \(id)")
        if let level, list.level != level { throw RepoError.damaged("list \(id)", "it has the wrong level") }
        let before = earlier.lists(pair)
        if list.level == 0 {
            var ids: [BlobID: BlobID] = [:]
            for (old, new) in before { ids[old] = new }
            let copied = try chunks.copy(list.entries.compactMap(\.id), pairs: ids)
            var next = 0
            for position in list.entries.indices where list.entries[position].id != nil {
                list.entries[position].id = copied[next]
                next += 1
            }
        } else {
            let level = list.level - 1
            var known: [BlobID: BlobID] = [:]
            for (old, new) in before { known[old] = new }
            for position in list.entries.indices {
                guard let child = list.entries[position].id else { throw RepoError.damaged("list \(id)", "it has holes above level 0") }
                // The same one where it is, else the one at its place.
                let pair = known[child].map { (source: child, destination: $0) } ?? (position < before.count ? before[position] : nil)
                list.entries[position].id = try copyList(child, pair, level: level)
            }
        }
        // What a writer rests the next version's list on, as `ListWriter` does.
        let bases = pair.map { [$0.destination] } ?? []
        let stored = try list.encode().withUnsafeBytes { try sink.store(.list, $0, lane: lane, bases: { bases }) }
        known.note(id, as: stored)
        return stored
    }
}
