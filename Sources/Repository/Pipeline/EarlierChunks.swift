import BlobEngine
import RepoBase

/// A chunk that a content is expected to go on with, since its earlier version did.
struct ExpectedChunk: Sendable {
    let id: BlobID
    let length: Int
    let sketch: Sketch
}

/// Reads the chunks of an earlier version by number, on the thread that reads the source. One list in memory at a time.
final class EarlierChunks {
    let previous: PreviousContent
    private let reader: BlobReader
    private let profile: ChunkProfile
    private var loaded: (list: Int, chunks: [ExpectedChunk])?

    init(_ previous: PreviousContent, _ reader: BlobReader, _ profile: ChunkProfile) {
        self.previous = previous
        self.reader = reader
        self.profile = profile
    }

    /// Nil where nothing can be expected: of the last chunk, which ended with the content and not at a cut; of one without a
    /// sketch, which may be of another shape; and where the list cannot be read.
    func chunk(_ number: Int) -> ExpectedChunk? {
        guard number + 1 < previous.chunks.count else { return nil }
        let list = previous.list(of: number)
        if loaded?.list != list { loaded = (list, read(previous.lists[list].id)) }
        guard let chunks = loaded?.chunks, number - previous.lists[list].start < chunks.count else { return nil }
        let chunk = chunks[number - previous.lists[list].start]
        guard !chunk.sketch.isEmpty, chunk.length >= profile.minimum, chunk.length <= profile.maximum else { return nil }
        return chunk
    }

    private func read(_ id: BlobID) -> [ExpectedChunk] {
        guard let bytes = try? reader.bytes(id, .list), let list = try? ContentList.decode(bytes, object: "list \(id)") else { return [] }
        return list.entries.compactMap { entry in
            entry.id.map { ExpectedChunk(id: $0, length: Int(clamping: entry.length), sketch: entry.sketch) }
        }
    }
}
