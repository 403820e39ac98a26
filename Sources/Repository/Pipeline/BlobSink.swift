import BlobEngine
import RepoBase

/// Stores blobs once: decides what is new, encodes it, verifies the encoding, and hands it to the packs.
///
/// Shared by the threads of one snapshot; each brings its own `Lane`.
final class BlobSink: Sendable {
    let repository: OpenRepository
    let output: PackOutput
    private let compressionLevel: Int32
    private let deltaBases: DeltaBaseChoice
    private let reading: BlobReader.SharedReading
    private let remembered: RememberedBlobs?
    /// Ids that this snapshot stores and the index does not show yet. Each is stored by whoever claims it first.
    private let claimed = Monitor<Set<BlobID>>([])

    /// - Parameter remembered: for a writer key: what stands for the repository in reading, and keeps trees and lists for the next time.
    init(
        _ repository: OpenRepository, compressionLevel: Int32, deltaBases: DeltaBaseChoice = .auto, remembered: RememberedBlobs? = nil
    ) {
        self.repository = repository
        self.remembered = remembered
        self.deltaBases = deltaBases
        reading = BlobReader.SharedReading(baseCacheLimit: 24 << 20, remembered: remembered)
        self.compressionLevel = compressionLevel
        output = PackOutput(repository)
    }

    /// What one thread needs to encode: codec contexts, buffers, a reader for bases.
    final class Lane {
        let coder: BlobCoder
        let reader: BlobReader
        var encoded = AlignedBuffer(capacity: 1 << 20)
        var decoded = AlignedBuffer(capacity: 1 << 20)

        init(_ sink: BlobSink) {
            coder = BlobCoder(level: sink.compressionLevel)
            reader = BlobReader(sink.repository, shared: sink.reading)
        }
    }

    func makeLane() -> Lane { Lane(self) }

    /// True when the caller is to store the blob; false when it is in the repository or another thread is at it.
    func claim(_ id: BlobID, in index: IndexView) -> Bool {
        if index.containsForDeduplication(id) { return false }
        return claimed.withLock { $0.insert(id).inserted }
    }

    /// Chooses bases for the chunks of a batch, where they are to be chosen, and fetches them; runs `body` with the choice while they are at hand.
    /// - Parameters:
    ///   - wanted: for each chunk, the best one last, and how long the chunk is.
    func withBases<R>(
        _ wanted: [(bases: [BlobID], rawLength: Int)], _ lane: Lane, _ index: IndexView, _ body: ([[BlobID]]) throws -> R
    ) rethrows -> R {
        if deltaBases == .never { return try body(wanted.map { _ in [] }) }
        // What a writer key rests on is in memory.
        guard repository.isRemote, remembered == nil else { return try body(wanted.map(\.bases)) }
        var selection = BaseSelection(index, weighs: deltaBases == .auto) { lane.reader.holdsBase($0) }
        let chosen = wanted.map { selection.choose($0.bases, rawLength: $0.rawLength) }
        return try lane.reader.with(BaseFetching(repository.store).fetch(selection.needed.values)) { try body(chosen) }
    }

    /// Stores a blob if it is new and returns its id. For lists and trees, one at a time.
    /// `bases` is asked for only then.
    func store(
        _ type: BlobType, _ bytes: UnsafeRawBufferPointer, lane: Lane, bases: () -> [BlobID] = { [] }
    ) throws -> BlobID {
        let id = repository.blobHasher.id(type, bytes)
        remembered?.memory?.keep(id, type, bytes)
        let index = try repository.index()
        if claim(id, in: index) {
            try encode(id, type, bytes, bases: bases(), lane: lane, index: index)
        }
        return id
    }

    /// Encodes against some of `bases`, where they are there, within the chain's bound, and appends.
    func encode(
        _ id: BlobID, _ type: BlobType, _ raw: UnsafeRawBufferPointer, bases wanted: [BlobID], lane: Lane,
        index: IndexView
    ) throws {
        if lane.encoded.capacity < raw.count { lane.encoded = AlignedBuffer(capacity: raw.count) }
        if lane.decoded.capacity < raw.count { lane.decoded = AlignedBuffer(capacity: raw.count) }
        let bases = DeltaBases(from: wanted.filter { $0 != id }, type: type, index: index)
        try append(id, type, raw, encoded(type, raw, bases, lane), lane)
    }

    /// A blob as it is to be stored; the bytes are in the lane, unless it is plain.
    private struct Encoded {
        let encoding: BlobEncoding
        let count: Int
        let bases: LoadedBases
    }

    /// Bases at hand, the best one last.
    private struct LoadedBases {
        var rungs: [DeltaBases.Rung] = []
        var plaintexts: [AlignedBuffer] = []

        var prefixes: BlobBases {
            var bases = BlobBases()
            for rung in rungs { bases.append(rung.id.prefix) }
            return bases
        }
    }

    /// Rests on the nearest versions as long as the chain has room; at its bound, on older ones, and when the delta has grown too much for that,
    /// one link further down each time, so that the blob becomes the link on which later ones rest.
    private func encoded(
        _ type: BlobType, _ raw: UnsafeRawBufferPointer, _ bases: DeltaBases, _ lane: Lane
    ) throws -> Encoded {
        let bound = DeltaBases.maximumDepth(type) - 1
        var best = try encoded(type, raw, bases.rungs(atMost: bound), lane)
        guard best.encoding == .delta, bases.depth > bound else { return best }
        var unit = deltaLength(type, raw, bases.rungs(atMost: bases.depth), lane) ?? best.count
        while let link = best.bases.rungs.last,
            ChainRenewal.isDue(delta: best.count, unit: unit, below: link.storedLength)
        {
            unit = best.count
            best = try encoded(type, raw, link.depth > 0 ? bases.rungs(atMost: link.depth - 1) : [], lane)
        }
        return best
    }

    private func encoded(
        _ type: BlobType, _ raw: UnsafeRawBufferPointer, _ rungs: [DeltaBases.Rung], _ lane: Lane
    ) throws -> Encoded {
        let bases = load(rungs, type, lane)
        let (encoding, count) = try withExtendedLifetime(bases) {
            try lane.coder.encode(raw, bases: bases.plaintexts.map(\.bytes), into: lane.encoded.all)
        }
        return Encoded(encoding: encoding, count: count, bases: encoding == .delta ? bases : LoadedBases())
    }

    /// What a delta would take; nil when it is none worth having.
    private func deltaLength(
        _ type: BlobType, _ raw: UnsafeRawBufferPointer, _ rungs: [DeltaBases.Rung], _ lane: Lane
    ) -> Int? {
        let bases = load(rungs, type, lane)
        return withExtendedLifetime(bases) {
            try? lane.coder.deltaLength(raw, bases: bases.plaintexts.map(\.bytes), scratch: lane.decoded.all)
        }
    }

    /// A base that cannot be read is no reason to fail: the others serve, or the blob is stored on its own.
    private func load(_ rungs: [DeltaBases.Rung], _ type: BlobType, _ lane: Lane) -> LoadedBases {
        var bases = LoadedBases()
        for rung in rungs {
            guard let plaintext = try? lane.reader.base(rung.id, type) else { continue }
            bases.rungs.append(rung)
            bases.plaintexts.append(plaintext)
        }
        return bases
    }

    private func append(
        _ id: BlobID, _ type: BlobType, _ raw: UnsafeRawBufferPointer, _ result: Encoded, _ lane: Lane
    ) throws {
        if result.encoding == .plain {
            try append(id, type, .plain, raw, BlobBases(), raw)
            return
        }
        let encoded = UnsafeRawBufferPointer(start: lane.encoded.base, count: result.count)
        // Verify before trust: what will be stored is decoded and compared while the original is at hand.
        try withExtendedLifetime(result.bases) {
            try lane.coder.decode(
                encoded, encoding: result.encoding, rawLength: raw.count, bases: result.bases.plaintexts.map(\.bytes),
                into: lane.decoded.base, object: "blob \(id)")
        }
        guard memoryIsEqual(lane.decoded.base, raw) else {
            throw RepoError(
                .failed, "blob \(id) did not decode to what was encoded: this machine's memory or processor errs",
                advice: "Test the machine's memory; nothing wrong was stored.")
        }
        try append(id, type, result.encoding, raw, result.bases.prefixes, encoded)
    }

    private func append(
        _ id: BlobID, _ type: BlobType, _ encoding: BlobEncoding, _ raw: UnsafeRawBufferPointer,
        _ bases: BlobBases, _ encoded: UnsafeRawBufferPointer
    ) throws {
        try output.append(
            id: id, type: type, encoding: encoding, rawLength: UInt32(raw.count), bases: bases, encoded: encoded)
    }

    /// Lets go of claims that the index shows by now; called after a segment was stored.
    func forgetIndexedClaims() throws {
        let index = try repository.index()
        claimed.withLock { ids in ids = ids.filter { !index.contains($0) } }
    }
}
