import BlobEngine
import RepoBase

/// Builds lists and trees from events in depth-first order, on a thread of its own, waiting for contents as it comes to them.
///
/// Holds the open directories with at most one leaf of entries each, so a directory with a million entries costs no more than one with
/// thousands. The queue of events is bounded; the thread that reads the source waits there when it is far ahead.
final class TreeAssembler: Sendable {
    enum Event: Sendable {
        case enter(name: [UInt8], metadata: FileMetadata, isIncomplete: Bool)
        /// With what the file's content was in the snapshot before, where it is to be counted as changed or unmodified.
        case entry(TreeEntry, PendingContent?, comparedWith: Content?)
        /// A content whose entry comes later, under its number in the order of these events.
        case keep(PendingContent, previous: Content?)
        case keptEntry(TreeEntry, Int)
        case leave
    }

    static let queueLimit = 4096
    /// Entries of a leaf: it is cut from the minimum on where a name's hash says so, so that a change early in a directory moves no later cut.
    static let leafMinimum = 256
    static let leafMaximum = 4096
    private static let leafMaximumBytes = 2 << 20
    private static let branchMaximum = 8192

    private let pipeline: Pipeline
    private let events = BoundedQueue<Event>(limit: queueLimit)
    private let result = Monitor<BlobID?>(nil)
    private let thread = Monitor<WorkerThread?>(nil)

    init(_ pipeline: Pipeline) {
        self.pipeline = pipeline
        thread.withLock { $0 = WorkerThread { [self] in run() } }
    }

    /// Takes the next event; may wait. What it waits for may be in an unfinished batch, so that is handed over first.
    func push(_ event: Event) throws {
        guard events.push(event, willWait: pipeline.batcher.flushForSource), !pipeline.hasFailed else {
            throw pipeline.failure
        }
    }

    /// Waits for the root's id, after the last event.
    func finish() throws -> BlobID {
        stop()
        guard !pipeline.hasFailed, let root = result.withLock({ $0 }) else { throw pipeline.failure }
        return root
    }

    func stop() {
        pipeline.batcher.flush()
        events.close()
        thread.withLock { thread in
            thread?.join()
            thread = nil
        }
    }

    private struct Frame {
        var name: [UInt8]
        var metadata: FileMetadata
        var isIncomplete: Bool
        var leaf: [TreeEntry] = []
        var leafBytes = 0
        var parts: [TreeNode.Branch] = []
    }

    private struct KeptContent {
        let content: Content
        let size: UInt64
        /// Beside the file of the snapshot before: nil where it had none.
        let isUnchanged: Bool?
    }

    private func run() {
        let lane = pipeline.sink.makeLane()
        var stack: [Frame] = []
        var kept: [KeptContent] = []
        do {
            while let event = events.pop() {
                // After a failure the queue is only emptied, so that nobody waits at it for ever.
                if pipeline.hasFailed { continue }
                switch event {
                case .enter(let name, let metadata, let isIncomplete):
                    stack.append(Frame(name: name, metadata: metadata, isIncomplete: isIncomplete))
                case .entry(var entry, let content, let previous):
                    if let content {
                        let (known, size) = try resolve(content, lane)
                        entry.payload = .file(known)
                        entry.metadata.size = size
                        if let previous { count(known == previous) }
                    }
                    try append(entry, to: &stack[stack.count - 1], lane)
                case .keep(let pending, let previous):
                    let (content, size) = try resolve(pending, lane)
                    kept.append(
                        KeptContent(
                            content: content, size: size,
                            isUnchanged: previous.map { $0 == content }))
                case .keptEntry(var entry, let number):
                    let content = kept[number]
                    entry.payload = .file(content.content)
                    entry.metadata.size = content.size
                    count(content.isUnchanged)
                    pipeline.progress.withLock { $0.logicalBytes += content.size }
                    try append(entry, to: &stack[stack.count - 1], lane)
                case .leave:
                    var frame = stack.removeLast()
                    let id = try close(&frame, lane)
                    if stack.isEmpty {
                        result.withLock { $0 = id }
                    } else {
                        let entry = TreeEntry(
                            name: frame.name, metadata: frame.metadata, payload: .directory(id),
                            isIncomplete: frame.isIncomplete)
                        try append(entry, to: &stack[stack.count - 1], lane)
                    }
                }
            }
        } catch {
            pipeline.fail(error)
            while events.pop() != nil {}
        }
    }

    /// Counts a file whose content is as it was in the snapshot before, or is not; nil for one that was not there.
    private func count(_ isUnchanged: Bool?) {
        pipeline.progress.withLock { progress in
            switch isUnchanged {
            case nil: progress.filesNew += 1
            case true?: progress.filesUnmodified += 1
            case false?: progress.filesChanged += 1
            }
        }
    }

    /// Waits for the chunks and stores the lists over them.
    private func resolve(_ content: PendingContent, _ lane: BlobSink.Lane) throws -> (content: Content, size: UInt64) {
        let known: (content: Content, size: UInt64)? = content.state.wait { state in
            if let resolved = state.resolved { return .some(resolved) }
            return state.isEnded && state.outstanding == 0 ? .some(nil) : nil
        }
        if pipeline.hasFailed { throw pipeline.failure }
        if let known { return known }
        let (entries, size) = content.state.withLock { state in
            defer { state.entries = [] }
            return (state.entries, state.size)
        }
        let result: Content
        if entries.isEmpty {
            result = .empty
        } else if entries.count == 1, let id = entries[0].id {
            result = .chunk(id)
        } else {
            let writer = ListWriter(sink: pipeline.sink, lane: lane, previous: content.previous)
            result = .list(try writer.write(entries))
        }
        content.state.withLock { $0.resolved = (result, size) }
        return (result, size)
    }

    private func append(_ entry: TreeEntry, to frame: inout Frame, _ lane: BlobSink.Lane) throws {
        if let last = frame.leaf.last, !isBefore(last.name, entry.name) {
            throw RepoError(.failed, "entries of a directory came out of order; this is a fault of repo")
        }
        let bytes = 96 + entry.name.count
            + entry.metadata.extendedAttributes.reduce(0) { $0 + $1.name.count + $1.value.count }
        if frame.leafBytes + bytes > Self.leafMaximumBytes, !frame.leaf.isEmpty { try cutLeaf(&frame, lane) }
        frame.leaf.append(entry)
        frame.leafBytes += bytes
        if frame.leaf.count >= Self.leafMaximum
            || (frame.leaf.count >= Self.leafMinimum && Self.isCut(entry.name))
        {
            try cutLeaf(&frame, lane)
        }
    }

    /// One name in 512, by FNV-1a.
    private static func isCut(_ name: [UInt8]) -> Bool {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in name { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
        return hash >> 55 == 0
    }

    private func cutLeaf(_ frame: inout Frame, _ lane: BlobSink.Lane) throws {
        let first = frame.leaf.first?.name ?? []
        let bytes = TreeCodec.encode(leaf: frame.leaf)
        let id = try bytes.withUnsafeBytes { try pipeline.sink.store(.tree, $0, lane: lane) }
        frame.parts.append(TreeNode.Branch(firstName: first, entryCount: UInt64(frame.leaf.count), id: id))
        frame.leaf.removeAll(keepingCapacity: true)
        frame.leafBytes = 0
    }

    private func close(_ frame: inout Frame, _ lane: BlobSink.Lane) throws -> BlobID {
        if !frame.leaf.isEmpty || frame.parts.isEmpty { try cutLeaf(&frame, lane) }
        var parts = frame.parts
        while parts.count > 1 {
            var above: [TreeNode.Branch] = []
            for start in stride(from: 0, to: parts.count, by: Self.branchMaximum) {
                let group = Array(parts[start..<min(start + Self.branchMaximum, parts.count)])
                let bytes = TreeCodec.encode(branch: group)
                let id = try bytes.withUnsafeBytes { try pipeline.sink.store(.tree, $0, lane: lane) }
                above.append(
                    TreeNode.Branch(
                        firstName: group[0].firstName, entryCount: group.reduce(0) { $0 + $1.entryCount }, id: id))
            }
            parts = above
        }
        return parts[0].id
    }
}
