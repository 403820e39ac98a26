@testable import BlobEngine
import RepoBase
@testable import Repository

/// What a forged repository is made of before anything is changed: some blobs of every type, each resting on those before it, and a snapshot.
///
/// Whoever changes a part changes its id; what names it further on then names the new one, so that a changed part is reached.
struct ForgedParts {
    struct Blob {
        let type: BlobType
        let encoding: BlobEncoding
        /// Places of the blobs that a delta rests on.
        let bases: [Int]
        var plaintext: [UInt8]
        /// As the parts after it name it.
        var id: BlobID
    }

    /// Bases before deltas, chunks before lists, the root last.
    private(set) var blobs: [Blob] = []
    private(set) var snapshot: [UInt8] = []
    private let hasher: BlobHasher

    init(_ hasher: BlobHasher) {
        self.hasher = hasher
        let text = (0..<40).flatMap { Array("row \($0 &* 2_654_435_761 % 1_000_003)\n".utf8) }
        var changed = text
        for at in stride(from: 0, to: changed.count, by: 97) { changed[at] ^= 5 }
        let first = add(.chunk, .plain, text)
        let second = add(.chunk, .delta, changed, bases: [first])
        let zeros = add(.chunk, .zstd, [UInt8](repeating: 0, count: 3000))
        let both = add(.chunk, .delta, text + changed, bases: [first, second])
        let short = list(0, [entry(first), entry(second), .init(length: 5000, id: nil), entry(zeros)])
        let sketched = list(
            0, [.init(length: UInt64(text.count), id: blobs[first].id, sketch: Sketch([3, 5, 7])), entry(both)])
        let long = list(1, [entry(short), entry(sketched)])
        let below = tree([
            file("deep", .list(blobs[long].id), size(long)), file("empty", .empty, 0), file("hard", .chunk(blobs[first].id), size(first), links: 2),
            other("link", .symbolicLink, .symbolicLink(target: Array("../a".utf8))), other("pipe", .fifo, .special),
            file("xattr", .chunk(blobs[zeros].id), size(zeros), attributes: [.init(name: Array("user.a".utf8), value: [1, 2, 3])]),
        ])
        let front = tree([file("a", .chunk(blobs[both].id), size(both)), file("hard", .chunk(blobs[first].id), size(first), links: 2)])
        let back = tree([
            other("sub", .directory, .directory(blobs[below].id)), file("z", .list(blobs[short].id), size(short), pageAligned: true),
        ])
        let parts = [(front, "a", 2), (back, "sub", 2)].map { part, name, count in
            TreeNode.Branch(firstName: Array(name.utf8), entryCount: UInt64(count), id: blobs[part].id)
        }
        let root = add(.tree, .zstd, TreeCodec.encode(branch: parts))
        var taken = Snapshot(time: FileTime(seconds: 1_700_000_000, nanoseconds: 0), source: "files", kind: "files", root: blobs[root].id)
        taken.host = "host"
        taken.tags = ["K=V"]
        taken.paths = [Array("/sub".utf8)]
        taken.problems = [SnapshotProblem(path: Array("/sub/gone".utf8), message: "it vanished")]
        snapshot = taken.encoded()
    }

    // MARK: - Changing

    /// Changes the plaintext of one; what comes after it names it by its new id.
    mutating func change(_ number: Int, _ body: (inout [UInt8]) -> Void) {
        body(&blobs[number].plaintext)
        let (old, new) = (blobs[number].id, blobs[number].plaintext.withUnsafeBytes { hasher.id(blobs[number].type, $0) })
        guard old != new else { return }
        blobs[number].id = new
        for later in blobs.indices.dropFirst(number + 1) { Self.replace(old.bytes, new.bytes, in: &blobs[later].plaintext) }
        Self.replace(old.bytes, new.bytes, in: &snapshot)
        // The ids of those that name it are as old as before: each is changed in its turn, also where nothing else is.
    }

    mutating func changeSnapshot(_ body: (inout [UInt8]) -> Void) { body(&snapshot) }

    private static func replace(_ old: [UInt8], _ new: [UInt8], in bytes: inout [UInt8]) {
        var at = 0
        while at + old.count <= bytes.count {
            if bytes[at] == old[0], bytes[at..<at + old.count].elementsEqual(old) {
                bytes.replaceSubrange(at..<at + old.count, with: new)
                at += old.count
            } else {
                at += 1
            }
        }
    }

    // MARK: - Making

    @discardableResult
    private mutating func add(_ type: BlobType, _ encoding: BlobEncoding, _ plaintext: [UInt8], bases: [Int] = []) -> Int {
        blobs.append(
            Blob(type: type, encoding: encoding, bases: bases, plaintext: plaintext, id: plaintext.withUnsafeBytes { hasher.id(type, $0) }))
        return blobs.count - 1
    }

    private mutating func list(_ level: UInt8, _ entries: [ContentList.Entry]) -> Int {
        add(.list, .plain, ContentList(level: level, entries: entries).encode())
    }

    private mutating func tree(_ entries: [TreeEntry]) -> Int { add(.tree, .plain, TreeCodec.encode(leaf: entries)) }

    private func entry(_ number: Int) -> ContentList.Entry { .init(length: size(number), id: blobs[number].id) }

    /// Bytes of content.
    private func size(_ number: Int) -> UInt64 {
        guard blobs[number].type == .list, let list = try? ContentList.decode(blobs[number].plaintext, object: "list") else {
            return UInt64(blobs[number].plaintext.count)
        }
        return list.entries.reduce(0) { $0 + $1.length }
    }

    private func file(
        _ name: String, _ content: Content, _ size: UInt64, links: UInt64 = 1, attributes: [ExtendedAttribute] = [], pageAligned: Bool = false
    ) -> TreeEntry {
        var metadata = Self.metadata(.regular, links: links)
        (metadata.size, metadata.extendedAttributes) = (size, attributes)
        return TreeEntry(name: Array(name.utf8), metadata: metadata, payload: .file(content), isPageAligned: pageAligned)
    }

    private func other(_ name: String, _ type: FileType, _ payload: TreeEntry.Payload) -> TreeEntry {
        TreeEntry(name: Array(name.utf8), metadata: Self.metadata(type, links: 1), payload: payload)
    }

    private static func metadata(_ type: FileType, links: UInt64) -> FileMetadata {
        let time = FileTime(seconds: 1_600_000_000, nanoseconds: 5)
        return FileMetadata(
            type: type, permissions: 0o700, userID: 0, groupID: 0, userName: Array("root".utf8), size: 0, linkCount: links, device: 1, inode: 7,
            modificationTime: time, changeTime: time)
    }
}
