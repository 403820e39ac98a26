import BlobEngine
import RepoBase

/// A place of a file that needs a chunk, and where the chunk is.
struct ChunkUse: Sendable {
    let id: BlobID
    /// The pack's number in this window, in the order in which packs were met.
    let pack: UInt32
    let packOffset: UInt32
    let sealedLength: UInt32
    let length: UInt32
    /// The file's number in this window.
    let file: UInt32
    let offset: UInt64
}

/// The next part of a restore, planned: its chunks are sorted by pack and place, so that each pack is read once, front to back, and each
/// chunk decoded once for all places that need it.
struct RestoreWindow {
    /// 64 bytes each. Two windows are in memory at a time: one being planned, one being written.
    static let useLimit = 1 << 17
    static let fileLimit = 1 << 14

    private(set) var files: [RestoredFile] = []
    private(set) var uses: [ChunkUse] = []
    private var packs: [ObjectID: UInt32] = [:]

    var isFull: Bool { uses.count >= Self.useLimit || files.count >= Self.fileLimit }

    /// The file's number, to be given to `add`.
    mutating func add(_ file: RestoredFile) -> UInt32 {
        files.append(file)
        return UInt32(files.count - 1)
    }

    /// The caller has told the file to expect one more chunk.
    mutating func add(_ id: BlobID, length: UInt64, at offset: UInt64, file: UInt32, _ location: BlobLocation) {
        let next = UInt32(packs.count)
        let pack = packs[location.pack.id, default: next]
        packs[location.pack.id] = pack
        uses.append(
            ChunkUse(
                id: id, pack: pack, packOffset: location.record.offset, sealedLength: UInt32(location.record.sealedLength), length: UInt32(length),
                file: file, offset: offset))
    }

    /// Chunks that are fetched and verified together: so many that the lanes of the hash stay full, of small files as well.
    private static let batchChunks = 128
    static let batchBytes = 4 << 20

    /// In the order in which to take them; empties the window.
    mutating func batches() -> [RestoreBatch] {
        uses.sort {
            ($0.pack, $0.packOffset, $0.file, $0.offset) < ($1.pack, $1.packOffset, $1.file, $1.offset)
        }
        let ids = packs.reduce(into: [ObjectID?](repeating: nil, count: packs.count)) { $0[Int($1.value)] = $1.key }
        var batches: [RestoreBatch] = []
        var batch = RestoreBatch()
        var bytes = 0
        for use in uses {
            if batch.chunks.last?.id != use.id {
                if batch.chunks.count >= Self.batchChunks || bytes >= Self.batchBytes {
                    batches.append(batch)
                    batch = RestoreBatch()
                    bytes = 0
                }
                batch.chunks.append((use.id, []))
                batch.note(PackRange(pack: ids[Int(use.pack)]!, offset: Int(use.packOffset), count: Int(use.sealedLength)))
                bytes += Int(use.length)
            }
            batch.chunks[batch.chunks.count - 1].uses.append((files[Int(use.file)], use.offset, use.length))
        }
        if !batch.chunks.isEmpty { batches.append(batch) }
        self = RestoreWindow()
        return batches
    }
}

/// Some chunks that are near each other in a pack, with all places that need them.
struct RestoreBatch: Sendable {
    var chunks: [(id: BlobID, uses: [(file: RestoredFile, offset: UInt64, length: UInt32)])] = []
    /// Where the chunks lie, in the order of packs and places; near ones are one stretch.
    private(set) var ranges: [PackRange] = []
    /// What was fetched of them beforehand.
    var fetched: [FetchedRange] = []

    /// Chunks come in the order of packs and places.
    mutating func note(_ range: PackRange) {
        guard let last = ranges.last?.extended(to: range) else { return ranges.append(range) }
        ranges[ranges.count - 1] = last
    }
}
