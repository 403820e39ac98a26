import BlobEngine
import RepoBase

/// How a content is cut.
public enum ContentShape: Hashable, Sendable {
    /// Where the content says.
    case contentDefined
    /// At fixed places, for contents that change in place and for sparse files.
    case pageAligned
}

/// Takes the bytes of one content on the thread that reads the source.
///
/// Bytes go straight into the ring that workers read from: one copy, made by the kernel.
public final class ContentFeed {
    private let pipeline: Pipeline
    private let shape: ContentShape
    private let content: PendingContent
    private var cutting: ContentCutting?
    private var nextOrdinal = 0
    /// Read and not handed on: of a content-defined content a segment and, where it follows an earlier version, whole chunks of that; or the
    /// beginning of a page-aligned chunk.
    private var held: (position: UInt64, length: Int)?
    private var following: FollowedVersion?
    /// Bytes taken, holes included.
    public private(set) var offset: UInt64 = 0

    /// Bytes asked of the source at a time.
    public static let segmentSize = 1 << 20

    init(
        _ pipeline: Pipeline, shape: ContentShape, previous: PreviousContent?, inspection: (any ContentInspection)? = nil,
        reader: BlobReader
    ) {
        self.pipeline = pipeline
        self.shape = shape
        if shape == .contentDefined, let previous, !previous.lists.isEmpty {
            following = FollowedVersion(EarlierChunks(previous, reader, pipeline.chunkProfile))
        }
        content = PendingContent(previous: previous, inspection: inspection)
    }

    /// Lets `fill` write up to `limit` bytes into a buffer and takes as many as it returns; 0 is the end.
    /// Throws what `fill` throws, having taken nothing, or what has stopped the snapshot.
    @discardableResult
    public func read(
        atMost limit: Int = segmentSize, _ fill: (UnsafeMutableRawBufferPointer) throws -> Int
    ) throws -> Int {
        precondition(written == nil, "a content is read or written, not both")
        let wanted = shape == .pageAligned ? min(limit, roomInPage) : min(limit, Self.segmentSize)
        guard let space = pipeline.ring.reserve(wanted, willWait: pipeline.batcher.flushForSource) else {
            throw pipeline.failure
        }
        let count = try fill(space)
        guard count > 0 else { return 0 }
        let position = pipeline.ring.commit(count)
        pipeline.countRead(count)
        switch shape {
        case .contentDefined: takeSegment(position, count)
        case .pageAligned: takePage(position, count)
        }
        return count
    }

    /// Reserved in the ring and filled in part, by `write` into a content-defined content: a segment is handed on when it is full.
    private var written: (space: UnsafeMutableRawBufferPointer, count: Int)?

    /// Takes bytes that stand elsewhere, for sources that are handed theirs: one copy more than `read`.
    /// - Parameter rest: how many bytes are still to come, these included, where that is known: a small content then reserves no whole segment.
    public func write(_ bytes: UnsafeRawBufferPointer, of rest: UInt64 = .max) throws {
        var bytes = bytes
        var rest = rest
        while !bytes.isEmpty {
            let taken = shape == .pageAligned ? try writePage(bytes) : try writeSegment(bytes, rest)
            bytes = UnsafeRawBufferPointer(rebasing: bytes[taken...])
            rest -= min(rest, UInt64(taken))
        }
    }

    private func writePage(_ bytes: UnsafeRawBufferPointer) throws -> Int {
        try read(atMost: bytes.count) { space in
            space.copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[..<space.count]))
            return space.count
        }
    }

    private func writeSegment(_ bytes: UnsafeRawBufferPointer, _ rest: UInt64) throws -> Int {
        if written == nil {
            let wanted = Int(min(UInt64(Self.segmentSize), max(rest, UInt64(bytes.count))))
            guard let space = pipeline.ring.reserve(wanted, willWait: pipeline.batcher.flushForSource) else { throw pipeline.failure }
            written = (space, 0)
        }
        guard let (space, count) = written else { return 0 }
        let taken = min(bytes.count, space.count - count)
        UnsafeMutableRawBufferPointer(rebasing: space[count...]).copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[..<taken]))
        written = (space, count + taken)
        if count + taken == space.count { commitWritten() }
        return taken
    }

    private func commitWritten() {
        guard let (_, count) = written else { return }
        written = nil
        let position = pipeline.ring.commit(count)
        pipeline.countRead(count)
        takeSegment(position, count)
    }

    private var roomInPage: Int {
        let size = pipeline.pageChunkSize
        return size - Int(offset % UInt64(size))
    }

    private func takeSegment(_ position: UInt64, _ count: Int) {
        offset += UInt64(count)
        let held = (position: held?.position ?? position, length: (held?.length ?? 0) + count)
        self.held = held
        hand(on: held, keeping: count)
    }

    /// Posts what of `held` can be posted, but for the last `count` bytes where those are to be scanned: they may be the last segment.
    private func hand(on held: (position: UInt64, length: Int), keeping count: Int) {
        var held = held
        if let following {
            following.update(cutting?.expectation, posted: segmentOffset)
            while let (length, expected) = following.next(held: held.length, isEnded: false) {
                post((held.position, length), expected)
                held = (held.position + UInt64(length), held.length - length)
            }
            if following.isExpecting {
                self.held = held
                return
            }
        }
        while held.length > count {
            let length = min(Self.segmentSize, held.length - count)
            post((held.position, length))
            held = (held.position + UInt64(length), held.length - length)
        }
        self.held = held
    }

    private func post(_ segment: (position: UInt64, length: Int), _ expected: [ExpectedChunk] = [], isLast: Bool = false) {
        let start = segment.position - segmentOffset
        let cutting =
            cutting
            ?? ContentCutting(
                content: content, profile: pipeline.chunkProfile, key: pipeline.gear.cutKey, start: start, batcher: pipeline.batcher,
                isFollowing: following != nil)
        self.cutting = cutting
        pipeline.queue.push(
            .scan(
                ScanJob(
                    cutting: cutting, ordinal: nextOrdinal, position: segment.position, length: segment.length,
                    before: Int(min(63, segmentOffset)), isLast: isLast, expected: expected,
                    version: following?.version ?? 0)))
        nextOrdinal += 1
        segmentOffset += UInt64(segment.length)
    }

    /// Where the held segment begins in the content.
    private var segmentOffset: UInt64 = 0

    private func takePage(_ position: UInt64, _ count: Int) {
        let begin = held?.position ?? position
        held = (begin, (held?.length ?? 0) + count)
        offset += UInt64(count)
        if offset % UInt64(pipeline.pageChunkSize) == 0 { emitHeldChunk() }
    }

    /// The held bytes become one chunk.
    private func emitHeldChunk() {
        guard let chunk = held else { return }
        held = nil
        let place = content.addChunk(length: chunk.length, sketch: .empty)
        pipeline.batcher.add(
            ChunkJob(
                content: content, place: place, position: chunk.position, length: chunk.length,
                offset: offset - UInt64(chunk.length), sketch: .empty))
    }

    /// A stretch of zeros that the source does not store. Page-aligned contents only.
    public func hole(_ length: UInt64) {
        precondition(shape == .pageAligned)
        emitHeldChunk()
        content.addHole(length: length)
        offset += length
    }

    /// The end of the content.
    public func finish() -> PendingContent {
        commitWritten()
        if shape == .contentDefined, cutting != nil || (held?.length ?? 0) > pipeline.chunkProfile.minimum {
            var held = held ?? (pipeline.ring.head, 0)
            if let following {
                following.update(cutting?.expectation, posted: segmentOffset)
                while let (length, expected) = following.next(held: held.length, isEnded: true) {
                    post((held.position, length), expected)
                    held = (held.position + UInt64(length), held.length - length)
                }
            }
            while held.length > Self.segmentSize {
                post((held.position, Self.segmentSize))
                held = (held.position + UInt64(Self.segmentSize), held.length - Self.segmentSize)
            }
            self.held = nil
            post(held, isLast: true)
        } else {
            emitHeldChunk()
            content.end()
        }
        return content
    }
}
