import BlobEngine
import RepoBase
import Testing

@testable import Repository

/// A new version that is followed along its earlier one is cut as if there were none: its list then has the same id.
@Suite struct FollowedVersionTests {
    private let world: CheckedRepository
    private let repository: OpenRepository
    /// More than the ring of one thread holds.
    private static let original = bytes(Pipeline.ringCapacity(threads: 1) + (1 << 20) + 4321, seed: 1)

    init() throws {
        world = try CheckedRepository()
        repository = try world.open()
    }

    enum Change: CaseIterable {
        case none, oneByte, firstByte, lastByte, insertion, removal, append, cut, empty, halvesSwapped, repeated, everywhere, fewPlaces
        case sameLengthElsewhere
    }

    private static func changed(_ change: Change) -> [UInt8] {
        var content = original
        let middle = content.count / 2
        switch change {
        case .none: break
        case .oneByte: content[middle] ^= 1
        case .firstByte: content[0] ^= 1
        case .lastByte: content[content.count - 1] ^= 1
        case .insertion: content.insert(contentsOf: bytes(100_001, seed: 2), at: middle / 3)
        case .removal: content.removeSubrange(middle / 4..<middle / 4 + 70_000)
        case .append: content += bytes(300_000, seed: 3)
        case .cut: content.removeLast(content.count / 3)
        case .empty: content = []
        case .halvesSwapped: content = Array(content[middle...] + content[..<middle])
        case .repeated: content = Array(content[..<(middle / 2)] + content[..<(middle / 2)] + content[(middle / 2)...])
        case .everywhere: for at in stride(from: 5000, to: content.count, by: 9000) { content[at] ^= 1 }
        case .fewPlaces:
            for at in stride(from: 2_000_000, to: content.count - 100, by: 3_000_000) { content.replaceSubrange(at..<at + 3, with: [1, 2, 3, 4]) }
        case .sameLengthElsewhere: content = bytes(content.count, seed: 4)
        }
        return content
    }

    @Test(arguments: Change.allCases, [1, 3])
    func cutsAreThoseOfAContentWithoutOne(change: Change, threads: Int) throws {
        defer { world.remove() }
        let before = try store(Self.original, previous: nil, threads: threads)
        let content = Self.changed(change)
        let followed = try store(content, previous: before.content, threads: threads)
        let alone = try store(content, previous: nil, threads: threads)
        #expect(followed.content == alone.content)
        let reader = BlobReader(repository)
        try ContentWalk.entries(of: followed.content, size: UInt64(content.count), reader) { chunk, offset in
            let buffer = try reader.read(try #require(chunk.id), .chunk)
            let isSame = content.withUnsafeBytes { content in
                withExtendedLifetime(buffer) { memoryIsEqual(content.baseAddress! + Int(offset), buffer.bytes) }
            }
            #expect(isSame)
            return true
        }
        switch change {
        case .none, .lastByte, .append, .cut:
            #expect(followed.scanned < alone.scanned / 8, "an unchanged beginning was scanned: \(followed.scanned) bytes")
        case .oneByte:
            // What is left of its batch.
            #expect(followed.scanned < alone.scanned * 3 / 4, "\(followed.scanned) bytes were scanned")
        default: break
        }
    }

    /// The end of the first batch's last chunk is no cut any more: the second batch's chunks are all there, and begin where none does.
    @Test(arguments: [1, 3]) func expectedChunksBehindALostCutAreCutAnew(threads: Int) throws {
        defer { world.remove() }
        let before = try store(Self.original, previous: nil, threads: threads)
        var end = 0
        var count = 0
        try ContentWalk.entries(of: before.content, size: UInt64(Self.original.count), BlobReader(repository)) { chunk, _ in
            end += Int(chunk.length)
            count += 1
            return end < ChunkBatcher.maximumBytes && count < ChunkBatcher.maximumCount
        }
        var content = Self.original
        content[end - 1] ^= 1
        let followed = try store(content, previous: before.content, threads: threads)
        let alone = try store(content, previous: nil, threads: threads)
        #expect(followed.content == alone.content)
    }

    /// Where bytes were inserted, the chunks behind them are found again at their new places.
    @Test func aShiftedContentIsFollowedAgain() throws {
        defer { world.remove() }
        let ring = Pipeline.ringCapacity(threads: 1)
        let original = Self.bytes(3 * ring, seed: 5)
        let before = try store(original, previous: nil, threads: 1)
        let content = Array(original[..<1_000_000] + Self.bytes(77_777, seed: 6) + original[1_000_000...])
        let followed = try store(content, previous: before.content, threads: 1)
        let alone = try store(content, previous: nil, threads: 1)
        #expect(followed.content == alone.content)
        #expect(followed.scanned < ring * 5 / 4, "\(followed.scanned) bytes were scanned")
    }

    /// An earlier version that was stored page by page says nothing of where cuts are.
    @Test func pagesAreNoCuts() throws {
        defer { world.remove() }
        let content = Array(Self.original[..<(6 << 20)])
        let pages = try store(content, previous: nil, threads: 2, shape: .pageAligned)
        let followed = try store(content, previous: pages.content, threads: 2)
        let alone = try store(content, previous: nil, threads: 2)
        #expect(followed.content == alone.content)
    }

    /// Nor do lists whose chunks end anywhere, whoever wrote them.
    @Test func aListOfOtherCutsIsNotFollowed() throws {
        defer { world.remove() }
        let content = Array(Self.original[..<(6 << 20)])
        let alone = try store(content, previous: nil, threads: 2)
        let writer = try SnapshotWriter(repository)
        var entries: [ContentList.Entry] = []
        let size = 20_000
        for start in stride(from: 0, to: content.count, by: size) {
            let part = content[start..<min(start + size, content.count)]
            let id = part.withUnsafeBytes { repository.blobHasher.id(.chunk, $0) }
            entries.append(ContentList.Entry(length: UInt64(part.count), id: id, sketch: Sketch([7, 8, 9])))
        }
        let list = ContentList(level: 0, entries: entries).encode()
        let sink = writer.pipeline.sink
        let lane = sink.makeLane()
        let id = try list.withUnsafeBytes { try sink.store(.list, $0, lane: lane) }
        for start in stride(from: 0, to: content.count, by: size) {
            _ = try content[start..<min(start + size, content.count)].withUnsafeBytes { try sink.store(.chunk, $0, lane: lane) }
        }
        _ = try finish(writer, nil)
        let followed = try store(content, previous: .list(id), threads: 2)
        #expect(followed.content == alone.content)
        #expect(followed.scanned >= content.count)
    }

    // MARK: -

    private func store(
        _ input: [UInt8], previous: Content?, threads: Int, shape: ContentShape = .contentDefined
    ) throws -> (content: Content, scanned: Int) {
        var options = SnapshotOptions()
        options.threads = threads
        let writer = try SnapshotWriter(repository, options: options)
        try writer.enterDirectory([], Self.directory)
        let feed = writer.beginContent(shape, previous: previous)
        var position = 0
        var random: UInt64 = 99
        while position < input.count {
            position += try feed.read { space in
                // Pipes deliver what they have.
                random = random &* 6_364_136_223_846_793_005 &+ 1
                let part = min(space.count, input.count - position, 1 + Int(random >> 43))
                space.copyBytes(from: input[position..<position + part])
                return part
            }
        }
        let scanned = writer.pipeline.scannedBytes
        let content = try finish(writer, feed.finish())
        return (content, scanned.withLock { $0 })
    }

    private func finish(_ writer: SnapshotWriter, _ content: PendingContent?) throws -> Content {
        if content == nil { try writer.enterDirectory([], Self.directory) }
        if let content {
            var file = Self.directory
            file.type = .regular
            try writer.add(TreeEntry(name: [97], metadata: file, payload: .file(.empty)), content: content)
        }
        try writer.leaveDirectory()
        let root = try writer.commit { root, _ in
            Snapshot(time: FileTime(seconds: 1, nanoseconds: 0), source: "a", kind: "stdin", root: root)
        }.snapshot.root
        var cursor = try TreeCursor(root, BlobReader(repository))
        return try cursor.next()?.content ?? .empty
    }

    private static let directory = FileMetadata(
        type: .directory, permissions: 0o700, userID: 0, groupID: 0, size: 0, linkCount: 1, device: 0, inode: 0,
        modificationTime: FileTime(seconds: 0, nanoseconds: 0), changeTime: FileTime(seconds: 0, nanoseconds: 0))

    private static func bytes(_ count: Int, seed: UInt64) -> [UInt8] {
        var state = seed &* 0x9E37_79B9_7F4A_7C15
        return [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            for index in 0..<count {
                state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                buffer[index] = UInt8(truncatingIfNeeded: state >> 56)
            }
            filled = count
        }
    }
}
