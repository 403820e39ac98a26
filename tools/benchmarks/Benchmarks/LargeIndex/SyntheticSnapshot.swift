import BlobEngine
import RepoBase
import Repository
import Storage

/// One snapshot over all the chunks: nine tenths of them in large files, the rest in files of one chunk.
struct SyntheticSnapshot {
    private static let segments = 20
    private static let chunksPerList = 4096
    private static let filesPerDirectory = 1000

    private let repository: OpenRepository
    private let blobs: Int
    private var packs: SyntheticPacks

    init(_ repository: OpenRepository, root: String, blobs: Int) {
        self.repository = repository
        self.blobs = blobs
        packs = SyntheticPacks(repository, root: root)
    }

    mutating func write() throws {
        var large: [(BlobID, size: UInt64)] = []
        var small: [BlobID] = []
        for number in 0..<Self.segments {
            let needed = try packs.storeSegment(blobs / Self.segments)
            if number % 10 == 9 { small += needed } else { large.append(try storeLists(needed)) }
        }
        try writeTree(large, small)
    }

    /// A large file of these chunks: its list and size.
    private func storeLists(_ chunks: [BlobID]) throws -> (BlobID, size: UInt64) {
        let buffer = AlignedBuffer(capacity: 64 << 20)
        let writer = PackWriter(buffer: buffer, epoch: repository.keys.currentEpoch)
        func store(_ list: ContentList) throws -> ContentList.Entry {
            let bytes = list.encode()
            let id = try bytes.withUnsafeBytes { bytes in
                let id = repository.blobHasher.id(.list, bytes)
                try writer.append(
                    id: id, type: .list, encoding: .plain, rawLength: UInt32(bytes.count), bases: BlobBases(), encoded: bytes)
                return id
            }
            return ContentList.Entry(length: list.entries.reduce(0) { $0 + $1.length }, id: id)
        }
        let lists = try stride(from: 0, to: chunks.count, by: Self.chunksPerList).map { start in
            let entries = chunks[start..<min(start + Self.chunksPerList, chunks.count)].map {
                ContentList.Entry(length: UInt64(SyntheticPacks.rawLength), id: $0)
            }
            return try store(ContentList(level: 0, entries: entries))
        }
        let top = try store(ContentList(level: 1, entries: lists))
        let pack = try writer.finish(signer: repository.keys.signer)
        try repository.store.put(StoreKey("packs/\("\(pack.record.id)".prefix(2))/\(pack.record.id)"), buffer.bytes, .create)
        let rows = pack.blobs.map { (pack: UInt32(0), record: $0) }.sorted { $0.record.id < $1.record.id }
        let segment = IndexSegment(replaces: [], packs: [pack.record], blobs: rows)
        let object = segment.encode(epoch: repository.keys.currentEpoch, signer: repository.keys.signer)
        try repository.store.put(StoreKey("index/\(ObjectHasher.hash(object))"), object, .create)
        return (top.id!, top.length)
    }

    private func writeTree(_ large: [(BlobID, size: UInt64)], _ small: [BlobID]) throws {
        let writer = try SnapshotWriter(repository)
        do {
            try writer.enterDirectory([], metadata(.directory))
            for (number, file) in large.enumerated() {
                try add("large-\(padded(number))", .list(file.0), size: file.size, to: writer)
            }
            for start in stride(from: 0, to: small.count, by: Self.filesPerDirectory) {
                try writer.enterDirectory(Array("small-\(padded(start))".utf8), metadata(.directory))
                for number in start..<min(start + Self.filesPerDirectory, small.count) {
                    try add(
                        "file-\(padded(number))", .chunk(small[number]), size: UInt64(SyntheticPacks.rawLength), to: writer)
                }
                try writer.leaveDirectory()
            }
            try writer.leaveDirectory()
        } catch {
            writer.abandon()
            throw error
        }
        _ = try writer.commit { root, statistics in
            var snapshot = Snapshot(
                time: FileTime(seconds: 1_750_000_000, nanoseconds: 0), source: "synthetic", kind: "files", root: root)
            snapshot.statistics = statistics
            snapshot.paths = [Array("/synthetic".utf8)]
            return snapshot
        }
    }

    private func add(_ name: String, _ content: Content, size: UInt64, to writer: SnapshotWriter) throws {
        try writer.add(
            TreeEntry(name: Array(name.utf8), metadata: metadata(.regular, size: size), payload: .file(content)))
    }

    private func metadata(_ type: FileType, size: UInt64 = 0) -> FileMetadata {
        let time = FileTime(seconds: 1_750_000_000, nanoseconds: 0)
        return FileMetadata(
            type: type, permissions: 0o755, userID: 0, groupID: 0, size: size, linkCount: 1, device: 1, inode: 1,
            modificationTime: time, changeTime: time)
    }

    private func padded(_ number: Int) -> String {
        let digits = "\(number)"
        return String(repeating: "0", count: max(0, 8 - digits.count)) + digits
    }
}
