import Glibc
import RepoBase
import Repository

/// Carries what a walk has found into the snapshot, and reads the contents of files, on a thread of its own.
///
/// The walk runs ahead by up to 128 files: it opens them and asks the kernel to fetch them, so that a disk has many requests at a
/// time and waiting for one small file after the other ends. Steps are taken in the order of the walk; those without a file to read are handed over
/// together, since each hand-over may wake a thread, which costs as much as looking at an unchanged file.
final class FilesFeed: @unchecked Sendable {
    // The writer and what is below it here are used by the feed's thread alone until it has ended: that is what makes `@unchecked Sendable` true.
    // The walk's thread uses the queue, and of the writer what is safe beside it (`SnapshotWriter.reader` and `isComplete`).

    /// What the walk tells.
    enum Step: Sendable {
        case enter(name: [UInt8], metadata: FileMetadata)
        case leave
        /// An entry that needs no reading.
        case add(TreeEntry, Unread)
        case read(FoundFile)
        case problem(SourceProblem)
    }

    enum Unread: Sendable {
        /// A file whose content is known from the snapshot before.
        case unmodified
        /// Another name of such a file.
        case link
        /// No file.
        case other
    }

    /// Open files wait in the queue: a quarter of the descriptors that this process may have, at most 128.
    private static let limit: Int = {
        var allowed = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &allowed) == 0 else { return 16 }
        return Int(min(128, max(4, allowed.rlim_cur / 4)))
    }()

    private let writer: SnapshotWriter
    private let queue = BoundedQueue<[Step]>(limit: FilesFeed.limit)
    /// Of the walk's thread: found and not handed over yet.
    private var waiting: [Step] = []
    private static let batchCount = 64
    private let state = Monitor(State())
    private var thread: WorkerThread?
    /// What became of the contents of files with several names.
    private var linked: [FileIdentity: (content: PendingContent, entry: TreeEntry)] = [:]
    private(set) var problems: [SourceProblem] = []

    private struct State {
        var failure: (any Error)?
        var isStopped = false
    }

    init(_ writer: SnapshotWriter) {
        self.writer = writer
        thread = WorkerThread { [self] in run() }
    }

    /// The next step; may wait. Throws what has stopped the feed.
    func push(_ step: Step) throws {
        waiting.append(step)
        // One open file at most in each hand-over: the queue's limit is theirs.
        if case .read = step { return try handOver() }
        if waiting.count >= Self.batchCount { try handOver() }
    }

    private func handOver() throws {
        guard !waiting.isEmpty else { return }
        let steps = waiting
        waiting.removeAll(keepingCapacity: true)
        guard queue.push(steps) else {
            throw state.withLock { $0.failure } ?? RepoError(.failed, "the snapshot was stopped")
        }
    }

    /// Waits until all steps are taken. This or `stop` is called in the end. Throws what has stopped the feed.
    func finish() throws {
        var stopped: (any Error)?
        do { try handOver() } catch { stopped = error }
        queue.close()
        thread?.join()
        if let failure = state.withLock({ $0.failure }) ?? stopped { throw failure }
    }

    /// Leaves what is not done yet, and waits for the thread. Where it may be waiting for the snapshot, that is abandoned before.
    func stop() {
        state.withLock { $0.isStopped = true }
        queue.close()
        thread?.join()
    }

    private func run() {
        do {
            while let steps = queue.pop() {
                if state.withLock({ $0.isStopped }) { continue }
                for step in steps { try take(step) }
            }
        } catch {
            state.withLock { $0.failure = error }
            queue.close()
            while queue.pop() != nil {}
        }
    }

    private func take(_ step: Step) throws {
        switch step {
        case .enter(let name, let metadata):
            try writer.enterDirectory(name, metadata)
        case .leave: try writer.leaveDirectory()
        case .add(let entry, let kind):
            writer.count { progress in
                switch kind {
                case .unmodified:
                    progress.filesUnmodified += 1
                    progress.logicalBytes += entry.metadata.size
                case .link: progress.filesUnmodified += 1
                case .other: progress.otherEntries += 1
                }
            }
            try writer.add(entry)
        case .read(let found):
            do {
                try read(found)
            } catch let error as FileSystemError {
                note(SourceProblem(error))
            }
        case .problem(let problem): note(problem)
        }
    }

    private func note(_ problem: SourceProblem) {
        problems.append(problem)
        writer.count { $0.errors += 1 }
    }

    private func read(_ found: FoundFile) throws {
        if let identity = found.identity, let known = linked[identity] {
            writer.count { $0.filesUnmodified += 1 }
            var entry = known.entry
            entry.name = found.name
            return try writer.add(entry, content: known.content)
        }
        var file = found.take()
        let path = file.path
        do {
            // It was opened some time ago: what counts is how it is now.
            try file.refresh()
        } catch {
            note(SourceProblem(error))
        }
        let shape = try shape(of: &file, found)
        let metadata = file.metadata
        let feed = writer.beginContent(shape, previous: found.before?.content)
        var failure: FileSystemError?
        do {
            try FileReading.read(&file, into: feed, shape: shape, size: metadata.size)
        } catch let error as FileSystemError {
            failure = error
        }
        let size = feed.offset
        let content = feed.finish()
        let changes = failure == nil ? try file.finish() : []
        let isTorn = !changes.isDisjoint(with: [.shrunk, .grown, .modified])
        if isTorn {
            note(
                SourceProblem(
                    path: path,
                    message: "'\(RawPath.describe(path))' changed while it was read; the next snapshot takes it again"))
        }
        if let failure { note(SourceProblem(failure)) }
        let entry = TreeEntry(
            name: found.name, metadata: metadata, payload: .file(.empty), isIncomplete: failure != nil || isTorn,
            isPageAligned: shape == .pageAligned)
        // A file that was read because its times are too young to vouch for it may be what it was: its content tells, once it is known.
        let previous = found.before?.content
        let isTouched = found.before.map { !metadata.isUnchanged(since: $0.metadata) } ?? true
        writer.count { progress in
            progress.logicalBytes += size
            if previous == nil { progress.filesNew += 1 } else if isTouched { progress.filesChanged += 1 }
        }
        if let identity = found.identity { linked[identity] = (content, entry) }
        try writer.add(entry, content: content, comparedWith: isTouched ? nil : previous)
    }

    /// Sparse files and those that change in place are cut at fixed places; a file of one chunk needs no telling.
    private func shape(of file: inout OpenedFile, _ found: FoundFile) throws -> ContentShape {
        let size = file.metadata.size
        guard size > UInt64(writer.smallContentSize) else { return .contentDefined }
        if file.allocatedSize < size { return .pageAligned }
        return try withUnsafeTemporaryAllocation(
            byteCount: ContentProfile.headerSize, alignment: 16
        ) { buffer in
            let count = try file.read(into: buffer, at: 0)
            let profile = ContentProfile(
                recognising: file.path, clusterOffset: found.clusterOffset,
                header: UnsafeRawBufferPointer(rebasing: buffer[..<count]), size: size)
            return profile == .contentDefined ? .contentDefined : .pageAligned
        }
    }
}

/// By which several names of one file are known.
struct FileIdentity: Hashable {
    let device: UInt64
    let inode: UInt64
}

/// A file that the walk has opened, to be read. Handed from the walk's thread to the feed's through the queue, and used by one at a time:
/// that is what makes `@unchecked Sendable` true.
final class FoundFile: @unchecked Sendable {
    private var file: OpenedFile?
    let name: [UInt8]
    let clusterOffset: Int?
    /// Of a file with several names.
    let identity: FileIdentity?
    /// The file of that name in the snapshot before.
    let before: TreeEntry?

    init(_ file: consuming OpenedFile, name: [UInt8], _ entry: WalkedEntry, identity: FileIdentity?, before: TreeEntry?) {
        self.name = name
        clusterOffset = entry.clusterOffset
        self.identity = identity
        self.before = before?.content == nil ? nil : before
        self.file = consume file
    }

    /// Once.
    func take() -> OpenedFile { file.take()! }
}

extension SourceProblem {
    init(_ error: FileSystemError) { self.init(path: error.path, message: "\(error)") }
}
