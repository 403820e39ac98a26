import BlobEngine
import Glibc
public import RepoBase
import Storage

/// How a snapshot is to be stored.
public struct SnapshotOptions: Sendable {
    /// zstd's level for what has no base, 1 to 19.
    public var compressionLevel: Int32 = BlobCoder.defaultLevel
    public var deltaBases = DeltaBaseChoice.auto
    /// Threads that scan, hash and encode.
    public var threads = availableProcessors()
    /// Whether a writer key notes what it stores below the cache directory, so that its next snapshot need not read what has not changed.
    /// False for a dry run.
    public var remembers = true

    public init() {}
}

/// Writes one snapshot: a source's thread feeds it directories, entries and contents in depth-first order, names ascending. Another may
/// ask it `isComplete` meanwhile.
///
/// Nothing is visible until `commit`, whose last object is the snapshot itself: before that nothing happened, and what was stored is found by the next
/// snapshot or by the collector. Whoever does not commit must `abandon`.
public final class SnapshotWriter {
    private let repository: OpenRepository
    let pipeline: Pipeline
    private let assembler: TreeAssembler
    private let registration: WriterRegistration
    private let started: Duration
    private let phase = Monitor(SnapshotPhase.running)
    private var keptContents = 0
    private let cancellation = Monitor<[@Sendable () -> Void]>([])
    /// For reading the snapshot before, on the thread that calls `isComplete`: not always the one that feeds.
    public let reader: BlobReader

    /// For a writer key.
    private let remembered: RememberedBlobs?

    /// Registers as a writer, then loads the index, what is condemned and which packs there are, in this order (docs/collection.md).
    /// - Parameter previous: the snapshot that this one follows, as `SnapshotCatalog.latest` gives it: with a writer key it is read from what this
    ///   machine remembers.
    public init(
        _ repository: OpenRepository, options: SnapshotOptions = SnapshotOptions(), following previous: Snapshot? = nil
    ) throws {
        self.repository = repository
        started = SystemClock.elapsed()
        remembered =
            repository.keys.role == .full
            ? nil
            : RememberedBlobs(
                before: previous.flatMap {
                    RememberedSnapshot(repository.cacheDirectory, source: $0.source, host: $0.host)
                },
                memory: options.remembers ? SnapshotMemory(repository.cacheDirectory) : nil)
        registration = try WriterRegistration.begin(repository)
        do {
            try repository.reloadIndexToRestOn()
            let indexBytes = try OrphanedPacks(repository).adopt(registration: registration)
            pipeline = try Pipeline(
                repository, compressionLevel: options.compressionLevel, deltaBases: options.deltaBases, threads: options.threads,
                remembered: remembered)
            pipeline.sink.output.count(objectBytes: indexBytes)
        } catch {
            registration.end()
            throw error
        }
        assembler = TreeAssembler(pipeline)
        reader = BlobReader(repository, shared: BlobReader.SharedReading(remembered: remembered))
    }

    /// Opens a directory below the one that is open; the first is the root of the snapshot.
    public func enterDirectory(_ name: [UInt8], _ metadata: FileMetadata, isIncomplete: Bool = false) throws {
        pipeline.progress.withLock { $0.directories += 1 }
        try assembler.push(.enter(name: name, metadata: metadata, isIncomplete: isIncomplete))
    }

    /// Closes the directory entered last.
    public func leaveDirectory() throws { try assembler.push(.leave) }

    /// An entry of the open directory. With `content`, its size and payload come from there.
    /// - Parameter previous: the content of the same file in the snapshot before: then it is counted, as changed or unmodified.
    public func add(_ entry: TreeEntry, content: PendingContent? = nil, comparedWith previous: Content? = nil) throws {
        try assembler.push(.entry(entry, content, comparedWith: previous))
    }

    /// Begins a content; it is fed on this thread and ended before the next begins.
    public func beginContent(
        _ shape: ContentShape, previous: Content?, inspection: (any ContentInspection)? = nil
    ) -> ContentFeed {
        ContentFeed(
            pipeline, shape: shape, previous: previous.flatMap { PreviousContent.load($0, contentReader) },
            inspection: inspection, reader: contentReader)
    }

    /// Keeps a content that is stored before its place in the tree comes: for sources whose order is not the tree's. Returns its
    /// number, by which `add(_:kept:)` takes it. About 60 bytes each until the end.
    /// - Parameter previous: the content of the same file in the snapshot before, for the count of changed files.
    public func keep(_ content: PendingContent, previous: Content?) throws -> Int {
        defer { keptContents += 1 }
        try assembler.push(.keep(content, previous: previous))
        return keptContents
    }

    /// A file of the open directory whose content was kept; counted as new, changed or unmodified.
    public func add(_ entry: TreeEntry, kept number: Int) throws {
        precondition(number >= 0 && number < keptContents)
        try assembler.push(.keptEntry(entry, number))
    }

    /// Of the thread that feeds contents; the one that looks for what is unchanged may be another.
    private lazy var contentReader = reader.another()

    /// Whether every blob of an earlier content is still there, so that a file that has not changed need not be read.
    public func isComplete(_ content: Content) throws -> Bool {
        let index = try repository.index()
        switch content {
        case .empty: return true
        case .chunk(let id): return index.containsForDeduplication(id)
        case .list(let id):
            guard index.containsForDeduplication(id) else { return false }
            var complete = true
            do {
                try ContentWalk.lists(of: content, reader) { id, list, _ in
                    complete =
                        index.containsForDeduplication(id)
                        && list.entries.allSatisfy { $0.id.map(index.containsForDeduplication) ?? true }
                    return complete
                }
            } catch let error as RepoError where error.code == .damaged {
                return false
            }
            return complete
        }
    }

    /// Contents up to this size are one chunk whatever their shape, in bytes.
    public var smallContentSize: Int { repository.chunkProfile.minimum }

    /// Counts, shown while it runs and recorded in the end.
    public func count(_ change: (inout SnapshotProgress) -> Void) { pipeline.progress.withLock { change(&$0) } }

    public var progress: SnapshotProgress { pipeline.progress.withLock { $0 } }

    /// Why there will be no snapshot, when another thread has cancelled it: what fails on this thread from then on is only a consequence.
    public var interruption: RepoError? { phase.withLock { $0 == .cancelled } ? pipeline.failure : nil }

    /// For other threads, while this one writes.
    public var running: RunningSnapshot {
        RunningSnapshot(
            pipeline: pipeline, registration: registration, phase: phase, cancellation: cancellation)
    }

    /// Waits for everything, stores packs, index and snapshot in this order, and returns the snapshot.
    ///
    /// `describe` gets the root's id and the statistics so far and completes the snapshot's fields.
    public func commit(
        _ describe: (_ root: BlobID, _ statistics: SnapshotStatistics) -> Snapshot
    ) throws -> (id: ObjectID, snapshot: Snapshot) {
        do {
            let root = try assembler.finish()
            pipeline.drain()
            if pipeline.hasFailed { throw pipeline.failure }
            // A fenced writer's packs may be gone: the index had better not name them. Where nothing is new, there is nothing to name.
            if pipeline.sink.output.statistics.blobs > 0 { try registration.checkFence() }
            try pipeline.sink.output.finish()
            try registration.checkFence()
            let snapshot = describe(root, statistics())
            let bytes = try SnapshotCodec.encode(
                snapshot, epoch: repository.keys.currentEpoch, signer: repository.keys.signer)
            let id = ObjectHasher.hash(bytes)
            let key = SnapshotObject.key(id)
            let isCancelled = phase.withLock { phase in
                if phase == .running { phase = .committing }
                return phase == .cancelled
            }
            guard !isCancelled else { throw pipeline.failure }
            try repository.store.put(key, bytes, .create)
            repository.objects?.keep(id, bytes)
            try confirm(id, root: root)
            registration.end()
            repository.freshness?.stored(SnapshotCatalog.Entry(id: id, snapshot: snapshot, signer: repository.keys.keyID))
            remembered?.memory?.finish(SnapshotCatalog.Entry(id: id, snapshot: snapshot))
            return (id, snapshot)
        } catch {
            abandon()
            throw error
        }
    }

    /// Fenced meanwhile: the collector no longer waited for this writer, so the root may rest on what is gone. It is kept only
    /// when everything is there.
    private func confirm(_ id: ObjectID, root: BlobID) throws {
        guard try registration.isFenced() else { return }
        guard Reachability.isConfirmed(root, repository) else {
            // Somebody may have seen it.
            try Journal.append(to: repository.store, by: repository.keys, .now(), action: RemovalRecords.withdrawal, subjects: ["\(id)"])
            try repository.store.delete(SnapshotObject.key(id))
            throw RepoError(
                .failed, "this snapshot was silent for so long that a prune no longer waited for it, and what it rested on is gone",
                advice: "Run the snapshot again; raise 'prune --fence-after' when snapshots take that long.")
        }
    }

    /// Statistics as of now; `bytesStored` counts packs and index, the snapshot object itself comes on top.
    private func statistics() -> SnapshotStatistics {
        let progress = progress
        let output = pipeline.sink.output.statistics
        var statistics = SnapshotStatistics()
        statistics.bytesRead = progress.bytesRead
        statistics.bytesAdded = output.blobBytes
        statistics.bytesStored = output.objectBytes
        statistics.filesNew = progress.filesNew
        statistics.filesChanged = progress.filesChanged
        statistics.filesUnmodified = progress.filesUnmodified
        statistics.directories = progress.directories
        statistics.otherEntries = progress.otherEntries
        statistics.errors = progress.errors
        statistics.logicalBytes = progress.logicalBytes
        let elapsed = (SystemClock.elapsed() - started).components
        statistics.duration = UInt64(elapsed.seconds) * 1_000_000 + UInt64(elapsed.attoseconds / 1_000_000_000_000)
        return statistics
    }

    /// Stops everything; no snapshot comes of it. Harmless after a commit.
    public func abandon() {
        pipeline.fail(RepoError(.failed, "the snapshot was abandoned"))
        remembered?.memory?.discard()
        assembler.stop()
        pipeline.drain()
        // A collector that no longer waits for this writer may have condemned its packs.
        if (try? registration.isFenced()) == false { pipeline.sink.output.abandon() } else { pipeline.sink.output.close() }
        registration.end()
    }
}
