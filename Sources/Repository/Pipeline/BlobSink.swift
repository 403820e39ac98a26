import BlobEngine
import RepoBase

/// Stores blobs once: decides what is new, encodes it, verifies the encoding, and hands it to the packs.
///
/// Shared by the threads of one snapshot; each brings its own `Lane`.
final class BlobSink: Sendable {
    let repository: OpenRepository
    let output: PackOutput
    private let compressionLevel: Int32
    private let reading = BlobReader.SharedReading(baseCacheLimit: 24 << 20)
    /// Ids that this snapshot stores and the index does not show yet. Each is stored by whoever claims it first.
    private let claimed = Monitor<Set<BlobID>>([])

    init(_ repository: OpenRepository, compressionLevel: Int32) {
        self.repository = repository
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

    /// Stores a blob if it is new and returns its id. For lists and trees, one at a time.
    /// `bases` is asked for only then.
    func store(
        _ type: BlobType, _ bytes: UnsafeRawBufferPointer, lane: Lane, bases: () -> [BlobID]
    ) throws -> BlobID {
        let id = repository.blobHasher.id(type, bytes)
        let index = try repository.index()
        if claim(id, in: index) {
            try encode(id, type, bytes, bases: bases(), lane: lane, index: index)
        }
        return id
    }

    /// Encodes against some of `bases`, where they are there and short of the chain's bound, and appends.
    func encode(
        _ id: BlobID, _ type: BlobType, _ raw: UnsafeRawBufferPointer, bases wanted: [BlobID], lane: Lane,
        index: IndexView
    ) throws {
        let plans = DeltaBases.choose(from: wanted, type: type, index: index)
        var bases = BlobBases()
        var plaintexts: [AlignedBuffer] = []
        for base in plans where base != id {
            // A base that cannot be read is no reason to fail: the blob is stored on its own.
            guard let buffer = try? lane.reader.base(base, type) else { continue }
            bases.append(base.prefix)
            plaintexts.append(buffer)
        }
        if lane.encoded.capacity < raw.count { lane.encoded = AlignedBuffer(capacity: raw.count) }
        if lane.decoded.capacity < raw.count { lane.decoded = AlignedBuffer(capacity: raw.count) }
        try withExtendedLifetime(plaintexts) {
            try encode(id, type, raw, bases, plaintexts.map(\.bytes), lane)
        }
    }

    private func encode(
        _ id: BlobID, _ type: BlobType, _ raw: UnsafeRawBufferPointer, _ bases: BlobBases,
        _ prefix: [UnsafeRawBufferPointer], _ lane: Lane
    ) throws {
        let (encoding, count) = try lane.coder.encode(raw, bases: prefix, into: lane.encoded.all)
        if encoding == .plain {
            try append(id, type, .plain, raw, BlobBases(), raw)
            return
        }
        let encoded = UnsafeRawBufferPointer(start: lane.encoded.base, count: count)
        // Verify before trust: what will be stored is decoded and compared while the original is at hand.
        try lane.coder.decode(
            encoded, encoding: encoding, rawLength: raw.count, bases: encoding == .delta ? prefix : [],
            into: lane.decoded.base, object: "blob \(id)")
        guard memoryIsEqual(lane.decoded.base, raw) else {
            throw RepoError(
                .failed, "blob \(id) did not decode to what was encoded: this machine's memory or processor errs",
                advice: "Test the machine's memory; nothing wrong was stored.")
        }
        try append(id, type, encoding, raw, encoding == .delta ? bases : BlobBases(), encoded)
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
