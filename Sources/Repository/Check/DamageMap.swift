import BlobEngine
import RepoBase

/// Which snapshots and paths are hurt by what is known to be damaged or missing.
///
/// Walks every snapshot; what was found whole in one is not entered again in the next.
struct DamageMap {
    /// What an object's damage does.
    struct Harm {
        var snapshots: [ObjectID] = []
        var paths: [[UInt8]] = []

        mutating func note(_ snapshot: ObjectID, _ path: [UInt8]) {
            if snapshots.last != snapshot { snapshots.append(snapshot) }
            if paths.count < Damage.pathLimit, paths.last != path, !paths.contains(path) {
                paths.append(path)
            }
        }

        mutating func add(_ snapshot: ObjectID, _ others: [[UInt8]]) {
            if !snapshots.contains(snapshot) { snapshots.append(snapshot) }
            for path in others where paths.count < Damage.pathLimit && !paths.contains(path) { paths.append(path) }
        }
    }

    private struct Child {
        let name: [UInt8]
        let reference: Reachability.Reference

        var id: BlobID { reference.id }
        var type: BlobType { reference.type }
    }

    private struct Frame {
        let id: BlobID
        let row: PackNumbering.Row?
        let name: [UInt8]
        let children: [Child]
        var next = 0
        var isHurt = false
    }

    private let numbering: PackNumbering
    private let reader: BlobReader
    private let badPacks: Set<UInt32>
    private var badCopies: Set<DataCheck.BadCopy>
    private var clean: BlobBitmap
    private var references = ReferenceCheck()
    /// By object.
    private(set) var harm: [String: Harm] = [:]
    /// What trees and lists in packs say wrongly of others, by the packs: the first of each.
    private(set) var flaws: [String: String] = [:]

    init(
        _ repository: OpenRepository, _ numbering: PackNumbering, badPacks: Set<UInt32>,
        badCopies: Set<DataCheck.BadCopy>
    ) {
        self.numbering = numbering
        self.badPacks = badPacks
        self.badCopies = badCopies
        reader = BlobReader(repository)
        clean = BlobBitmap(numbering.view)
    }

    mutating func walk(_ snapshots: [SnapshotCatalog.Entry]) throws {
        for snapshot in snapshots { try walk(snapshot.id, root: snapshot.snapshot.root) }
        joinNames()
    }

    /// A missing blob is known by its first 8 bytes where a delta rests on it, and by all of its id where a tree or list names it: one blob,
    /// told of once.
    private mutating func joinNames() {
        for (short, shorter) in harm where short.hasSuffix("…") {
            let whole = harm.keys.first { $0 != short && $0.hasPrefix(short.dropLast()) }
            guard let whole else { continue }
            harm[short] = nil
            for snapshot in shorter.snapshots { harm[whole]?.add(snapshot, shorter.paths) }
        }
    }

    /// The objects on whose account no copy of a blob serves; empty when one does.
    func causes(_ id: BlobID, depth: Int = 0) -> Set<String> {
        causes(numbering.copies(id), orMissing: "blob \(id)", depth: depth)
    }

    private func causes(_ copies: [PackNumbering.Copy], orMissing name: String, depth: Int) -> Set<String> {
        guard !copies.isEmpty, depth < BlobReader.maximumChain else { return [name] }
        var causes: Set<String> = []
        for copy in copies {
            let place = DataCheck.BadCopy(pack: copy.pack, ordinal: copy.record.ordinal)
            var own: Set<String> = []
            for position in 0..<copy.record.bases.count {
                let prefix = copy.record.bases[position]
                own.formUnion(
                    self.causes(
                        numbering.baseCopies(prefix),
                        orMissing: "blob \(Hexadecimal.encode(Self.digits(prefix)))…",
                        depth: depth + 1))
            }
            if own.isEmpty, badPacks.contains(copy.pack) || badCopies.contains(place) {
                own.insert("\(PackObject.key(numbering.packs[Int(copy.pack)].id))")
            } else if badPacks.contains(copy.pack) {
                own.insert("\(PackObject.key(numbering.packs[Int(copy.pack)].id))")
            }
            if own.isEmpty { return [] }
            causes.formUnion(own)
        }
        return causes
    }

    private static func digits(_ prefix: UInt64) -> [UInt8] {
        withUnsafeBytes(of: prefix.bigEndian) { Array($0) }
    }

    private mutating func walk(_ snapshot: ObjectID, root: BlobID) throws {
        var stack: [Frame] = []
        guard try !enter(Child(name: [], reference: .init(id: root, type: .tree)), snapshot, &stack) else { return }
        while let top = stack.indices.last {
            guard stack[top].next < stack[top].children.count else {
                let frame = stack.removeLast()
                if frame.isHurt {
                    if let parent = stack.indices.last { stack[parent].isHurt = true }
                } else if let row = frame.row {
                    _ = clean.insert(row)
                }
                continue
            }
            let child = stack[top].children[stack[top].next]
            stack[top].next += 1
            if try enter(child, snapshot, &stack) { stack[top].isHurt = true }
        }
    }

    /// Puts a tree or list that reads on the stack. True when the blob is lost, which is noted.
    private mutating func enter(_ child: Child, _ snapshot: ObjectID, _ stack: inout [Frame]) throws -> Bool {
        let causes = causes(child.id)
        guard causes.isEmpty else {
            note(causes, snapshot, child, stack)
            return true
        }
        if let flaw = numbering.copies(child.id).first.flatMap({ ReferenceCheck.flaw(of: child.reference, $0.record) }) {
            note(flaw, of: stack.last?.id ?? child.id, snapshot, child, stack)
            return true
        }
        if child.type == .chunk { return false }
        let row = numbering.firstRow(child.id)
        if let row, clean.contains(row) { return child.type == .list && contradicts(child, snapshot, stack) }
        do {
            let children = try children(child)
            if contradicts(child, snapshot, stack) { return true }
            stack.append(Frame(id: child.id, row: row, name: child.name, children: children))
            return false
        } catch let error as RepoError where error.code == .damaged {
            let copies = numbering.copies(child.id)
            for copy in copies {
                badCopies.insert(DataCheck.BadCopy(pack: copy.pack, ordinal: copy.record.ordinal))
            }
            note(packs(of: child.id), snapshot, child, stack)
            return true
        }
    }

    /// The objects that hold a blob, or its name where there is none.
    private func packs(of id: BlobID) -> Set<String> {
        let copies = numbering.copies(id)
        return copies.isEmpty ? ["blob \(id)"] : Set(copies.map { "\(PackObject.key(numbering.packs[Int($0.pack)].id))" })
    }

    /// Whether a list that reads is otherwise than what names it says, or a directory than its parts; it is noted.
    private mutating func contradicts(_ child: Child, _ snapshot: ObjectID, _ stack: [Frame]) -> Bool {
        if child.type == .list {
            guard let flaw = references.flaw(of: child.reference) else { return false }
            note(flaw, of: stack.last?.id ?? child.id, snapshot, child, stack)
            return true
        }
        guard !child.reference.isPart, let flaw = ReferenceCheck.flaw(ofDirectory: child.id, reader) else { return false }
        note(flaw, of: child.id, snapshot, child, stack)
        return true
    }

    private mutating func note(_ flaw: String, of blob: BlobID, _ snapshot: ObjectID, _ child: Child, _ stack: [Frame]) {
        let objects = packs(of: blob)
        for object in objects where flaws[object] == nil { flaws[object] = "blob \(blob) in it says of others what they are not: \(flaw)" }
        note(objects, snapshot, child, stack)
    }

    private mutating func note(_ objects: Set<String>, _ snapshot: ObjectID, _ child: Child, _ stack: [Frame])
    {
        var path: [UInt8] = []
        for name in stack.map(\.name) + [child.name] where !name.isEmpty {
            path.append(UInt8(ascii: "/"))
            path += name
        }
        for object in objects {
            harm[object, default: Harm()].note(snapshot, path.isEmpty ? [UInt8(ascii: "/")] : path)
        }
    }

    private mutating func children(_ blob: Child) throws -> [Child] {
        if blob.type == .list {
            let list = try ContentList.decode(try reader.bytes(blob.id, .list), object: "list \(blob.id)")
            references.note(list, blob.id)
            return list.entries.compactMap { entry in
                entry.id.map { id in
                    Child(
                        name: [],
                        reference: list.level == 0
                            ? .init(id: id, type: .chunk, length: entry.length) : .init(id: id, type: .list, length: entry.length, level: list.level - 1))
                }
            }
        }
        switch try TreeCodec.decode(try reader.bytes(blob.id, .tree), object: "tree \(blob.id)") {
        case .branch(let parts): return parts.map { Child(name: [], reference: .init(id: $0.id, type: .tree, isPart: true)) }
        case .leaf(let entries):
            return entries.compactMap { entry in
                let size = entry.metadata.size
                return switch entry.payload {
                case .directory(let id): Child(name: entry.name, reference: .init(id: id, type: .tree))
                case .file(.chunk(let id)): Child(name: entry.name, reference: .init(id: id, type: .chunk, length: size))
                case .file(.list(let id)): Child(name: entry.name, reference: .init(id: id, type: .list, length: size))
                case .file(.empty), .symbolicLink, .special: nil
                }
            }
        }
    }
}
