import BlobEngine
import RepoBase

/// The threads between a source and the packs: the source's thread fills the ring, workers scan, hash, encode and seal.
///
/// Bounds: the ring holds what is read and not stored; a batch has at most 4 MiB of chunks and one more; two full packs wait for the store.
final class Pipeline: Sendable {
    /// A batch for each worker, and 8 MiB to be read, scanned and gathered meanwhile. No more: what the kernel copies in should still be in
    /// the third-level cache when it is scanned, hashed and encoded.
    static func ringCapacity(threads: Int) -> Int { min(64 << 20, (8 << 20) + threads * ChunkBatcher.maximumBytes) }


    private static let spareCandidatesLimit = 16
    private static let remoteThreads = 6

    let ring: MirroredRing
    let sink: BlobSink
    let queue = JobQueue()
    let batcher: ChunkBatcher
    let chunkProfile: ChunkProfile
    let pageChunkSize: Int
    let progress = Monitor(SnapshotProgress())
    /// Bytes of content-defined contents that the rolling hash went over: what could not be followed along an earlier version.
    let scannedBytes = Monitor(0)
    let gear: GearTable
    private let failed = Monitor<RepoError?>(nil)
    private let workers = Monitor<[WorkerThread]>([])
    /// Candidates' memory between segments: fresh memory would cost more than the scan's own writes.
    private let spareCandidates = Monitor<[CandidateBuffer]>([])

    init(
        _ repository: OpenRepository, compressionLevel: Int32, deltaBases: DeltaBaseChoice = .auto, threads: Int, remembered: RememberedBlobs? = nil
    ) throws {
        // Where bases are fetched for each batch, threads wait for round trips.
        let threads = repository.isRemote && deltaBases != .never ? max(threads, Self.remoteThreads) : max(threads, 1)
        ring = try MirroredRing(capacity: Self.ringCapacity(threads: threads))
        sink = BlobSink(repository, compressionLevel: compressionLevel, deltaBases: deltaBases, remembered: remembered)
        batcher = ChunkBatcher(queue)
        chunkProfile = repository.chunkProfile
        pageChunkSize = repository.pageChunkSize
        gear = GearTable(chunkerSecret: repository.keys.chunkerSecret)
        workers.withLock { workers in
            workers = (0..<threads).map { _ in WorkerThread { [self] in run() } }
        }
    }

    /// What stopped the snapshot; asked for only when something did.
    var failure: RepoError {
        failed.withLock { $0 } ?? RepoError(.failed, "the snapshot was stopped")
    }

    var hasFailed: Bool { failed.withLock { $0 != nil } }

    /// The first failure counts. Everything that waits is let go.
    func fail(_ error: any Error) {
        failed.withLock { $0 = $0 ?? (error as? RepoError ?? RepoError(.failed, "\(error)")) }
        ring.cancel()
    }

    func countRead(_ bytes: Int) { progress.withLock { $0.bytesRead += UInt64(bytes) } }

    /// Lets the workers finish what there is and ends them.
    func drain() {
        batcher.flush()
        queue.close()
        let threads = workers.withLock { threads in
            defer { threads = [] }
            return threads
        }
        for thread in threads { thread.join() }
    }

    private func run() {
        let lane = sink.makeLane()
        while let job = queue.pop(willWait: batcher.flushForWorker) {
            switch job {
            case .scan(let scan): self.scan(scan)
            case .chunks(let chunks): store(chunks, lane)
            }
        }
    }

    private func scan(_ job: ScanJob) {
        var next: ScanJob? = job
        while let job = next {
            let matched = matchingChunks(job)
            let done = job.expected.prefix(matched).reduce(0) { $0 + $1.length }
            var candidates = spareCandidates.withLock { $0.popLast() } ?? CandidateBuffer()
            if done < job.length {
                scannedBytes.withLock { $0 += job.length - done }
                // From the bytes before on: they are contiguous with the segment, also where it begins the ring anew.
                let before = ring.pointer(at: job.position - UInt64(job.before))
                let base = (before + job.before + done).assumingMemoryBound(to: UInt8.self)
                CandidateScanner.scan(
                    gear, base: base, count: job.length - done, before: job.before + done, into: &candidates)
            }
            let outcome = job.cutting.deposit(job, matched: matched, candidates)
            spareCandidates.withLock { spare in
                for var buffer in outcome.used where spare.count < Self.spareCandidatesLimit {
                    buffer.removeAll()
                    spare.append(buffer)
                }
            }
            next = outcome.rescan
        }
    }

    /// How many of the expected chunks are there, from the first on. Hashes some at a time, side by side.
    private func matchingChunks(_ job: ScanJob) -> Int {
        guard !job.expected.isEmpty, job.cutting.expectation.place != nil else { return 0 }
        let base = UnsafeRawPointer(ring.pointer(at: job.position))
        var matched = 0
        var offset = 0
        var group: [UnsafeRawBufferPointer] = []
        while matched < job.expected.count {
            group.removeAll(keepingCapacity: true)
            for chunk in job.expected[matched...].prefix(Self.expectedGroup) {
                let end = offset + chunk.length
                guard CandidateScanner.mayEnd(
                    gear, chunkProfile, before: (base + end).assumingMemoryBound(to: UInt8.self), length: chunk.length)
                else { break }
                group.append(UnsafeRawBufferPointer(start: base + offset, count: chunk.length))
                offset = end
            }
            let ids = sink.repository.blobHasher.ids(.chunk, group)
            for id in ids {
                guard id == job.expected[matched].id else { return matched }
                matched += 1
            }
            if group.count < Self.expectedGroup { return matched }
        }
        return matched
    }

    /// Twice the widest kernel's lanes: chunks differ in length.
    private static let expectedGroup = 16

    private func store(_ jobs: [ChunkJob], _ lane: BlobSink.Lane) {
        let chunks = jobs.map {
            UnsafeRawBufferPointer(start: ring.pointer(at: $0.position), count: $0.length)
        }
        let ids = ids(of: jobs, chunks)
        do {
            let index = try sink.repository.index()
            var new: [Int] = []
            for (position, job) in jobs.enumerated() {
                job.content.inspection?.inspect(chunks[position], at: job.offset)
                if sink.claim(ids[position], in: index) { new.append(position) }
            }
            try sink.withBases(new.map { (bases(for: jobs[$0]), chunks[$0].count) }, lane, index) { chosen in
                for (position, bases) in zip(new, chosen) where !hasFailed {
                    try sink.encode(ids[position], .chunk, chunks[position], bases: bases, lane: lane, index: index)
                }
            }
        } catch {
            fail(error)
        }
        for (position, job) in jobs.enumerated() {
            ring.release(job.position, count: job.length)
            job.content.resolve([(job.place, ids[position])])
        }
        do {
            if try sink.output.indexFinishedPacks() { try sink.forgetIndexedClaims() }
        } catch {
            fail(error)
        }
    }

    private func ids(of jobs: [ChunkJob], _ chunks: [UnsafeRawBufferPointer]) -> [BlobID] {
        let unknown = jobs.indices.filter { jobs[$0].id == nil }
        var computed = sink.repository.blobHasher.ids(.chunk, unknown.map { chunks[$0] }).makeIterator()
        let ids = jobs.map { $0.id ?? computed.next()! }
        // The last two of a batch stand for all of it.
        if let last = jobs.last, jobs.count > 1, let cutting = last.cutting, cutting === jobs[jobs.count - 2].cutting {
            cutting.note(ids[jobs.count - 2], ids[jobs.count - 1], end: last.offset + UInt64(last.length))
        }
        return ids
    }

    private func bases(for job: ChunkJob) -> [BlobID] {
        guard let previous = job.content.previous else { return [] }
        if !job.sketch.isEmpty {
            let matches = previous.sketches.bestMatches(
                job.sketch, upTo: DeltaBases.maximumCount, near: previous.number(at: job.offset) ?? 0)
            if !matches.isEmpty { return matches.map { previous.chunks[$0].id } }
        }
        return previous.chunk(at: job.offset).map { [$0] } ?? []
    }
}
