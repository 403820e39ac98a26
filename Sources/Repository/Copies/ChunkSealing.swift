import BlobEngine
import RepoBase

/// Stores chunks in a repository with other keys: read here, verified, hashed for there, and stored there where they are new, as deltas on the
/// same bases where those are there.
final class ChunkSealing: Sendable {
    private let source: OpenRepository
    private let destination: OpenRepository
    private let sink: BlobSink
    private let known: KnownBlobs
    private let progress: CopyProgress
    private let reading: BlobReader.SharedReading

    /// Chunks that a thread reads and hashes together: hashing works on eight at a time.
    private static let batchCount = 16

    init(_ source: OpenRepository, _ destination: OpenRepository, sink: BlobSink, known: KnownBlobs, progress: CopyProgress) {
        (self.source, self.destination, self.sink, self.known, self.progress) = (source, destination, sink, known, progress)
        reading = BlobReader.SharedReading()
    }

    private struct Worker: @unchecked Sendable {
        // Made by the thread that uses it, and used by no other.
        let reader: BlobReader
        let lane: BlobSink.Lane
    }

    /// The ids there, in the order given.
    /// - Parameter pairs: what some of them were called in the copy before, if it is still so.
    @discardableResult
    func copy(_ ids: [BlobID], pairs: [BlobID: BlobID]) throws -> [BlobID] {
        let index = try destination.index()
        var found: [BlobID: BlobID] = [:]
        var missing: [BlobID] = []
        for id in ids where found[id] == nil {
            if let other = known[id] {
                found[id] = other
            } else if let other = pairs[id], index.containsForDeduplication(other) {
                known.note(id, as: other)
                found[id] = other
            } else {
                missing.append(id)
            }
        }
        var unique: Set<BlobID> = []
        missing.removeAll { !unique.insert($0).inserted }
        if !missing.isEmpty {
            for (id, other) in try seal(missing) { found[id] = other }
            try indexFinishedPacks()
        }
        return ids.map { found[$0]! }
    }

    func indexFinishedPacks() throws {
        if try sink.output.indexFinishedPacks() { try sink.forgetIndexedClaims() }
    }

    private func seal(_ ids: [BlobID]) throws -> [BlobID: BlobID] {
        let result = Monitor<[BlobID: BlobID]>([:])
        let count = (ids.count + Self.batchCount - 1) / Self.batchCount
        let (source, reading, sink) = (source, reading, sink)
        let makeWorker: @Sendable () -> Worker = {
            Worker(reader: BlobReader(source, shared: reading), lane: sink.makeLane())
        }
        try ParallelWork.run(count, threads: availableProcessors(), worker: makeWorker) { [self] number, worker in
            let batch = Array(ids[number * Self.batchCount..<min(ids.count, (number + 1) * Self.batchCount)])
            let others = try seal(batch, worker)
            result.withLock { result in for (id, other) in zip(batch, others) { result[id] = other } }
        }
        return result.withLock { $0 }
    }

    private func seal(_ ids: [BlobID], _ worker: Worker) throws -> [BlobID] {
        let plaintexts = try worker.reader.read(ids, .chunk).map { try $0.get() }
        return try withExtendedLifetime(plaintexts) {
            let others = destination.blobHasher.ids(.chunk, plaintexts.map(\.bytes))
            for (position, id) in ids.enumerated() {
                let index = try destination.index()
                if sink.claim(others[position], in: index) {
                    try sink.encode(
                        others[position], .chunk, plaintexts[position].bytes, bases: try bases(of: id, worker), lane: worker.lane,
                        index: index)
                }
                known.note(id, as: others[position])
                let count = UInt64(plaintexts[position].count)
                progress.update { $0.bytes += count }
            }
            return others
        }
    }

    /// What the chunk's delta rests on here, as it is called there. The plaintexts are at hand: reading the chunk needed them.
    private func bases(of id: BlobID, _ worker: Worker) throws -> [BlobID] {
        let index = try source.index()
        guard let record = index.locations(of: id).first?.record else { return [] }
        return (0..<record.bases.count).compactMap { position in
            guard let base = index.candidates(prefix: record.bases[position]).first else { return nil }
            if let other = known[base] { return other }
            guard let plaintext = try? worker.reader.base(base, .chunk) else { return nil }
            return withExtendedLifetime(plaintext) { destination.blobHasher.id(.chunk, plaintext.bytes) }
        }
    }
}
