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

    /// A quarter of what a piece may have (format.md, 12.2): a segment is then sixteen pieces, which busy all threads to the end, and what a
    /// thread works on stays in its processor's cache. It stores 0.7 % more than pieces of 4 MiB.
    static let pieceLength = 1 << 20

    /// What is made of one file.
    private struct SealedFile {
        var identity: Hash256?
        var facts: WALFacts?
        var pieces: [SealedPiece?]
    }

    fileprivate struct SealedPiece {
        let description: WALObjectDescription.Piece
        let bytes: AlignedBuffer
    }

    private struct Place {
        let range: Range<Int>
        let ordinal: Int
    }

    /// Every piece is opened and decoded again and compared with the content before this returns. Needs memory for one file a thread, and for
    /// the sealed pieces.
    /// Throws what loading a file throws, and `.failed` when what was sealed does not open to what it was.
    func seal(
        _ files: WALFileSource, key: StoreKey, segmentSize: WALSegmentSize?, stored: FileTime, host: String
    ) throws -> SealedWALObject {
        let dataKey = SecretBytes.random(AuthenticatedCipher.keyByteCount)
        let places = Self.places(files.lengths)
        let hasher = hasher
        let sealed = Monitor(places.map { SealedFile(pieces: [SealedPiece?](repeating: nil, count: $0.count)) })
        // A single file is shared out in pieces, several as whole files: then none is in memory that nobody works at.
        if files.names.count == 1 {
            let file = try files.load(0)
            let own = places[0]
            sealed.withLock { $0[0].facts = file.facts }
            try work(own.count + 1, dataKey) { number, sealer in
                // The identity first: it takes as long as a few pieces.
                if number == 0 {
                    let identity = Self.identity(of: file, hasher)
                    sealed.withLock { $0[0].identity = identity }
                } else {
                    let piece = try sealer.seal(file, own[number - 1].range, ordinal: own[number - 1].ordinal, object: "\(key)")
                    sealed.withLock { $0[0].pieces[number - 1] = piece }
                }
            }
        } else {
            try work(files.names.count, dataKey) { number, sealer in
                let file = try files.load(number)
                let own = SealedFile(
                    identity: Self.identity(of: file, hasher), facts: file.facts,
                    pieces: try places[number].map { try sealer.seal(file, $0.range, ordinal: $0.ordinal, object: "\(key)") })
                sealed.withLock { $0[number] = own }
            }
        }
        let done = sealed.withLock { $0 }
        sealed.withLock { $0 = [] }
        var description = WALObjectDescription(key: key, segmentSize: segmentSize, files: [], stored: stored, host: host)
        description.files = zip(files.names, done).map { name, file in
            .init(name: name, identity: file.identity!, pieces: file.pieces.map { $0!.description })
        }
        description.sealedFacts = sealFacts(done.map(\.facts), description, dataKey)
        return SealedWALObject(
            description: description, bytes: try assemble(description, dataKey: dataKey, pieces: done.flatMap { $0.pieces.map { $0!.bytes } }))
    }

    private func work(
        _ count: Int, _ dataKey: SecretBytes, _ body: @escaping @Sendable (_ number: Int, _ sealer: PieceSealer) throws -> Void
    ) throws {
        let level = level
        try ParallelWork.run(count, threads: threads, worker: { PieceSealer(dataKey: dataKey, level: level) }, body)
    }

    private static func identity(of file: WALFile, _ hasher: ContentHasher) -> Hash256 {
        withExtendedLifetime(file.content) { hasher.identity(file.content.bytes) }
    }

    /// Where the pieces of each file begin and end; ordinals count through all files.
    private static func places(_ lengths: [Int]) -> [[Place]] {
        var ordinal = 0
        return lengths.map { length in
            stride(from: 0, to: length, by: pieceLength).map { start in
                defer { ordinal += 1 }
                return Place(range: start..<min(start + pieceLength, length), ordinal: ordinal)
            }
        }
    }

    /// Facts of all files that may have some, empty ones where they are not known; none when nothing is known at all.
    private func sealFacts(_ facts: [WALFacts?], _ description: WALObjectDescription, _ dataKey: SecretBytes) -> [[UInt8]] {
        guard facts.contains(where: { $0 != nil }) else { return [] }
        let cipher = AuthenticatedCipher(key: dataKey)
        return zip(facts, description.files).filter { $0.1.hasFacts }.enumerated().map { index, pair in
            cipher.seal(
                nonce: WALObjectFrame.factsNonce(index), associated: WALObjectFrame.factsContext,
                (pair.0 ?? WALFacts()).encoded())
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
                dataKey, to: epoch.publicKey, info: WALObjectFrame.envelopeInfo, associated: writer.bytes))
        let nonce = SealingNonce.random()
        writer.raw(nonce.bytes)
        writer.raw(keys.signer.id.bytes)
        let header = writer.bytes
        let sealed = AuthenticatedCipher(key: epoch.indexKey).seal(nonce: nonce, associated: header, plain)
        writer.raw(keys.signer.sign(WALObjectFrame.message(description: sealed, header: header)))
        writer.raw(sealed)

        let buffer = AlignedBuffer(capacity: writer.count + pieces.reduce(0) { $0 + $1.count }, isFilledAtOnce: true)
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
    private let encoded = AlignedBuffer(capacity: WALObjectWriter.pieceLength)
    private let opened = AlignedBuffer(capacity: WALObjectWriter.pieceLength)
    private let decoded = AlignedBuffer(capacity: WALObjectWriter.pieceLength)

    init(dataKey: SecretBytes, level: Int32) {
        cipher = AuthenticatedCipher(key: dataKey)
        coder = BlobCoder(level: level)
    }

    func seal(_ file: WALFile, _ range: Range<Int>, ordinal: Int, object: String) throws(RepoError) -> WALObjectWriter.SealedPiece {
        defer { extendLifetime(file.content) }
        return try seal(UnsafeRawBufferPointer(rebasing: file.content.bytes[range]), ordinal: ordinal, object: object)
    }

    private func seal(
        _ raw: UnsafeRawBufferPointer, ordinal: Int, object: String
    ) throws(RepoError) -> WALObjectWriter.SealedPiece {
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
        return WALObjectWriter.SealedPiece(
            description: .init(encoding: encoding, length: UInt32(raw.count), storedLength: UInt32(count)), bytes: sealed)
    }

    static func machineErrs(_ object: String) -> RepoError {
        RepoError(
            .failed, "\(object) did not open to what was sealed: this machine's memory or processor errs",
            advice: "Test the machine's memory; nothing wrong was stored.")
    }
}
