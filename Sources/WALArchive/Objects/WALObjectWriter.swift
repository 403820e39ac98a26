import BlobEngine
public import PostgresFormats
public import RepoBase
import Repository
import Storage

/// A file to be stored in an object of the log.
public struct WALFile: Sendable {
    public var name: String
    /// Must not be changed any more.
    public var content: AlignedBuffer
    /// For segments, whole or in part; nil where they are not known.
    public var facts: WALFacts?

    public init(name: String, content: AlignedBuffer, facts: WALFacts?) {
        (self.name, self.content, self.facts) = (name, content, facts)
    }
}

/// An object's bytes, ready to be put.
struct SealedWALObject: Sendable {
    let description: WALObjectDescription
    let bytes: AlignedBuffer
}

/// Compresses, seals and signs objects of the log (format.md, 12.2), several pieces at once.
struct WALObjectWriter {
    let keys: KeyRing
    let hasher: ContentHasher
    /// 1 to 19.
    var level = BlobCoder.defaultLevel
    var threads = availableProcessors()

    private struct Job {
        let file: Int
        let start: Int
        let length: Int
        let ordinal: Int
    }

    private struct Outcome {
        var pieces: [(encoding: BlobEncoding, sealed: AlignedBuffer)?]
        var identities: [Hash256?]
    }

    /// Every piece is opened and decoded again and compared with the content before this returns. Needs memory for the sealed pieces twice.
    /// Throws `.failed` when what was sealed does not open to what it was.
    func seal(
        _ files: [WALFile], key: StoreKey, segmentSize: WALSegmentSize?, stored: FileTime, host: String
    ) throws -> SealedWALObject {
        let dataKey = SecretBytes(RandomBytes.make(AuthenticatedCipher.keyByteCount))
        let jobs = self.jobs(files)
        let outcome = Monitor(
            Outcome(pieces: [(BlobEncoding, AlignedBuffer)?](repeating: nil, count: jobs.count), identities: files.map { _ in nil }))
        let level = level
        let hasher = hasher
        // Identities first: one of them takes as long as a piece or two.
        try ParallelWork.run(
            files.count + jobs.count, threads: threads, worker: { PieceSealer(dataKey: dataKey, level: level) }
        ) { number, sealer in
            if number < files.count {
                let content = files[number].content
                let identity = withExtendedLifetime(content) { hasher.identity(content.bytes) }
                outcome.withLock { $0.identities[number] = identity }
                return
            }
            let job = jobs[number - files.count]
            let content = files[job.file].content
            let piece = try withExtendedLifetime(content) {
                try sealer.seal(
                    UnsafeRawBufferPointer(rebasing: content.bytes[job.start..<job.start + job.length]), ordinal: job.ordinal,
                    object: "\(key)")
            }
            outcome.withLock { $0.pieces[number - files.count] = piece }
        }
        let done = outcome.withLock { $0 }
        let pieces = done.pieces.map { $0! }
        var stored = WALObjectDescription(
            key: key, segmentSize: segmentSize, files: [], stored: stored, host: host)
        for (number, file) in files.enumerated() {
            let own = jobs.filter { $0.file == number }.map { job in
                WALObjectDescription.Piece(
                    encoding: pieces[job.ordinal].encoding, length: UInt32(job.length),
                    storedLength: UInt32(pieces[job.ordinal].sealed.count - AuthenticatedCipher.tagByteCount))
            }
            stored.files.append(.init(name: file.name, identity: done.identities[number]!, pieces: own))
        }
        stored.sealedFacts = sealFacts(files, stored, dataKey)
        return SealedWALObject(
            description: stored, bytes: try assemble(stored, dataKey: dataKey, pieces: pieces.map(\.sealed)))
    }

    private func jobs(_ files: [WALFile]) -> [Job] {
        var jobs: [Job] = []
        for (number, file) in files.enumerated() {
            for start in stride(from: 0, to: file.content.count, by: WALObjectDescription.Piece.maximumLength) {
                let length = min(WALObjectDescription.Piece.maximumLength, file.content.count - start)
                jobs.append(Job(file: number, start: start, length: length, ordinal: jobs.count))
            }
        }
        return jobs
    }

    /// Facts of all files that may have some, empty ones where they are not known; none when nothing is known at all.
    private func sealFacts(_ files: [WALFile], _ description: WALObjectDescription, _ dataKey: SecretBytes) -> [[UInt8]] {
        guard files.contains(where: { $0.facts != nil }) else { return [] }
        let cipher = AuthenticatedCipher(key: dataKey.bytes)
        return zip(files, description.files).filter { $0.1.hasFacts }.enumerated().map { index, pair in
            cipher.seal(
                nonce: WALObjectFrame.factsNonce(index), associated: WALObjectFrame.factsContext,
                (pair.0.facts ?? WALFacts()).encoded())
        }
    }

    private func assemble(
        _ description: WALObjectDescription, dataKey: SecretBytes, pieces: [AlignedBuffer]
    ) throws(RepoError) -> AlignedBuffer {
        let epoch = keys.currentEpoch
        let plain = description.encoded()
        let length = plain.count + AuthenticatedCipher.tagByteCount
        guard length <= WALObjectDescription.maximumDescriptionLength else {
            throw RepoError(.failed, "\(description.key) would have a description of \(length) bytes, more than a reader takes")
        }
        var writer = ByteWriter()
        writer.raw(WALObjectFrame.magic)
        writer.u32(WALObjectFrame.version)
        writer.u32(epoch.epoch)
        writer.u32(UInt32(length))
        writer.raw(
            Envelope.seal(
                dataKey.bytes, to: epoch.publicKey, info: WALObjectFrame.envelopeInfo, associated: writer.bytes))
        let nonce = SealingNonce.random()
        writer.raw(nonce.bytes)
        writer.raw(keys.signer.id.bytes)
        let header = writer.bytes
        let sealed = AuthenticatedCipher(key: epoch.indexKey.bytes).seal(nonce: nonce, associated: header, plain)
        writer.raw(keys.signer.sign(WALObjectFrame.message(description: sealed, header: header)))
        writer.raw(sealed)

        let buffer = AlignedBuffer(capacity: writer.count + pieces.reduce(0) { $0 + $1.count })
        buffer.base.copyMemory(from: writer.bytes, byteCount: writer.count)
        buffer.count = writer.count
        for piece in pieces {
            withExtendedLifetime(piece) { (buffer.base + buffer.count).copyMemory(from: piece.base, byteCount: piece.count) }
            buffer.count += piece.count
        }
        // Reads it back as a reader would.
        let frame = try WALObjectFrame(Array(writer.bytes.prefix(WALObjectFrame.length)), object: "\(description.key)")
        let opened = try frame.openDescription(sealed, keys: keys, object: "\(description.key)")
        guard try WALObjectDescription(opened, object: "\(description.key)") == description else {
            throw PieceSealer.machineErrs("\(description.key)")
        }
        return buffer
    }
}

/// Encodes and seals pieces of one object. One for each thread.
private final class PieceSealer {
    private let cipher: AuthenticatedCipher
    private let coder: BlobCoder
    private let encoded = AlignedBuffer(capacity: WALObjectDescription.Piece.maximumLength)
    private let opened = AlignedBuffer(capacity: WALObjectDescription.Piece.maximumLength)
    private let decoded = AlignedBuffer(capacity: WALObjectDescription.Piece.maximumLength)

    init(dataKey: SecretBytes, level: Int32) {
        cipher = AuthenticatedCipher(key: dataKey.bytes)
        coder = BlobCoder(level: level)
    }

    func seal(
        _ raw: UnsafeRawBufferPointer, ordinal: Int, object: String
    ) throws(RepoError) -> (encoding: BlobEncoding, sealed: AlignedBuffer) {
        var (encoding, count) = try coder.encode(raw, bases: [], into: encoded.all)
        let plaintext: UnsafeRawBufferPointer
        if encoding == .plain {
            (plaintext, count) = (raw, raw.count)
        } else {
            plaintext = UnsafeRawBufferPointer(start: encoded.base, count: count)
        }
        let sealed = AlignedBuffer(capacity: count + AuthenticatedCipher.tagByteCount)
        let associated = WALObjectFrame.pieceAssociated(ordinal: ordinal, length: UInt32(raw.count))
        let isGood = associated.withUnsafeBytes { associated in
            cipher.seal(nonce: .ordinal(UInt32(ordinal)), associated: associated, plaintext: plaintext, into: sealed.base)
            sealed.count = count + AuthenticatedCipher.tagByteCount
            return cipher.open(
                nonce: .ordinal(UInt32(ordinal)), associated: associated, sealed: sealed.bytes, into: opened.base)
        }
        guard isGood else { throw Self.machineErrs(object) }
        try coder.decode(
            UnsafeRawBufferPointer(start: opened.base, count: count), encoding: encoding, rawLength: raw.count, bases: [],
            into: decoded.base, object: object)
        guard memoryIsEqual(decoded.base, raw) else { throw Self.machineErrs(object) }
        return (encoding, sealed)
    }

    static func machineErrs(_ object: String) -> RepoError {
        RepoError(
            .failed, "\(object) did not open to what was sealed: this machine's memory or processor errs",
            advice: "Test the machine's memory; nothing wrong was stored.")
    }
}
