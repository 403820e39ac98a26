/// A chunk's length, and what it resembles.
public struct CutChunk: Hashable, Sendable {
    /// In bytes; chunks follow each other without gaps.
    public let length: Int
    public let sketch: Sketch

    public init(length: Int, sketch: Sketch) {
        self.length = length
        self.sketch = sketch
    }
}

/// Turns the candidates of successive segments into chunks (format.md, 11.1).
///
/// Where the cuts fall depends on the content and the profile alone, not on how the content came in segments.
/// Costs a few nanoseconds a candidate, nothing a byte.
public struct ChunkCutter: Sendable {
    private let profile: ChunkProfile
    private let key: CutKey
    /// Bytes of the open chunk that earlier segments held.
    private var carried = 0
    private var sketch = SketchBuilder()

    public init(profile: ChunkProfile, key: CutKey) { (self.profile, self.key) = (profile, key) }

    /// Whether the bytes so far end with a chunk.
    public var isAtCut: Bool { carried == 0 }

    /// Emits the chunks that end in this segment, in order; after the last segment also the open one, and the
    /// cutter is ready for another content.
    ///
    /// - Parameter candidates: of this segment, by ascending position.
    public mutating func feed(
        candidates: CandidateBuffer, segmentLength: Int, isLast: Bool, emit: (CutChunk) -> Void
    ) {
        // Where the open chunk began, counted from this segment: negative when it began in an earlier one.
        var start = -carried
        candidates.withCandidates { candidates in
            for candidate in candidates {
                let position = Int(candidate.position)
                while position - start > profile.maximum { start += cut(profile.maximum, emit) }
                let length = position - start
                // Nearer to the cut, the hash would still depend on the chunk before.
                if length >= CandidateScanner.window { sketch.add(candidate.hash) }
                if length == profile.maximum || profile.isCut(candidate.hash, length: length, key) {
                    start += cut(length, emit)
                }
            }
        }
        while segmentLength - start >= profile.maximum { start += cut(profile.maximum, emit) }
        carried = segmentLength - start
        if isLast {
            if carried > 0 { _ = cut(carried, emit) }
            carried = 0
        }
    }

    private mutating func cut(_ length: Int, _ emit: (CutChunk) -> Void) -> Int {
        emit(CutChunk(length: length, sketch: sketch.finish()))
        return length
    }
}
