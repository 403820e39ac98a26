import BlobEngine
import RepoBase

/// Divides a content as its earlier version was divided, while it goes on like that. On the thread that reads the source.
final class FollowedVersion {
    private let earlier: EarlierChunks
    /// Where the next chunk is expected: at or behind what was handed on. Nil while none is.
    private var place: ContentCutting.Place? = ContentCutting.Place(number: 0, offset: 0)
    private(set) var version = 0
    /// Where what was not handed on begins.
    private var posted: UInt64 = 0
    /// Of the chunks from `place` on that have been gathered.
    private var chunks: [ExpectedChunk] = []
    private var length = 0

    init(_ earlier: EarlierChunks) { self.earlier = earlier }

    var isExpecting: Bool { place != nil }

    /// Takes what the cutting knows by now.
    func update(_ expectation: (place: ContentCutting.Place?, version: Int)?, posted: UInt64) {
        self.posted = posted
        guard let expectation, expectation.version != version else { return }
        version = expectation.version
        forgetGathered()
        place = expectation.place
        // What was handed on meanwhile is behind.
        while let place, place.offset < posted { advance(place) }
    }

    private func advance(_ place: ContentCutting.Place) {
        guard let chunk = earlier.chunk(place.number) else { return self.place = nil }
        self.place = ContentCutting.Place(number: place.number + 1, offset: place.offset + UInt64(chunk.length))
    }

    private func forgetGathered() {
        chunks = []
        length = 0
    }

    /// What to hand on next of `held` bytes, if anything yet: up to where a chunk is expected, to be scanned; then chunks, as many as
    /// make a batch or as there are.
    func next(held: Int, isEnded: Bool) -> (length: Int, expected: [ExpectedChunk])? {
        guard let place else { return nil }
        let gap = Int(place.offset - posted)
        guard gap <= held else { return nil }
        if gap > 0 {
            posted += UInt64(gap)
            return (gap, [])
        }
        var isFull = isEnded
        while length < ChunkBatcher.maximumBytes, chunks.count < ChunkBatcher.maximumCount {
            guard let chunk = earlier.chunk(place.number + chunks.count) else {
                // Nothing more is expected of the earlier version, once these are handed on.
                if chunks.isEmpty { self.place = nil }
                isFull = true
                break
            }
            guard length + chunk.length <= held else { break }
            chunks.append(chunk)
            length += chunk.length
        }
        guard !chunks.isEmpty, isFull || length >= ChunkBatcher.maximumBytes || chunks.count >= ChunkBatcher.maximumCount
        else { return nil }
        let next = (length, chunks)
        self.place = ContentCutting.Place(number: place.number + chunks.count, offset: place.offset + UInt64(length))
        posted += UInt64(length)
        forgetGathered()
        return next
    }
}
