import BlobEngine
import RepoBase
import Storage

/// The entries of a directory as far as they can be read: parts of a large one that are lost are passed over and counted.
struct LossyTreeCursor {
    private let reader: BlobReader
    private var stack: [BlobID] = []
    private var leaf: [TreeEntry] = []
    private var position = 0
    private var last: [UInt8]?
    /// Parts of the directory that do not read, and entries that are out of order.
    private(set) var lostParts = 0
    /// Not even its first blob reads.
    let isLost: Bool

    init(_ id: BlobID, _ reader: BlobReader) {
        self.reader = reader
        guard let node = Self.node(id, reader) else {
            isLost = true
            return
        }
        isLost = false
        take(node)
    }

    mutating func next() -> TreeEntry? {
        while true {
            while position < leaf.count {
                defer { position += 1 }
                let entry = leaf[position]
                // The writer needs ascending names; parts out of order are damage of another kind.
                if let last, !isBefore(last, entry.name) {
                    lostParts += 1
                    continue
                }
                last = entry.name
                return entry
            }
            guard let id = stack.popLast() else { return nil }
            guard let node = Self.node(id, reader) else {
                lostParts += 1
                continue
            }
            take(node)
        }
    }

    private mutating func take(_ node: TreeNode) {
        switch node {
        case .leaf(let entries):
            leaf = entries
            position = 0
        case .branch(let parts): stack += parts.reversed().map(\.id)
        }
    }

    private static func node(_ id: BlobID, _ reader: BlobReader) -> TreeNode? {
        guard let bytes = try? reader.bytes(id, .tree) else { return nil }
        return try? TreeCodec.decode(bytes, object: "tree \(id)")
    }
}

/// Whether contents and trees can be read, by looking up their chunks or by reading them. What was found whole is remembered. For one thread.
final class ContentCompleteness {
    private let index: IndexView
    private let numbering: PackNumbering
    private let reader: BlobReader
    private let verifiesData: Bool
    private let presentPacks: Set<ObjectID>
    private var known: BlobBitmap
    private var references = ReferenceCheck()

    init(_ repository: OpenRepository, verifiesData: Bool) throws {
        index = try repository.index()
        numbering = PackNumbering(index)
        reader = BlobReader(repository)
        self.verifiesData = verifiesData
        known = BlobBitmap(index)
        var present: Set<ObjectID> = []
        try repository.store.list(PackObject.prefix) { object in
            if let id = PackObject.id(object.key) { present.insert(id) }
        }
        presentPacks = present
    }

    /// - Parameter size: bytes that the content is said to have.
    func isComplete(_ content: Content, size: UInt64) throws -> Bool {
        switch content {
        case .empty: true
        case .chunk(let id): try isComplete(chunk: id, length: size)
        case .list(let id): try isComplete(list: Reachability.Reference(id: id, type: .list, length: size), depth: 0)
        }
    }

    private func isComplete(chunk id: BlobID, length: UInt64) throws -> Bool {
        guard isAsNamed(.init(id: id, type: .chunk, length: length)) else { return false }
        return try remembering(id) {
            guard isPresent(id, depth: 0) else { return false }
            guard verifiesData else { return true }
            do {
                _ = try reader.read(id, .chunk)
                return true
            } catch let error as RepoError where error.code == .damaged {
                return false
            }
        }
    }

    private func isAsNamed(_ reference: Reachability.Reference) -> Bool {
        guard let record = numbering.firstRow(reference.id).flatMap(numbering.copy)?.record else { return false }
        return ReferenceCheck.flaw(of: reference, record) == nil
    }

    /// In a pack that is there, with all that it rests on.
    private func isPresent(_ id: BlobID, depth: Int) -> Bool {
        guard depth < BlobReader.maximumChain else { return false }
        return numbering.copies(id).contains { copy in
            presentPacks.contains(numbering.packs[Int(copy.pack)].id)
                && (0..<copy.record.bases.count).allSatisfy { position in
                    index.candidates(prefix: copy.record.bases[position]).contains {
                        isPresent($0, depth: depth + 1)
                    }
                }
        }
    }

    private func isComplete(list reference: Reachability.Reference, depth: Int) throws -> Bool {
        guard depth <= ContentList.maximumLevel, isAsNamed(reference) else { return false }
        let id = reference.id
        let isWhole = try remembering(id) {
            guard let bytes = try? reader.bytes(id, .list),
                let list = try? ContentList.decode(bytes, object: "list \(id)")
            else { return false }
            references.note(list, id)
            return try list.entries.allSatisfy { entry in
                guard let below = entry.id else { return true }
                if list.level == 0 { return try isComplete(chunk: below, length: entry.length) }
                return try isComplete(list: .init(id: below, type: .list, length: entry.length, level: list.level - 1), depth: depth + 1)
            }
        }
        return isWhole && references.flaw(of: reference) == nil
    }

    /// A whole tree, directories below included.
    func isComplete(tree root: BlobID) throws -> Bool {
        var stack = [(id: root, isPart: false)]
        while let (id, isPart) = stack.popLast() {
            guard let bytes = try? reader.bytes(id, .tree),
                let node = try? TreeCodec.decode(bytes, object: "tree \(id)")
            else { return false }
            switch node {
            case .branch(let parts):
                guard isPart || ReferenceCheck.flaw(ofDirectory: id, reader) == nil else { return false }
                stack += parts.map { ($0.id, true) }
            case .leaf(let entries):
                for entry in entries {
                    switch entry.payload {
                    case .directory(let subtree): stack.append((subtree, false))
                    case .file(let content): guard try isComplete(content, size: entry.metadata.size) else { return false }
                    case .symbolicLink, .special: continue
                    }
                }
            }
        }
        return true
    }

    private func remembering(_ id: BlobID, _ body: () throws -> Bool) rethrows -> Bool {
        guard let row = numbering.firstRow(id) else { return false }
        if known.contains(row) { return true }
        guard try body() else { return false }
        _ = known.insert(row)
        return true
    }
}
