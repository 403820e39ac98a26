import BlobEngine
import RepoBase
import Storage

/// Takes sealed blobs, fills packs, and stores full ones behind the callers' backs.
///
/// Two kinds of packs are open at a time: one for chunks, one for lists and trees, so that reading a directory never drags data
/// along. A pack that is full goes to the uploader through a bounded queue and its buffer comes back, so at most `bufferCount` buffers exist.
/// Order on the store (design, commit order): packs, then the index segment that names them.
final class PackOutput: Sendable {
    /// Bytes of a full pack of chunks, whatever is in it; packs of lists and trees are half as large.
    static let targetSize = 16 << 20
    /// Two packs are open, each uploader has one, and one waits.
    private let bufferCount: Int
    /// Blobs after which a segment of the index is stored, so that what an interrupted snapshot has done is found by the next.
    private static let blobsPerSegment = 1 << 16
    /// Or packs, since chunks are large: no more than 1 GiB is stored again after a kill.
    private static let packsPerSegment = 64

    /// Packs that travel at once. A round trip of 50 ms is as long as 16 MiB take on a line of 320 MB/s: four hide it.
    private static let remoteUploaders = 4
    private static let localUploaders = 2

    private struct Open {
        var writer: PackWriter?
        var buffer: AlignedBuffer?
    }

    private struct State {
        var failure: RepoError?
        var freeBuffers: [AlignedBuffer] = []
        var buffersMade = 0
        var uploading = 0
        var finished: [(pack: PackRecord, blobs: [BlobRecord])] = []
        var finishedBlobs = 0
        var statistics = Statistics()
    }

    struct Statistics: Hashable {
        /// Sealed bytes of new blobs, tags included.
        var blobBytes: UInt64 = 0
        /// Bytes of all objects stored: packs and index segments.
        var objectBytes: UInt64 = 0
        var blobs: UInt64 = 0
        var packs: UInt64 = 0
    }

    private struct Upload: @unchecked Sendable {
        // A finished writer belongs to the uploader alone.
        let writer: PackWriter
        let buffer: AlignedBuffer
        /// Of lists and trees.
        let isMetadata: Bool
        /// Another blob was about to come: such packs are all of one size.
        let isFull: Bool
    }

    private let repository: OpenRepository
    private let epoch: EpochKeys
    private let data: Monitor<Open>
    private let metadata: Monitor<Open>
    private let state = Monitor(State())
    private let uploads = BoundedQueue<Upload>(limit: 2)
    private let uploaders: [WorkerThread]

    init(_ repository: OpenRepository) {
        self.repository = repository
        epoch = repository.keys.currentEpoch
        data = Monitor(Open())
        metadata = Monitor(Open())
        let queue = uploads
        let state = state
        let count = repository.isRemote ? Self.remoteUploaders : Self.localUploaders
        bufferCount = count + 3
        uploaders = (0..<count).map { _ in
            WorkerThread {
                while let upload = queue.pop() { Self.store(upload, repository, state) }
            }
        }
    }

    var statistics: Statistics { state.withLock { $0.statistics } }

    /// Counts what was stored on the way here.
    func count(objectBytes: UInt64) { state.withLock { $0.statistics.objectBytes += objectBytes } }

    /// Seals one blob into the open pack of its kind. May wait for a buffer. Throws what storing an earlier pack threw.
    func append(
        id: BlobID, type: BlobType, encoding: BlobEncoding, rawLength: UInt32, bases: BlobBases,
        encoded: UnsafeRawBufferPointer
    ) throws {
        try (type == .chunk ? data : metadata).withLock { open in
            if let writer = open.writer, !writer.fits(encodedLength: encoded.count, in: Self.target(isMetadata: type != .chunk)) {
                handOver(&open, isMetadata: type != .chunk, isFull: true)
            }
            let writer = try open.writer ?? begin(&open, holding: encoded.count)
            _ = try writer.append(
                id: id, type: type, encoding: encoding, rawLength: rawLength, bases: bases, encoded: encoded)
        }
        state.withLock { state in
            state.statistics.blobs += 1
            state.statistics.blobBytes += UInt64(encoded.count + 16)
        }
    }

    private static func target(isMetadata: Bool) -> Int { isMetadata ? targetSize / 2 : targetSize }

    private func begin(_ open: inout Open, holding encodedLength: Int) throws -> PackWriter {
        let buffer: AlignedBuffer = try state.wait { state in
            if let failure = state.failure { throw failure }
            if let free = state.freeBuffers.popLast() { return free }
            guard state.buffersMade < bufferCount else { return nil }
            state.buffersMade += 1
            return AlignedBuffer(capacity: Self.targetSize + (18 << 20))
        }
        let writer = PackWriter(buffer: buffer, epoch: epoch)
        open.writer = writer
        open.buffer = buffer
        return writer
    }

    private func handOver(_ open: inout Open, isMetadata: Bool, isFull: Bool = false) {
        guard let writer = open.writer, let buffer = open.buffer else { return }
        open = Open()
        state.withLock { $0.uploading += 1 }
        uploads.push(Upload(writer: writer, buffer: buffer, isMetadata: isMetadata, isFull: isFull))
    }

    private static func store(_ upload: Upload, _ repository: OpenRepository, _ state: Monitor<State>) {
        var failure: RepoError?
        var done: (pack: PackRecord, blobs: [BlobRecord])?
        do {
            if let failed = state.withLock({ $0.failure }) { throw failed }
            let size = upload.isFull ? target(isMetadata: upload.isMetadata) : 0
            let pack = try upload.writer.finish(signer: repository.keys.signer, paddedTo: size)
            do {
                let key = PackObject.key(pack.record.id)
                if upload.isMetadata {
                    try repository.store.put(key, upload.buffer.bytes, .create)
                } else {
                    try repository.store.putData(key, upload.buffer.bytes, .create)
                }
            } catch let error as RepoError where error.code == .conflict {
                // The same bytes under the name of their hash: an earlier try that had worked after all.
            }
            // The next snapshot will ask for it. A writer key can read nothing of it.
            if upload.isMetadata, repository.keys.role == .full { repository.objects?.keep(pack.record.id, upload.buffer.bytes) }
            done = (pack.record, pack.blobs)
        } catch let error as RepoError {
            failure = error
        } catch {
            failure = RepoError(.failed, "\(error)")
        }
        state.update { state in
            state.uploading -= 1
            state.failure = state.failure ?? failure
            state.freeBuffers.append(upload.buffer)
            guard let done else { return }
            state.finishedBlobs += done.blobs.count
            state.finished.append(done)
            state.statistics.packs += 1
            state.statistics.objectBytes += done.pack.size
        }
    }

    /// Stores a segment of the index when enough packs have been finished since the last one. True when it did.
    @discardableResult
    func indexFinishedPacks(force: Bool = false) throws -> Bool {
        let due: [(pack: PackRecord, blobs: [BlobRecord])] = try state.withLock { state in
            if let failure = state.failure { throw failure }
            let isDue =
                state.finishedBlobs >= Self.blobsPerSegment || state.finished.count >= Self.packsPerSegment
            guard force || isDue else { return [] }
            defer {
                state.finished = []
                state.finishedBlobs = 0
            }
            return state.finished
        }
        guard !due.isEmpty else { return false }
        do {
            let size = try IndexSegmentStore.store(packs: due, replacing: [], in: repository)
            state.withLock { $0.statistics.objectBytes += size }
        } catch {
            // They are still in no segment: whoever gives up must know of them.
            state.withLock { state in
                state.finished = due + state.finished
                state.finishedBlobs += due.reduce(0) { $0 + $1.blobs.count }
            }
            throw error
        }
        return true
    }

    /// Packs that were stored and are in no segment yet.
    var unindexedPacks: [PackRecord] { state.withLock { $0.finished.map(\.pack) } }

    /// Closes the open packs, waits until all are stored, and stores the index of the rest.
    func finish() throws {
        data.withLock { handOver(&$0, isMetadata: false) }
        metadata.withLock { handOver(&$0, isMetadata: true) }
        try state.wait { state in
            if let failure = state.failure { throw failure }
            return state.uploading == 0 ? () : nil
        }
        try indexFinishedPacks(force: true)
        close()
    }

    /// Ends the uploaders after a failure, and indexes the packs that were stored, where that still works: the next snapshot
    /// uses them. What is not indexed is left to the collector.
    func abandon() {
        close()
        let stored = state.withLock { state in
            defer { state.finished = [] }
            return state.finished
        }
        if !stored.isEmpty { _ = try? IndexSegmentStore.store(packs: stored, replacing: [], in: repository) }
    }

    /// Ends the uploaders.
    func close() {
        uploads.close()
        for uploader in uploaders { uploader.join() }
    }
}
