import BlobEngine
import RepoBase

/// Looks at a content's bytes while they are stored, to verify what the source knows of them.
public protocol ContentInspection: Sendable {
    /// Called once for each chunk, in any order, by the threads that store, several at a time. Page-aligned contents come in whole pages,
    /// but for what is left at their end.
    /// - Parameter offset: where the bytes stand in the content.
    func inspect(_ bytes: UnsafeRawBufferPointer, at offset: UInt64)
}

/// A content whose chunks are being stored: filled by workers in any order, awaited by the tree's assembler.
public final class PendingContent: Sendable {
    struct State {
        /// An id is nil until its chunk is stored; in the end, nil means a hole.
        var entries: [ContentList.Entry] = []
        /// Chunks cut and not stored yet.
        var outstanding = 0
        var lastIsHole = false
        /// What became of it; another entry of the same file (a hard link) takes it from here.
        var resolved: (content: Content, size: UInt64)?
        /// No more chunks will be cut.
        var isEnded = false
        var size: UInt64 = 0
    }

    let state = Monitor(State())
    /// The content that this one follows, where there is one.
    let previous: PreviousContent?

    let inspection: (any ContentInspection)?

    init(previous: PreviousContent?, inspection: (any ContentInspection)? = nil) {
        self.previous = previous
        self.inspection = inspection
    }

    /// Reserves the place of the next chunk and returns it.
    func addChunk(length: Int, sketch: Sketch) -> Int {
        state.withLock { state in
            state.entries.append(ContentList.Entry(length: UInt64(length), id: nil, sketch: sketch))
            state.size += UInt64(length)
            state.outstanding += 1
            state.lastIsHole = false
            return state.entries.count - 1
        }
    }

    func addHole(length: UInt64) {
        state.withLock { state in
            state.size += length
            if state.lastIsHole {
                state.entries[state.entries.count - 1].length += length
            } else {
                state.entries.append(ContentList.Entry(length: length, id: nil))
                state.lastIsHole = true
            }
        }
    }

    func resolve(_ results: [(place: Int, id: BlobID)]) {
        state.update { state in
            for result in results { state.entries[result.place].id = result.id }
            state.outstanding -= results.count
        }
    }

    func end() { state.update { $0.isEnded = true } }
}
