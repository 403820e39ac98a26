import BlobEngine
import RepoBase
import Testing

@testable import Repository

@Suite struct CutPointTests {
    /// The stream is longer than the ring, so segments begin the ring anew: what the scanner sees before such a segment
    /// must be the end of the segment before it. It was what lay in memory before the ring, or nothing at all.
    @Test(arguments: [1, 2, 3])
    func chunksOfALongStreamAreThoseOfTheCutterAlone(threads: Int) throws {
        let world = try CheckedRepository()
        defer { world.remove() }
        let repository = try world.open()
        let count = Pipeline.ringCapacity(threads: 4) * 2 + 12_345
        let input = Self.bytes(count)

        var options = SnapshotOptions()
        options.threads = threads
        let writer = try SnapshotWriter(repository, options: options)
        let metadata = FileMetadata(
            type: .directory, permissions: 0o700, userID: 0, groupID: 0, size: 0, linkCount: 1, device: 0, inode: 0,
            modificationTime: FileTime(seconds: 0, nanoseconds: 0), changeTime: FileTime(seconds: 0, nanoseconds: 0))
        try writer.enterDirectory([], metadata)
        let feed = writer.beginContent(.contentDefined, previous: nil)
        var position = 0
        while position < count {
            position += try feed.read { space in
                let part = min(space.count, count - position)
                space.copyBytes(from: input[position..<position + part])
                return part
            }
        }
        var file = metadata
        file.type = .regular
        try writer.add(
            TreeEntry(name: [97], metadata: file, payload: .file(.empty)), content: feed.finish())
        try writer.leaveDirectory()
        let root = try writer.commit { root, _ in
            Snapshot(time: FileTime(seconds: 1, nanoseconds: 0), source: "a", kind: "stdin", root: root)
        }.snapshot.root

        let reader = BlobReader(repository)
        var cursor = try TreeCursor(root, reader)
        let entry = try #require(try cursor.next())
        var lengths: [Int] = []
        var ids: [BlobID] = []
        try ContentWalk.entries(of: try #require(entry.content), size: entry.metadata.size, reader) { chunk, _ in
            lengths.append(Int(chunk.length))
            ids.append(try #require(chunk.id))
            return true
        }
        #expect(lengths == Self.lengths(input, repository))
        var at = 0
        for (length, id) in zip(lengths, ids) {
            let expected = input[at..<at + length].withUnsafeBytes { repository.blobHasher.id(.chunk, $0) }
            #expect(id == expected)
            at += length
        }
    }

    /// The whole content in one piece through the cutter.
    private static func lengths(_ input: [UInt8], _ repository: OpenRepository) -> [Int] {
        let gear = GearTable(chunkerSecret: repository.keys.chunkerSecret.bytes)
        var candidates = CandidateBuffer()
        input.withUnsafeBufferPointer {
            CandidateScanner.scan(gear, base: $0.baseAddress!, count: $0.count, before: 0, into: &candidates)
        }
        var cutter = ChunkCutter(profile: repository.chunkProfile, key: GearTable(chunkerSecret: repository.keys.chunkerSecret.bytes).cutKey)
        var lengths: [Int] = []
        cutter.feed(candidates: candidates, segmentLength: input.count, isLast: true) { lengths.append($0.length) }
        return lengths
    }

    private static func bytes(_ count: Int) -> [UInt8] {
        var state: UInt64 = 0x9E37_79B9_7F4A_7C15
        return [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            for index in 0..<count {
                state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                buffer[index] = UInt8(truncatingIfNeeded: state >> 56)
            }
            filled = count
        }
    }
}
